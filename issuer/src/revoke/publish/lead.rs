//! Who publishes: standing by, taking the lead, and knowing when it is lost.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{error::Elapsed, sleep, timeout};

use super::pace::{Backoff, Due, WRITE_INTERVAL, jittered};
use super::writer::Writer;
use super::{KvClient, PublishError, Wake, keys};
use crate::services::Services;
use crate::store::StoreError;
use crate::store::signals::{Leadership, Standby};
use crate::time::Stopwatch;

/// How often the leader reads, which is also the proof that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// How soon after a read the next may follow, however many calls there are.
const BREATH: Duration = Duration::from_millis(100);

/// A leader that has not read for so long gives up.
const PATIENCE: Duration = Duration::from_millis(2500);

/// A leader that has not read for so long, by the clock of Postgres, loses the lead to whoever stands by. Longer than
/// [`PATIENCE`]: one that lives has given up before.
const FROZEN: Duration = Duration::from_secs(3);

/// How often those who stand by look. With [`FROZEN`] and the first write it stays below 5 s.
const LOOK: Duration = Duration::from_millis(700);

/// How often those who stand by read the tail, so that what they have to read when they take over is short.
const CATCH_UP: Duration = Duration::from_secs(30);

/// Longest time for such a read, the first of which may be of a million rows.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(15);

/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// Why the lead was lost, or could not be waited for.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("Postgres did not answer in time")]
    Slow(#[from] Elapsed),
    #[error("this process stood still for longer than {PATIENCE:?}: somebody else leads by now")]
    Frozen,
}

/// Takes the lead whenever it is free, and publishes. Never returns; dropping it gives the lead up.
pub async fn run(services: Arc<Services>, kv: KvClient, wake: Arc<Wake>) {
    loop {
        let Err(lost) = stand_by_and_lead(&services, &kv, &wake).await;
        tracing::warn!(reason = %lost, "not publishing to KV");
        sleep(jittered(RETRY)).await;
    }
}

async fn stand_by_and_lead(
    services: &Services,
    kv: &KvClient,
    wake: &Wake,
) -> Result<Infallible, Lost> {
    let leadership = stand_by(services).await?;
    tracing::info!("publishing to KV");
    lead(services, kv, wake, leadership).await
}

async fn stand_by(services: &Services) -> Result<Leadership, Lost> {
    let mut standby = timeout(PATIENCE, Standby::connect(&services.store)).await??;
    let mut caught_up: Option<Stopwatch> = None;
    loop {
        if caught_up.is_none_or(|watch| watch.elapsed() >= CATCH_UP) {
            let read = services.ledger.refresh(standby.connection());
            timeout(CATCH_UP_LIMIT, read).await??;
            caught_up = Some(Stopwatch::start());
        }
        match timeout(PATIENCE, standby.try_take(FROZEN)).await?? {
            Ok(leadership) => return Ok(leadership),
            Err(waiting) => standby = waiting,
        }
        sleep(jittered(LOOK)).await;
    }
}

/// Reads and writes side by side: a slow KV does not hold up the reading, which is the proof of life, and once that fails
/// a write under way is dropped.
async fn lead(
    services: &Services,
    kv: &KvClient,
    wake: &Wake,
    mut leadership: Leadership,
) -> Result<Infallible, Lost> {
    let pulse = Pulse::default();
    let mut calls = wake.revocations.subscribe();
    read_once(services, &mut leadership, &pulse).await?;
    let mut writing = pin!(write(services, kv, wake));
    // Looked at before anything is written: who was frozen in the middle of a write does not go on with it.
    let writing = poll_fn(|context| match pulse.check() {
        Ok(()) => writing.as_mut().poll(context).map(Ok),
        Err(lost) => Poll::Ready(Err(lost)),
    });
    tokio::select! {
        biased;
        lost = beat(services, &mut leadership, &mut calls, &pulse) => lost,
        lost = writing => lost,
    }
}

/// Reads the tail each second, and when called, until the lead is lost.
async fn beat(
    services: &Services,
    leadership: &mut Leadership,
    calls: &mut watch::Receiver<()>,
    pulse: &Pulse,
) -> Result<Infallible, Lost> {
    loop {
        sleep(BREATH).await;
        // Either way it is time to read. The sender lives as long as the process.
        let _ = timeout(BEAT.saturating_sub(pulse.age()), calls.changed()).await;
        pulse.check()?;
        read_once(services, leadership, pulse).await?;
    }
}

async fn read_once(
    services: &Services,
    leadership: &mut Leadership,
    pulse: &Pulse,
) -> Result<(), Lost> {
    let begun = Stopwatch::start();
    let read = services.ledger.refresh(leadership.connection());
    timeout(PATIENCE, read).await??;
    pulse.felt(begun);
    Ok(())
}

/// Writes what is due, for ever. Revocations and keys apart: what is wrong with a signing key, or a pool that has no
/// connection to look for one, must not hold up a head.
pub(super) async fn write(services: &Services, kv: &KvClient, wake: &Wake) -> Infallible {
    tokio::select! {
        never = write_revocations(services, kv, wake) => never,
        never = write_keys(services, kv, wake) => never,
    }
}

async fn write_revocations(services: &Services, kv: &KvClient, wake: &Wake) -> Infallible {
    let mut everything = wake.everything.subscribe();
    let mut changes = services.ledger.changes();
    let mut writer = Writer::new(services, kv);
    let mut due = Due::EVERYTHING;
    let mut backoff = Backoff::default();
    loop {
        changes.mark_unchanged();
        match writer.write(&mut due).await {
            Ok(()) => {
                backoff = Backoff::default();
                sleep(WRITE_INTERVAL).await;
            }
            Err(error) => retry(&mut backoff, "revocations", &error).await,
        }
        while !due.any() {
            tokio::select! {
                _ = changes.changed() => due.head = true,
                _ = everything.changed() => due = Due::EVERYTHING,
                () = sleep(BEAT) => due.head = writer.is_heartbeat_due(),
            }
        }
    }
}

async fn write_keys(services: &Services, kv: &KvClient, wake: &Wake) -> Infallible {
    let (mut changes, mut everything) = (wake.keys.subscribe(), wake.everything.subscribe());
    let mut backoff = Backoff::default();
    loop {
        if let Err(error) = keys::write(services, kv).await {
            retry(&mut backoff, "keys", &error).await;
            continue;
        }
        backoff = Backoff::default();
        sleep(WRITE_INTERVAL).await;
        // Either way they are due. The senders live as long as the process.
        tokio::select! {
            _ = changes.changed() => {}
            _ = everything.changed() => {}
        }
    }
}

async fn retry(backoff: &mut Backoff, what: &str, error: &PublishError) {
    let wait = backoff.next();
    tracing::warn!(%error, retry_in_ms = wait.as_millis(), "cannot publish {what}");
    sleep(wait).await;
}

/// When the last read began that came back.
struct Pulse(Mutex<Stopwatch>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Stopwatch::start()))
    }
}

impl Pulse {
    fn felt(&self, begun: Stopwatch) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }

    fn age(&self) -> Duration {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed()
    }

    fn check(&self) -> Result<(), Lost> {
        if self.age() > PATIENCE {
            Err(Lost::Frozen)
        } else {
            Ok(())
        }
    }
}
