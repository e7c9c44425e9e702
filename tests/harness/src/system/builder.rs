//! Describes a stack and starts it.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context as _, Result};
use issuer::time::Clock;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::System;
use super::edge::Edge;
use super::issuers::{Issuer, Kind};
use super::link::{Link, Wire};
use super::settings::{self, Settings};
use super::wires::{Ends, Wires};
use crate::cache_api::CacheApi;
use crate::idp::DemoId;
use crate::kv::{self, Kv, Lag};
use crate::origin::Origin;
use crate::postgres::Server;
use crate::setup::{self, BuildTools, Npm};
use crate::worker_build::{self, Variant};
use crate::{ports, process, workerd, workspace, wrangler};

/// A stack that is being described: one issuer in this process and one edge, until told otherwise.
#[derive(Debug)]
pub struct Builder {
    issuers: usize,
    edges: usize,
    kind: Kind,
    variant: Variant,
    settings: Settings,
    edge_settings: Settings,
    routes: Option<Value>,
    kv_lag: Option<Lag>,
    inspected: bool,
    has_cf: bool,
    has_demo_id: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            issuers: 1,
            edges: 1,
            kind: Kind::InProcess,
            variant: Variant::Production,
            settings: Settings::new(),
            edge_settings: Settings::new(),
            routes: None,
            kv_lag: None,
            inspected: false,
            has_cf: false,
            has_demo_id: false,
        }
    }
}

impl Builder {
    /// So many issuers, among which the edges' connections take turns.
    #[must_use]
    pub const fn issuers(mut self, count: usize) -> Self {
        self.issuers = count;
        self
    }

    /// So many edges, each a location of its own.
    #[must_use]
    pub const fn edges(mut self, count: usize) -> Self {
        self.edges = count;
        self
    }

    /// Issuers are processes of the real program.
    #[must_use]
    pub const fn processes(mut self) -> Self {
        self.kind = Kind::Process;
        self
    }

    /// The worker is one that panics on `/panic-on-demand/now` and `/panic-on-demand/later`.
    #[must_use]
    pub const fn panic_on_demand(mut self) -> Self {
        self.variant = Variant::PanicOnDemand;
        self
    }

    /// A setting of the issuers; the edges get it too where they share it.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Settings of the issuers, such as those of a provider: see [`Builder::setting`].
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings.extend(settings);
        self
    }

    /// People can also sign in with Demo ID: see [`System::idp`].
    #[must_use]
    pub const fn demo_id(mut self) -> Self {
        self.has_demo_id = true;
        self
    }

    /// A setting of the edges alone.
    #[must_use]
    pub fn edge_setting(mut self, name: &str, value: &str) -> Self {
        self.edge_settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Requests may say in the header [`workerd::CF_HEADER`] what their `cf` is, as if the edges were Cloudflare's.
    #[must_use]
    pub const fn with_cf(mut self) -> Self {
        self.has_cf = true;
        self
    }

    /// Rules in place of those in wrangler.toml.
    #[must_use]
    pub fn routes(mut self, routes: Value) -> Self {
        self.routes = Some(routes);
        self
    }

    /// What is written to KV shows at each edge after a time that is drawn from `range` for each write, and what an
    /// edge has read it reads again from a cache, as in the real KV. Without this every write shows everywhere at once.
    #[must_use]
    pub const fn kv_lag(mut self, range: RangeInclusive<Duration>, seed: u64) -> Self {
        self.kv_lag = Some(Lag { range, seed });
        self
    }

    /// Each edge says how large its heap is: see [`Edge::heap_bytes`].
    #[must_use]
    pub const fn inspected(mut self) -> Self {
        self.inspected = true;
        self
    }

    /// Starts everything and waits until it answers.
    ///
    /// # Errors
    /// A part does not come up.
    pub async fn start(self) -> Result<System> {
        let tools = tools().await?;
        let clock = Clock::system();
        let (db, kv, origin) = tokio::try_join!(
            async { Server::for_tests().await?.database().await },
            Kv::start_in(self.edges, self.kv_lag.clone(), clock.clone()),
            Origin::start()
        )?;
        let edge_ports: Vec<u16> = (0..self.edges)
            .map(|_| ports::free())
            .collect::<Result<_>>()?;
        let first = edge_ports.first().copied().map_or_else(ports::free, Ok)?;
        let public_url = format!("http://localhost:{first}");
        let ends = Ends {
            issuers: self.issuers,
            db: address_in(&db.url())?,
            kv_public: kv.public_addr(),
            kv_workers: &kv.worker_addrs(),
            origin: origin.addr(),
        };
        let wires = Wires::start(ends).await?;
        let idp = match self.has_demo_id {
            true => Some(demo_id(tools.npm.clone(), &public_url).await?),
            false => None,
        };
        let settings = self.issuer_settings(&public_url, idp.as_ref())?;
        let mut issuers = Vec::new();
        for (issuer_db, issuer_kv) in wires.of_issuers() {
            let mut own = settings.clone();
            let database_url = through(&db.url(), issuer_db.addr())?;
            own.insert("DATABASE_URL".to_owned(), database_url);
            own.insert("KV_API_URL".to_owned(), kv::api_url(issuer_kv.addr()));
            issuers.push(Issuer::start(self.kind, &own, clock.clone()).await?);
        }
        wires.lead_to_issuers(&issuers.iter().map(Issuer::addr).collect::<Vec<_>>());
        let (mut edges, mut caches) = (Vec::new(), Vec::new());
        for (index, port) in edge_ports.into_iter().enumerate() {
            let cache = CacheApi::start(clock.clone()).await?;
            let options = self.edge_options(index, port, &settings, &wires, &cache);
            edges.push(Edge::start(tools.npm.clone(), options.await?).await?);
            caches.push(cache);
        }
        Ok(System {
            edges,
            issuers,
            wires,
            kv,
            caches,
            origin,
            idp,
            db,
            public_url,
            clock,
            shift: std::sync::Mutex::default(),
        })
    }

    fn issuer_settings(&self, public_url: &str, idp: Option<&DemoId>) -> Result<Settings> {
        let mut all = settings::secrets()?;
        all.extend(settings::unlimited());
        let known = [
            ("PUBLIC_URL", public_url),
            ("KV_API_TOKEN", kv::API_TOKEN),
            ("KV_NAMESPACE_ID", kv::NAMESPACE),
        ];
        all.extend(known.map(|(name, value)| (name.to_owned(), value.to_owned())));
        all.extend(idp.map(DemoId::settings).unwrap_or_default());
        all.extend(self.settings.clone());
        Ok(all)
    }

    async fn edge_options(
        &self,
        index: usize,
        port: u16,
        settings: &Settings,
        wires: &Wires,
        cache: &CacheApi,
    ) -> Result<workerd::Options> {
        let url = |wire: &Wire| format!("http://{}", wire.addr());
        let issuer = url(wires.at(Link::EdgeIssuer, index)?);
        let origin = url(wires.at(Link::EdgeOrigin, index)?);
        let mut texts: Settings = settings::edge_texts(settings, &issuer, &origin)
            .into_iter()
            .collect();
        texts.extend(self.edge_settings.clone());
        let routes = self
            .routes
            .clone()
            .map_or_else(|| Ok(wrangler::read()?.vars.routes), anyhow::Ok)?;
        Ok(workerd::Options {
            worker: worker(self.variant).await?,
            port,
            kv: wires.at(Link::EdgeKv, index)?.addr(),
            cache: cache.addr(),
            inspector: self.inspected.then(ports::free).transpose()?,
            texts: texts.into_iter().collect(),
            routes,
            has_cf: self.has_cf,
        })
    }
}

async fn demo_id(npm: Npm, site: &str) -> Result<DemoId> {
    let log = workspace::scratch()?.join(format!("demo-id-{}.log", process::serial()));
    DemoId::start(npm, ports::free()?, site, log).await
}

/// What is needed to build and run the stack, looked for once per process.
async fn tools() -> Result<&'static BuildTools> {
    static TOOLS: OnceCell<BuildTools> = OnceCell::const_new();
    TOOLS.get_or_try_init(|| blocking(setup::for_dev)).await
}

/// The built worker, brought up to date once per process.
async fn worker(variant: Variant) -> Result<std::path::PathBuf> {
    static PRODUCTION: OnceCell<std::path::PathBuf> = OnceCell::const_new();
    static PANICKING: OnceCell<std::path::PathBuf> = OnceCell::const_new();
    let built = match variant {
        Variant::Production => &PRODUCTION,
        Variant::PanicOnDemand => &PANICKING,
    };
    let tools = tools().await?;
    built
        .get_or_try_init(|| blocking(move || worker_build::build(tools, variant)))
        .await
        .cloned()
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a task of the harness has panicked")?
}

/// Host and port of a database URL.
fn address_in(url: &str) -> Result<SocketAddr> {
    let url = reqwest::Url::parse(url).context("DATABASE_URL is no URL")?;
    let found = url
        .socket_addrs(|| Some(5432))
        .context("the host of DATABASE_URL is unknown")?;
    found
        .first()
        .copied()
        .context("the host of DATABASE_URL has no address")
}

/// The same database, reached through a wire.
fn through(url: &str, wire: SocketAddr) -> Result<String> {
    let mut url = reqwest::Url::parse(url).context("DATABASE_URL is no URL")?;
    url.set_ip_host(wire.ip())
        .ok()
        .and_then(|()| url.set_port(Some(wire.port())).ok())
        .context("DATABASE_URL names no host")?;
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_reached_through_a_wire() {
        let wire = SocketAddr::from(([127, 0, 0, 1], 7));
        assert_eq!(
            through("postgres://u:p@127.0.0.1:5433/name", wire).unwrap(),
            "postgres://u:p@127.0.0.1:7/name"
        );
        assert_eq!(
            address_in("postgres://u:p@127.0.0.1/name").unwrap().port(),
            5432
        );
    }
}
