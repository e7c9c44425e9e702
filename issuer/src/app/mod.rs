//! An issuer put together: its sockets, its tasks, its end.

mod signals;
pub mod sweep;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::events;
use crate::fault::Fault;
use crate::http;
use crate::revoke::publish;
use crate::revoke::publish::{KvClient, KvError, Wake};
use crate::services::Services;
use crate::store::{Store, StoreError};
use crate::time::Clock;

/// How long an issuer that is told to stop serves on, not ready any more and asking with every answer that its connection be
/// closed. Whoever balances load leads new connections elsewhere, and a request is not sent into a connection that is just being
/// closed, which would fail it.
const LEAVE: Duration = Duration::from_secs(1);

/// How long requests under way may take to finish once the issuer is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long connections to Postgres may take to close after that.
const CLOSE: Duration = Duration::from_secs(2);

/// Why an issuer did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The schema is older than this build.
    #[error("the database lacks migrations {0:?}; run: issuer migrate")]
    Unmigrated(Vec<i64>),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// A socket failed.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// Postgres, keys, randomness.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The KV client.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// A task that runs for ever did not.
    #[error("a background task died")]
    Task,
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

/// An issuer that is ready to run.
pub struct App {
    services: Arc<Services>,
    kv: Option<KvClient>,
    public: TcpListener,
    admin: TcpListener,
}

impl App {
    /// How long an issuer may take to end once it is told to. Whoever kills it sooner may cut off what it was doing.
    pub const ENDS_WITHIN: Duration = LEAVE.saturating_add(DRAIN).saturating_add(CLOSE);

    /// Connects to Postgres, loads the keys and opens the sockets (port 0 gives a free port).
    ///
    /// # Errors
    /// [`AppError`] that says what is missing.
    pub async fn build(config: Config, clock: Clock) -> Result<Self, AppError> {
        publish::install_tls_provider();
        let store = Store::connect(&config.database_url, config.database_max_connections).await?;
        let missing = store.missing_migrations().await?;
        if !missing.is_empty() {
            return Err(AppError::Unmigrated(missing));
        }
        events::make_weeks(&store, clock.now()).await?;
        let kv = config.kv.as_ref().map(KvClient::new).transpose()?;
        let public = bind(config.listen_addr).await?;
        let admin = bind(config.admin_listen_addr).await?;
        let services = Arc::new(Services::new(config, clock, store).await?);
        // The first read is of everything and may take a while: better before anybody waits for it.
        let mut conn = services.store.conn().await?;
        services.ledger.refresh(&mut conn).await?;
        drop(conn);
        Ok(Self {
            services,
            kv,
            public,
            admin,
        })
    }

    /// Where the public and the edges call.
    ///
    /// # Errors
    /// [`AppError::Socket`] where the system does not say.
    pub fn public_addr(&self) -> Result<SocketAddr, AppError> {
        Ok(self.public.local_addr()?)
    }

    /// Where the operator calls.
    ///
    /// # Errors
    /// [`AppError::Socket`] where the system does not say.
    pub fn admin_addr(&self) -> Result<SocketAddr, AppError> {
        Ok(self.admin.local_addr()?)
    }

    /// The parts it is made of.
    pub const fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Serves until `stop` completes, then lets requests under way finish.
    ///
    /// # Errors
    /// [`AppError`] where a task died; the process should end then, and be started anew.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        tracing::info!(public = %self.public_addr()?, admin = %self.admin_addr()?, "listening");
        let mut tasks = background(&self.services, self.kv);
        let (stopping, stopped) = watch::channel(());
        let mut servers = JoinSet::new();
        servers.spawn(serve(
            self.public,
            http::public(self.services.clone()),
            stopped.clone(),
        ));
        servers.spawn(serve(
            self.admin,
            http::operator(self.services.clone()),
            stopped,
        ));

        let outcome = tokio::select! {
            () = stop => {
                self.services.leaving.store(true, Ordering::Relaxed);
                sleep(LEAVE).await;
                Ok(())
            }
            Some(ended) = tasks.join_next() => died("background task", ended.err()),
            Some(ended) = servers.join_next() => died("server", ended.err()),
        };
        tracing::info!("stopping");
        drop(stopping);
        let drained = timeout(DRAIN, async {
            while servers.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!("requests were still under way and are cut off");
        }
        servers.shutdown().await;
        // Ends the publisher's connection, and with it the lead. What it has not written another issuer writes, or this one
        // when it starts again: it keeps no list, so there is nothing to hand over.
        tasks.shutdown().await;
        if timeout(CLOSE, self.services.store.close()).await.is_err() {
            tracing::warn!("connections to Postgres were still in use");
        }
        outcome
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| AppError::Bind { address, error })
}

async fn serve(
    listener: TcpListener,
    router: Router,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        // The sender says nothing; its end is the signal.
        .with_graceful_shutdown(async move { while stopped.changed().await.is_ok() {} })
        .await
}

fn background(services: &Arc<Services>, kv: Option<KvClient>) -> JoinSet<()> {
    let (wake, keys) = (Arc::new(Wake::default()), Arc::new(Notify::new()));
    let mut tasks = JoinSet::new();
    tasks.spawn(signals::listen(
        services.clone(),
        wake.clone(),
        keys.clone(),
    ));
    tasks.spawn(signals::reload_keys(services.clone(), wake.clone(), keys));
    tasks.spawn(sweep::run(services.clone()));
    match kv {
        Some(kv) => {
            tasks.spawn(publish::run(services.clone(), kv, wake));
        }
        None => tracing::warn!(
            "KV_API_URL is not set: nothing is published, edges must ask /edge/keys and /edge/revocations"
        ),
    }
    tasks
}

fn died(what: &str, error: Option<tokio::task::JoinError>) -> Result<(), AppError> {
    tracing::error!(what, error = error.map(|error| error.to_string()), "died");
    Err(AppError::Task)
}
