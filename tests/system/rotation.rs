//! Every key and secret is replaced while people work: no valid request is refused. A secret goes `old` → `old,new` → `new,old` →
//! `new`, each step on every part before the next: nobody is shown what they do not know yet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, Account, BOB, Client, System};
use harness::wait::until;
use shared::cookie;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::support::operator;

const OLD: &str = "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J";
const NEW: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

const SOON: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

/// Who works all the while. No more than may be signed in at once.
const PEOPLE: [Account; 4] = [ADA, BOB, BOB, BOB];

/// People who ask and refresh all the while, none of whom may be refused.
struct Load {
    shared: Arc<Shared>,
    people: Vec<Client>,
    running: JoinSet<Result<()>>,
}

struct Shared {
    edges: Vec<SocketAddr>,
    /// The edge that is out of service, as whoever deploys takes it.
    out: AtomicUsize,
    /// Held by each request, so that the time can be moved between them.
    time: RwLock<()>,
    /// Turns that each of the people has made: a request, a refresh, a request.
    turns: Vec<AtomicUsize>,
    stop: AtomicBool,
}

const NONE: usize = usize::MAX;

impl Load {
    async fn start(system: &System) -> Result<Self> {
        let shared = Arc::new(Shared {
            edges: system
                .edges
                .iter()
                .map(harness::system::Edge::addr)
                .collect(),
            out: AtomicUsize::new(NONE),
            time: RwLock::default(),
            turns: PEOPLE.iter().map(|_| AtomicUsize::new(0)).collect(),
            stop: AtomicBool::new(false),
        });
        let (mut people, mut running) = (Vec::new(), JoinSet::new());
        for (index, account) in PEOPLE.iter().enumerate() {
            let client = system.login(account).await?;
            people.push(client.clone());
            running.spawn(shared.clone().work(index, client));
        }
        let load = Self {
            shared,
            people,
            running,
        };
        load.goes_on().await?;
        Ok(load)
    }

    /// Waits until everybody has made two more turns, the second of which began after this call.
    async fn goes_on(&self) -> Result<()> {
        let turns = || {
            self.shared
                .turns
                .iter()
                .map(|turns| turns.load(Ordering::SeqCst))
        };
        let before: Vec<usize> = turns().collect();
        until("everybody to go on", SOON, async || {
            self.shared.stop.load(Ordering::SeqCst)
                || turns().zip(&before).all(|(now, before)| now >= before + 2)
        })
        .await
    }

    /// Another value of `name` on each issuer, one after the other.
    async fn reconfigure_issuers(
        &self,
        system: &mut System,
        name: &str,
        value: &str,
    ) -> Result<()> {
        let all: Vec<usize> = (0..system.issuers.len()).collect();
        for index in &all {
            let others: Vec<_> = all.iter().copied().filter(|other| other != index).collect();
            system.lead_edges_to(&others)?;
            system.issuers[*index].reconfigure(name, value).await?;
            system.lead_edges_to(&all)?;
            self.goes_on().await?;
        }
        Ok(())
    }

    /// Another value of `name` on each edge, one after the other.
    async fn reconfigure_edges(&self, system: &mut System, name: &str, value: &str) -> Result<()> {
        for (index, edge) in system.edges.iter_mut().enumerate() {
            self.shared.out.store(index, Ordering::SeqCst);
            self.goes_on().await?;
            edge.reconfigure(name, value).await?;
            self.shared.out.store(NONE, Ordering::SeqCst);
            self.goes_on().await?;
        }
        Ok(())
    }

    async fn advance(&self, system: &System, by: Duration) -> Result<()> {
        let held = self.shared.time.write().await;
        system.advance(by).await?;
        drop(held);
        self.goes_on().await
    }

    fn signed_by(&self) -> Result<Vec<String>> {
        let kid = |client: &Client| {
            let access = client.cookie(cookie::ACCESS).context("an access cookie")?;
            Ok(shared::token::untrusted_kid(&access)?.to_string())
        };
        self.people.iter().map(kid).collect()
    }

    /// The number of turns.
    ///
    /// # Errors
    /// Somebody was refused.
    async fn stop(self) -> Result<usize> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for done in self.running.join_all().await {
            done?;
        }
        let turns = self
            .shared
            .turns
            .iter()
            .map(|turns| turns.load(Ordering::SeqCst));
        Ok(turns.sum())
    }
}

impl Shared {
    async fn work(self: Arc<Self>, index: usize, client: Client) -> Result<()> {
        let mut turn = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let out = self.out.load(Ordering::SeqCst);
            let edges: Vec<_> = (0..self.edges.len()).filter(|edge| *edge != out).collect();
            let client = client.at(self.edges[edges[(turn + index) % edges.len()]]);
            let held = self.time.read().await;
            let answered = async {
                client.get("/api/x").await?.expect(200)?;
                client.refresh().await?.expect(200)?;
                client.get("/api/x").await?.expect(200)
            };
            let answered = answered.await;
            if answered.is_err() {
                // Nobody need wait for the others.
                self.stop.store(true, Ordering::SeqCst);
            }
            answered.with_context(|| format!("turn {turn} of {index}"))?;
            drop(held);
            turn = self.turns[index].fetch_add(1, Ordering::SeqCst) + 1;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_signing_key_is_rotated_under_load() -> Result<()> {
    let system = System::builder().issuers(2).edges(2).start().await?;
    let load = Load::start(&system).await?;
    let old = load.signed_by()?;
    let printed = operator(&system, &["keys", "rotate"]).await?;
    let new = printed.split(' ').next().context("a kid")?.to_owned();
    load.goes_on().await?;
    assert_eq!(
        load.signed_by()?,
        old,
        "before every edge knows the new one"
    );
    for _ in 0..2 {
        load.advance(&system, 6 * MINUTE).await?;
    }
    ensure!(load.signed_by()?.iter().all(|kid| *kid == new));
    for _ in 0..4 {
        load.advance(&system, 9 * MINUTE).await?;
    }
    let turns = load.stop().await?;
    ensure!(turns > 40, "{turns}");
    Ok(())
}

#[tokio::test]
async fn the_encryption_key_is_rotated_under_load() -> Result<()> {
    let builder = System::builder().setting("ENCRYPTION_KEY", OLD);
    let mut system = builder.issuers(2).edges(2).start().await?;
    let load = Load::start(&system).await?;
    for value in steps() {
        load.reconfigure_issuers(&mut system, "ENCRYPTION_KEY", &value)
            .await?;
    }
    let turns = load.stop().await?;
    ensure!(turns > 40, "{turns}");
    Ok(())
}

#[tokio::test]
async fn jwt_secret_is_rotated_under_load() -> Result<()> {
    let builder = System::builder().setting("JWT_SECRET", OLD);
    let mut system = builder.issuers(2).edges(2).start().await?;
    let load = Load::start(&system).await?;
    let old = load.signed_by()?;
    for value in steps() {
        load.reconfigure_edges(&mut system, "JWT_SECRET", &value)
            .await?;
        load.reconfigure_issuers(&mut system, "JWT_SECRET", &value)
            .await?;
    }
    let new = load.signed_by()?;
    let turns = load.stop().await?;
    ensure!(turns > 40, "{turns}");
    ensure!(new.iter().all(|kid| !old.contains(kid)), "{new:?}");
    Ok(())
}

#[tokio::test]
async fn edge_secret_is_rotated_under_load() -> Result<()> {
    let builder = System::builder().setting("EDGE_SECRET", OLD);
    let mut system = builder.issuers(2).edges(2).start().await?;
    let load = Load::start(&system).await?;
    for value in steps() {
        load.reconfigure_issuers(&mut system, "EDGE_SECRET", &value)
            .await?;
        load.reconfigure_edges(&mut system, "EDGE_SECRET", &value)
            .await?;
    }
    let turns = load.stop().await?;
    ensure!(turns > 40, "{turns}");
    Ok(())
}

/// Each step of a rotation, as every part is told it before the next.
fn steps() -> [String; 3] {
    [
        format!("{OLD},{NEW}"),
        format!("{NEW},{OLD}"),
        NEW.to_owned(),
    ]
}
