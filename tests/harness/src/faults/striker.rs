//! Breaks a stack as an episode says, and mends it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Counts;
use super::episode::{Blow, Episode};
use crate::system::{Link, System};

#[derive(Debug)]
pub(super) struct Striker<'a> {
    system: &'a System,
    /// Killed, and not started again yet.
    killed: BTreeSet<usize>,
    frozen: BTreeSet<usize>,
    down_edges: BTreeSet<usize>,
    no_database: bool,
}

impl<'a> Striker<'a> {
    pub(super) const fn new(system: &'a System) -> Self {
        Self {
            system,
            killed: BTreeSet::new(),
            frozen: BTreeSet::new(),
            down_edges: BTreeSet::new(),
            no_database: false,
        }
    }

    /// Breaks and mends one thing after the other. What cannot be mended yet waits for [`Striker::mend`].
    pub(super) async fn strike(&mut self, episode: &Episode, counts: &mut Counts) -> Result<()> {
        let begun = Instant::now();
        let mut moments: Vec<(Duration, bool, Blow)> = Vec::new();
        for struck in &episode.0 {
            moments.push((struck.from, true, struck.blow));
            moments.push((struck.until, false, struck.blow));
        }
        moments.sort_by_key(|(at, ..)| *at);
        for (at, begins, blow) in moments {
            tokio::time::sleep(at.saturating_sub(begun.elapsed())).await;
            if begins {
                counts.count(blow);
                self.begin(blow).await?;
            } else {
                self.end(blow).await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self, blow: Blow) -> Result<()> {
        let system = self.system;
        match blow {
            Blow::Cut(link, None) => system.cut(link),
            Blow::Cut(link, Some(end)) => system.cut_at(end, link)?,
            Blow::Stall(link, None) => system.stall(link),
            Blow::Stall(link, Some(end)) => system.stall_at(end, link)?,
            Blow::KillIssuer(issuer) => {
                self.killed.insert(issuer);
                system.issuers[issuer].kill().await?;
            }
            Blow::FreezeIssuer(issuer) => {
                self.frozen.insert(issuer);
                system.issuers[issuer].freeze().await?;
            }
            Blow::KillEdge(edge) => {
                self.down_edges.insert(edge);
                system.edges[edge].kill().await;
            }
        }
        if let Blow::Cut(Link::IssuerDb, _) | Blow::Stall(Link::IssuerDb, _) = blow {
            self.no_database = true;
        }
        Ok(())
    }

    async fn end(&mut self, blow: Blow) -> Result<()> {
        let system = self.system;
        match blow {
            Blow::Cut(link, None) | Blow::Stall(link, None) => system.heal(link),
            Blow::Cut(link, Some(end)) | Blow::Stall(link, Some(end)) => {
                system.heal_at(end, link)?;
            }
            // It would wait for its database, and everything else with it.
            Blow::KillIssuer(_) if self.no_database => {}
            Blow::KillIssuer(issuer) => {
                system.issuers[issuer].restart().await?;
                self.killed.remove(&issuer);
            }
            Blow::FreezeIssuer(issuer) => {
                system.issuers[issuer].thaw().await?;
                self.frozen.remove(&issuer);
            }
            Blow::KillEdge(edge) => {
                system.edges[edge].restart().await?;
                self.down_edges.remove(&edge);
            }
        }
        if let Blow::Cut(Link::IssuerDb, _) | Blow::Stall(Link::IssuerDb, _) = blow {
            self.no_database = false;
        }
        Ok(())
    }

    /// Everything works again when this returns.
    pub(super) async fn mend(&mut self) -> Result<()> {
        self.system.heal_all();
        self.no_database = false;
        while let Some(issuer) = self.frozen.pop_first() {
            self.system.issuers[issuer].thaw().await?;
        }
        while let Some(issuer) = self.killed.pop_first() {
            self.system.issuers[issuer].restart().await?;
        }
        while let Some(edge) = self.down_edges.pop_first() {
            self.system.edges[edge].restart().await?;
        }
        Ok(())
    }
}
