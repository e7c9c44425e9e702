//! What is broken while sessions are signed out.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use harness::system::{Link, System};
use serde::{Deserialize, Serialize};

/// How long a publisher is left alone before the next one is killed or frozen.
const TURN: Duration = Duration::from_secs(9);
/// How long a killed publisher stays away.
const AWAY: Duration = Duration::from_secs(6);

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

    /// Breaks it, and goes on doing so for as long as it is let.
    ///
    /// # Errors
    /// A part does not come up again.
    pub(crate) async fn strike(self, system: &System) -> Result<()> {
        match self {
            Self::None | Self::KvLagging => {}
            Self::KvCut => system.cut(Link::IssuerKv),
            Self::IssuerCut => system.cut(Link::EdgeIssuer),
            Self::BothCut => {
                system.cut(Link::EdgeIssuer);
                system.cut(Link::EdgeKv);
            }
            Self::PublisherKilled => return keep_killing(system).await,
            Self::PublisherFrozen => return keep_freezing(system).await,
        }
        std::future::pending().await
    }
}

async fn keep_killing(system: &System) -> Result<()> {
    loop {
        let publisher = system.publisher().context("nobody publishes")?;
        system.issuers[publisher].kill().await?;
        tokio::time::sleep(AWAY).await;
        system.issuers[publisher].restart().await?;
        tokio::time::sleep(TURN - AWAY).await;
    }
}

async fn keep_freezing(system: &System) -> Result<()> {
    let mut frozen: Option<usize> = None;
    loop {
        // If nobody else took over, the one that is frozen stays so.
        let publisher = system.publisher().context("nobody publishes")?;
        if frozen != Some(publisher) {
            system.issuers[publisher].freeze().await?;
            if let Some(before) = frozen.replace(publisher) {
                system.issuers[before].thaw().await?;
            }
        }
        tokio::time::sleep(TURN).await;
    }
}
