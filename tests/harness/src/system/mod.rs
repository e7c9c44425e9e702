//! The whole stack as one struct with verbs: issuers, edges, KV, a database of its own, an origin.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use harness::system::{BOB, System};
//!
//! let system = System::start().await?;
//! let bob = system.login(&BOB).await?;
//! bob.get("/api/hello").await?.expect(200)?;
//! bob.logout().await?.expect(204)?;
//! bob.get("/api/hello").await?.expect_problem(401, "unauthenticated")?;
//! # Ok(()) }
//! ```
//!
//! Everything is reached over HTTP, as from outside. The time can be moved, every connection cut, every part restarted.
//! Each edge is a location of its own: a replica of KV, a cache, and wires that can be cut for it alone.

pub(crate) mod accounts;
mod answer;
pub mod background;
mod builder;
mod client;
mod edge;
mod faults;
mod heap;
mod issuers;
mod jar;
mod link;
mod request;
pub mod settings;
mod wires;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use issuer::time::Clock;

use crate::cache_api::CacheApi;
use crate::idp::DemoId;
use crate::kv::Kv;
use crate::origin::Origin;
use crate::postgres::Database;

pub use accounts::{ADA, Account, BOB};
pub use answer::Answer;
pub use builder::Builder;
pub(crate) use builder::blocking;
pub use client::Client;
pub use edge::Edge;
pub use issuers::{ISSUER_BUILD, Issuer, Kind, program as issuer_program};
pub use link::{Heard, Link, State, Wire};
pub use request::{Mode, Request};
pub use reqwest::Method;
use wires::Wires;

/// A running stack; dropping it stops everything.
#[derive(Debug)]
pub struct System {
    // In the order in which they must go: whoever uses another part before that part.
    /// The workers.
    pub edges: Vec<Edge>,
    /// The issuers, all on one database.
    pub issuers: Vec<Issuer>,
    wires: Wires,
    /// Workers KV, with a location for each edge.
    pub kv: Kv,
    /// What `caches.default` of each edge keeps things in.
    pub caches: Vec<CacheApi>,
    /// What the edges guard.
    pub origin: Origin,
    /// Demo ID, if the stack was started with it.
    pub idp: Option<DemoId>,
    /// The issuers' database.
    pub db: Database,
    public_url: String,
    clock: Clock,
    shift: Mutex<Duration>,
}

impl System {
    /// One issuer in this process and one edge.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// A stack to be described.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The site as users see it.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The time of issuers and cookie jars.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A new browser at the first edge.
    ///
    /// # Errors
    /// The HTTP client cannot be made; so for the next two.
    pub fn client(&self) -> Result<Client> {
        self.client_of(0)
    }

    /// A new browser at that edge.
    ///
    /// # Errors
    /// See [`System::client`].
    pub fn client_of(&self, edge: usize) -> Result<Client> {
        let edge = self
            .edges
            .get(edge)
            .context("there are not so many edges")?;
        Client::new(edge.addr(), &self.public_url, self.clock.clone())
    }

    /// A client that reaches an issuer without an edge between.
    ///
    /// # Errors
    /// See [`System::client`].
    pub fn issuer_client(&self, issuer: usize) -> Result<Client> {
        let issuer = self
            .issuers
            .get(issuer)
            .context("there are not so many issuers")?;
        Client::new(issuer.addr(), &self.public_url, self.clock.clone())
    }

    /// New connections of the edges go to these issuers alone, as whoever balances load leads them away from one that is not
    /// ready.
    ///
    /// # Errors
    /// There are not so many issuers.
    pub fn lead_edges_to(&self, issuers: &[usize]) -> Result<()> {
        let addr = |index: &usize| Some(self.issuers.get(*index)?.addr());
        let addrs: Option<Vec<_>> = issuers.iter().map(addr).collect();
        let addrs = addrs.context("there are not so many issuers")?;
        self.wires.lead_to_issuers(&addrs);
        Ok(())
    }

    /// A new browser in which `account` is signed in.
    ///
    /// # Errors
    /// The sign-in is refused.
    pub async fn login(&self, account: &Account) -> Result<Client> {
        let client = self.client()?;
        client.sign_in(account).await?.expect(200)?;
        Ok(client)
    }

    /// Moves the time of issuers, edges, KV, caches and cookie jars into the future.
    ///
    /// # Errors
    /// An issuer is a process of its own, whose time is the machine's.
    pub async fn advance(&self, by: Duration) -> Result<()> {
        if self
            .issuers
            .iter()
            .any(|issuer| issuer.kind() == Kind::Process)
        {
            bail!("the time of issuers that are processes cannot be moved");
        }
        self.clock.advance(by);
        let shift = {
            let mut shift = self.shift.lock().unwrap_or_else(PoisonError::into_inner);
            *shift += by;
            *shift
        };
        for edge in &self.edges {
            edge.shift_clock(shift).await?;
        }
        Ok(())
    }
}

/// An HTTP client that follows no redirect, keeps no cookies, and gives up after a minute.
///
/// # Errors
/// It cannot be made.
pub fn http_client() -> Result<reqwest::Client> {
    issuer::install_tls_provider();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .no_proxy()
        .http1_only()
        .build()
        .context("cannot make an HTTP client")
}
