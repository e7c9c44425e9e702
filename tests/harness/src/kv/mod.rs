//! Workers KV, as far as the stack can tell: workerd's protocol on one side, Cloudflare's public REST calls on the
//! other, one set of values between them. miniflare's KV neither lags nor fails; this one does when told to.
//!
//! Every location has its own worker side. Unless told otherwise all of them show what is stored; with a [`Lag`] each
//! is a [`replica`] of its own, which learns of writes late and keeps what it has read, as the real ones do.

mod public_side;
mod replica;
mod store;
mod worker_side;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use issuer::time::Clock;
use shared::time::UnixMillis;

use crate::system::background::{self, Served};
pub use replica::Lag;
use store::Store;
use worker_side::Location;

/// The token that the public side asks for.
pub const API_TOKEN: &str = "kv-api-token-of-the-test-stack";
/// The id of the only namespace.
pub const NAMESPACE: &str = "0f2ac74b498b48028cb68387c421e279";

/// What is wrong with one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers 500.
    Down,
    /// Answers after this long.
    Slow(Duration),
    /// Answers 200 with bytes that mean nothing (reads only).
    Garbage,
    /// Answers with the values of the moment at which the fault was set, as a cache does (reads only).
    Frozen,
}

/// A running KV.
#[derive(Debug)]
pub struct Kv {
    store: Arc<Store>,
    locations: Vec<Served>,
    public_side: Served,
}

impl Kv {
    /// Starts an empty one with a single location, which shows at once what is written.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        Self::start_in(1, None, Clock::system()).await
    }

    /// Starts an empty one with so many locations.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start_in(locations: usize, lag: Option<Lag>, clock: Clock) -> Result<Self> {
        let store = Arc::new(Store::new(locations, lag, clock));
        let mut sides = Vec::new();
        for number in 0..locations {
            let store = store.clone();
            let location = Location { store, number };
            sides.push(background::serve(worker_side::router(location)).await?);
        }
        let public_side = background::serve(public_side::router(store.clone())).await?;
        Ok(Self {
            store,
            locations: sides,
            public_side,
        })
    }

    /// Where the `kvNamespace` bindings of the workerds of each location point.
    pub fn worker_addrs(&self) -> Vec<SocketAddr> {
        self.locations.iter().map(Served::addr).collect()
    }

    /// Where the public side listens.
    pub fn public_addr(&self) -> SocketAddr {
        self.public_side.addr()
    }

    /// What workers read from now on is faulty, or good again.
    pub fn set_read_fault(&self, fault: impl Into<Option<Fault>>) {
        self.store.set_read_fault(fault.into());
    }

    /// How the public side answers from now on.
    pub fn set_write_fault(&self, fault: impl Into<Option<Fault>>) {
        self.store.set_write_fault(fault.into());
    }

    /// Whether a second write to one key within a second is refused with 429, as it is in production and by default.
    pub fn limit_writes(&self, limited: bool) {
        self.store.limit_writes(limited);
    }

    /// The value of `key`.
    pub fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.store.get(key).map(|entry| entry.value.to_vec())
    }

    /// Puts a value from outside, as an attacker or an older deployment would.
    pub fn put(&self, key: &str, value: impl Into<Vec<u8>>) {
        self.store.put(
            key,
            store::Entry {
                value: value.into().into(),
                ..store::Entry::default()
            },
        );
    }

    /// Forgets `key`.
    pub fn remove(&self, key: &str) {
        self.store.remove(key);
    }

    /// How often workers have read `key`.
    pub fn reads(&self, key: &str) -> u64 {
        self.store.reads(key)
    }

    /// How often workers of one location have read `key`, from its cache too.
    pub fn reads_at(&self, location: usize, key: &str) -> u64 {
        self.store.reads_at(location, key)
    }

    /// When the first write of `key` that was made at `written` or later shows at a location, caches aside. That may
    /// lie in the future: the lag of a write is drawn when it is made.
    pub fn shows_from(
        &self,
        location: usize,
        key: &str,
        written: UnixMillis,
    ) -> Option<UnixMillis> {
        self.store.shows_from(location, key, written)
    }

    /// When a worker that knows revocations from KV alone would first be told at a location of what was written at
    /// `written` or later, if it looks at `first`, and again whenever the cache lets it see something new.
    pub fn tells(
        &self,
        location: usize,
        key: &str,
        written: UnixMillis,
        first: UnixMillis,
    ) -> Option<UnixMillis> {
        let every = Duration::from_secs(worker_side::LEAST_CACHE_TTL);
        self.store.tells(location, key, written, (first, every))
    }

    /// How often `key` was written through the public side.
    pub fn writes(&self, key: &str) -> u64 {
        self.store.writes(key)
    }

    /// How many calls the public side did not serve because of a fault.
    pub fn refusals(&self) -> u64 {
        self.store.refusals()
    }
}

/// The URL to which the public calls are appended: what `KV_API_URL` is.
pub fn api_url(public_side: SocketAddr) -> String {
    format!("http://{public_side}/client/v4/accounts/test")
}

/// Waits or answers in place of the real handler, as `fault` says.
async fn suffer(fault: Option<Fault>) -> Result<(), Response> {
    match fault {
        None | Some(Fault::Frozen) => Ok(()),
        Some(Fault::Down) => Err((
            StatusCode::INTERNAL_SERVER_ERROR,
            "this KV was told to fail",
        )
            .into_response()),
        Some(Fault::Garbage) => Err([0x9d, 0x00, 0xff, 0x17].repeat(64).into_response()),
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}
