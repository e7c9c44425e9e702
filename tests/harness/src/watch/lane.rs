//! The connections to one edge for one class of routes: one that waits holds up none of another class.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Verdict;
use crate::raw::{Answer, Connection};

/// So many requests may be under way at once.
const WIDTH: usize = 12;
/// Longer than an edge may take, whatever it waits for.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Lane {
    addr: SocketAddr,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// When the request was sent.
    pub(super) sent: Instant,
    pub(super) verdict: Verdict,
    /// The answer itself, if it was none of the ordinary ones.
    pub(super) text: Option<String>,
}

impl Lane {
    pub(super) const fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            idle: Mutex::new(Vec::new()),
            turns: Semaphore::const_new(WIDTH),
        }
    }

    /// The edge.
    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) async fn ask(&self, request: &[u8]) -> Reply {
        let _turn = self.turns.acquire().await;
        let idle = self.idle().pop();
        let mut sent = Instant::now();
        let mut answer = None;
        if let Some(connection) = idle {
            answer = self.exchange(connection, request).await;
        }
        if answer.is_none() {
            // None was open, or it had been closed meanwhile.
            sent = Instant::now();
            if let Ok(Ok(fresh)) = timeout(PATIENCE, Connection::open(self.addr)).await {
                answer = self.exchange(fresh, request).await;
            }
        }
        let verdict = answer.as_ref().map_or(Verdict::Unavailable, Verdict::of);
        let remarkable = matches!(verdict, Verdict::Refused | Verdict::Unavailable);
        Reply {
            sent,
            verdict,
            text: answer.filter(|_| remarkable).map(|answer| answer.text()),
        }
    }

    /// One request and its answer, after which the connection is kept; nothing if it breaks or nothing comes.
    async fn exchange(&self, mut connection: Connection, request: &[u8]) -> Option<Answer> {
        let asked = timeout(PATIENCE, connection.ask(request)).await;
        let answer = asked.ok()?.ok()?;
        answer.status()?;
        self.idle().push(connection);
        Some(answer)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
