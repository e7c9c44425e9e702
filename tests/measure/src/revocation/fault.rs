//! What is broken while sessions are signed out.

use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use harness::chance::Chance;
use harness::system::{Link, System};
use harness::wait::until;
use serde::{Deserialize, Serialize};

/// How long an edge of [`Ends::by_turns`] is cut off, and then is not; how long a publisher stays away after another took
/// over, and then all is whole.
const SPELL: RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(9);
/// Nobody took over for so long: nobody will.
const PATIENCE: Duration = Duration::from_secs(20);

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// Nothing: writes to KV show at once, though every location keeps what it has read for a while
    None,
    /// Writes to KV show after 0 to 60 s, in any order
    KvLagging,
    /// Issuers cannot reach KV
    KvCut,
    /// Edges cannot reach issuers
    IssuerCut,
    /// Edges can reach neither issuers nor KV
    BothCut,
    /// Whoever publishes is killed, again and again
    PublisherKilled,
    /// Whoever publishes is frozen, again and again
    PublisherFrozen,
}

/// The edges that links are cut to.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Each is cut off for a while, again and again: the narrow bound of its routes is over soon, and an edge that is cut
    /// off for good would refuse nearly everybody without our learning how long the dead pass.
    pub(crate) by_turns: Range<usize>,
    /// These are cut off for good.
    pub(crate) for_good: Range<usize>,
}

/// A system, and what was seen while it was broken.
#[derive(Debug)]
pub(crate) struct Striker<'a> {
    system: &'a System,
    ends: Ends,
    chance: Chance,
    pub(crate) takeovers: Vec<f64>,
    /// When the publisher was struck after which nobody has published yet.
    struck_at: Option<Instant>,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::None,
        Self::KvLagging,
        Self::KvCut,
        Self::IssuerCut,
        Self::BothCut,
        Self::PublisherKilled,
        Self::PublisherFrozen,
    ];

    /// What tables call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::KvLagging => "KV lags 0-60 s",
            Self::KvCut => "issuer-KV cut",
            Self::IssuerCut => "edge-issuer cut",
            Self::BothCut => "issuer and KV cut",
            Self::PublisherKilled => "publisher killed",
            Self::PublisherFrozen => "publisher frozen",
        }
    }

    /// How late writes to KV show.
    pub(crate) const fn kv_lag(self) -> RangeInclusive<Duration> {
        match self {
            Self::KvLagging => Duration::ZERO..=Duration::from_secs(60),
            _ => Duration::ZERO..=Duration::ZERO,
        }
    }

    /// Whether edges can learn of nothing, so that routes that serve when they are stale have no bound.
    pub(crate) const fn leaves_nothing(self) -> bool {
        matches!(self, Self::BothCut)
    }

    /// Whether the issuer can always be asked: a cut link, or one that leads to a frozen issuer, cannot.
    pub(crate) const fn leaves_the_issuer(self) -> bool {
        !matches!(
            self,
            Self::IssuerCut | Self::BothCut | Self::PublisherFrozen
        )
    }

    /// Whether publishers are made to give up their place.
    pub(crate) const fn ends_publishers(self) -> bool {
        matches!(self, Self::PublisherKilled | Self::PublisherFrozen)
    }
}

impl<'a> Striker<'a> {
    /// One for a system that is whole; when what breaks follows from `chance`.
    pub(crate) const fn new(system: &'a System, ends: Ends, chance: Chance) -> Self {
        Self {
            system,
            ends,
            chance,
            takeovers: Vec::new(),
            struck_at: None,
        }
    }

    /// Breaks it, and goes on doing so for as long as it is let.
    ///
    /// # Errors
    /// A part does not come up again.
    pub(crate) async fn strike(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::None | Fault::KvLagging => {}
            Fault::KvCut => self.system.cut(Link::IssuerKv),
            Fault::IssuerCut => return self.cut_off(&[Link::EdgeIssuer]).await,
            Fault::BothCut => return self.cut_off(&[Link::EdgeIssuer, Link::EdgeKv]).await,
            Fault::PublisherKilled => return self.keep_killing().await,
            Fault::PublisherFrozen => return self.keep_freezing().await,
        }
        std::future::pending().await
    }

    /// Everything works again when this returns.
    ///
    /// # Errors
    /// A part does not come up again.
    pub(crate) async fn mend(&self) -> Result<()> {
        self.system.heal_all();
        for issuer in &self.system.issuers {
            // That fails where it does not run.
            if issuer.thaw().await.is_err() {
                issuer.restart().await?;
            }
        }
        Ok(())
    }

    async fn cut_off(&mut self, links: &[Link]) -> Result<()> {
        for edge in self.ends.for_good.clone() {
            for link in links {
                self.system.cut_at(edge, *link)?;
            }
        }
        let begun = Instant::now();
        // When each is next cut off, or no more, and which of the two.
        let mut turns: Vec<(Duration, usize, bool)> = Vec::new();
        for edge in self.ends.by_turns.clone() {
            let first = self.chance.between(&(Duration::ZERO..=*SPELL.end()));
            turns.push((first, edge, true));
        }
        while let Some(next) = turns.iter_mut().min() {
            tokio::time::sleep(next.0.saturating_sub(begun.elapsed())).await;
            for link in links {
                if next.2 {
                    self.system.cut_at(next.1, *link)?;
                } else {
                    self.system.heal_at(next.1, *link)?;
                }
            }
            *next = (next.0 + self.chance.between(&SPELL), next.1, !next.2);
        }
        std::future::pending().await
    }

    async fn keep_killing(&mut self) -> Result<()> {
        loop {
            tokio::time::sleep(self.chance.between(&SPELL)).await;
            let publisher = self.system.publisher().context("nobody publishes")?;
            self.struck_at = Some(Instant::now());
            self.system.issuers[publisher].kill().await?;
            self.await_takeover(publisher).await;
            tokio::time::sleep(self.chance.between(&SPELL)).await;
            self.system.issuers[publisher].restart().await?;
        }
    }

    async fn keep_freezing(&mut self) -> Result<()> {
        loop {
            tokio::time::sleep(self.chance.between(&SPELL)).await;
            let publisher = self.system.publisher().context("nobody publishes")?;
            self.struck_at = Some(Instant::now());
            self.system.issuers[publisher].freeze().await?;
            self.await_takeover(publisher).await;
            tokio::time::sleep(self.chance.between(&SPELL)).await;
            self.system.issuers[publisher].thaw().await?;
        }
    }

    /// Until another one publishes; that is later than its taking the lead.
    async fn await_takeover(&mut self, gone: usize) {
        let system = self.system;
        let taken = until("another publisher", PATIENCE, async || {
            system.publisher() != Some(gone)
        });
        // Where nobody comes, the time says so, and fails the run in the end.
        let _ = taken.await;
        self.note_takeover();
    }

    fn note_takeover(&mut self) {
        let times = self.struck_at.take().map(|at| at.elapsed().as_secs_f64());
        self.takeovers.extend(times);
    }

    /// Nothing more is broken. A takeover that is awaited still counts, with the time until now, if that is longer than
    /// `limit` seconds.
    pub(crate) fn stop(&mut self, limit: f64) {
        let waited = self.struck_at.map(|at| at.elapsed().as_secs_f64());
        if waited.is_some_and(|time| time > limit) {
            self.note_takeover();
        }
        self.struck_at = None;
    }
}
