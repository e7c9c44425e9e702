//! A wire between two parts of the stack that can be cut: a TCP proxy.

mod ear;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::background::{self, Task};
use ear::{Ear, Overheard};

pub use ear::Heard;

/// A connection from one kind of part to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Issuers to Postgres.
    IssuerDb,
    /// Issuers to KV's public side.
    IssuerKv,
    /// Edges to KV.
    EdgeKv,
    /// Edges to the issuers.
    EdgeIssuer,
    /// Edges to the origin.
    EdgeOrigin,
}

impl Link {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::IssuerDb,
        Self::IssuerKv,
        Self::EdgeKv,
        Self::EdgeIssuer,
        Self::EdgeOrigin,
    ];
}

/// What becomes of bytes on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// They pass.
    Whole,
    /// Connections are closed, new ones too as soon as they are made.
    Cut,
    /// Connections stay open and nothing passes, as when packets are dropped.
    Stalled,
}

/// A running proxy; several targets take turns by connection, and one that refuses is passed over.
#[derive(Debug)]
pub struct Wire {
    addr: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    state: watch::Sender<State>,
    ears: [Arc<Ear>; 2],
    accepted: Arc<AtomicUsize>,
    _task: Task,
}

impl Wire {
    /// Starts one to `targets`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(targets: Vec<SocketAddr>) -> Result<Self> {
        Self::start_listening_for(["", ""], targets).await
    }

    /// Starts one that counts how often each of `texts` goes over it to the targets.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start_listening_for(
        texts: [&'static str; 2],
        targets: Vec<SocketAddr>,
    ) -> Result<Self> {
        let (addr, listener) = background::listen().await?;
        let targets = Arc::new(Mutex::new(targets));
        let ears = texts.map(|text| Arc::new(Ear::new(text)));
        let (state, seen) = watch::channel(State::Whole);
        let accepted = Arc::new(AtomicUsize::new(0));
        let (pool, turn, hears) = (targets.clone(), accepted.clone(), ears.clone());
        let task = Task::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut targets = pool.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let first = turn.fetch_add(1, Ordering::Relaxed) % targets.len().max(1);
                targets.rotate_left(first);
                let (hears, seen) = (hears.clone(), seen.clone());
                tokio::spawn(async move { carry(client, &targets, seen, &hears).await });
            }
        })?;
        Ok(Self {
            addr,
            targets,
            state,
            ears,
            accepted,
            _task: task,
        })
    }

    /// The near end.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Leads new connections elsewhere.
    pub fn set_targets(&self, targets: Vec<SocketAddr>) {
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    /// How often the first text that it listens for has gone over it.
    pub fn heard(&self) -> Heard {
        let [first, _] = &self.ears;
        first.heard()
    }

    /// How often the second one has.
    pub fn heard_second(&self) -> Heard {
        let [_, second] = &self.ears;
        second.heard()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Cuts, stalls or heals it.
    pub fn set_state(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// Carries one connection until either side closes it or the wire is cut.
async fn carry(
    client: TcpStream,
    targets: &[SocketAddr],
    mut state: watch::Receiver<State>,
    [first, second]: &[Arc<Ear>; 2],
) {
    if state
        .wait_for(|state| *state != State::Stalled)
        .await
        .is_err()
        || *state.borrow() == State::Cut
    {
        return;
    }
    let Some(mut server) = first_that_accepts(targets).await else {
        return;
    };
    // Small packets in both directions: waiting to fill them would cost 40 ms each.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut client = Overheard::new(Overheard::new(client, first), second);
    loop {
        tokio::select! {
            // Dropping the copy loses no bytes that matter: only a cut or a stall ends it early, and a stalled
            // connection is one that its owner gives up.
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            changed = state.changed() => if changed.is_err() { return },
        }
        if state
            .wait_for(|state| *state != State::Stalled)
            .await
            .is_err()
            || *state.borrow() == State::Cut
        {
            return;
        }
    }
}

async fn first_that_accepts(targets: &[SocketAddr]) -> Option<TcpStream> {
    for target in targets {
        if let Ok(server) = TcpStream::connect(target).await {
            return Some(server);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn get(addr: SocketAddr) -> Option<String> {
        let http = crate::system::http_client().unwrap();
        let asked = http
            .get(format!("http://{addr}/"))
            .timeout(Duration::from_millis(500))
            .send()
            .await
            .ok()?;
        asked.text().await.ok()
    }

    #[tokio::test]
    async fn a_wire_is_cut_stalled_and_healed() {
        let server = background::serve(axum::Router::new().fallback(|| async { "here" }))
            .await
            .unwrap();
        let wire = Wire::start(vec![server.addr()]).await.unwrap();
        assert_eq!(get(wire.addr()).await.as_deref(), Some("here"));
        for state in [State::Cut, State::Stalled] {
            wire.set_state(state);
            assert_eq!(get(wire.addr()).await, None, "{state:?}");
            wire.set_state(State::Whole);
            assert_eq!(get(wire.addr()).await.as_deref(), Some("here"));
        }
    }

    #[tokio::test]
    async fn targets_take_turns() {
        let one = background::serve(axum::Router::new().fallback(|| async { "one" }))
            .await
            .unwrap();
        let two = background::serve(axum::Router::new().fallback(|| async { "two" }))
            .await
            .unwrap();
        let wire = Wire::start(vec![one.addr(), two.addr()]).await.unwrap();
        let answers = [get(wire.addr()).await, get(wire.addr()).await];
        assert_ne!(answers[0], answers[1]);
    }

    #[tokio::test]
    async fn a_target_that_refuses_is_passed_over_and_what_is_said_is_heard() {
        let server = background::serve(axum::Router::new().fallback(|| async { "here" }))
            .await
            .unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], crate::ports::free().unwrap()));
        let targets = vec![nobody, server.addr()];
        let texts = ["GET / ", "HTTP/1.1"];
        let wire = Wire::start_listening_for(texts, targets).await.unwrap();
        for times in 1..=2 {
            assert_eq!(get(wire.addr()).await.as_deref(), Some("here"));
            assert_eq!(wire.heard().times, times);
            assert_eq!(wire.heard_second().times, times);
        }
        assert!(wire.heard().last.is_some());
    }
}
