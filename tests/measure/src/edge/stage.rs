//! The workerd that holds every contender, and what stands around it: KV and origin.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use harness::kv::Kv;
use harness::process::{Process, Stop};
use harness::setup::Npm;
use harness::wait::until;
use harness::{ports, workspace, wrangler};
use shared::key::Algorithm;
use shared::wire;

use super::capnp::{self, Common, Service};
use super::contender::{Contender, Tokens, Worker};
use super::knowledge::{Knowledge, SITE};
use super::modules::Modules;
use crate::cpu;
use crate::load::{self, Target};
use crate::origin::{self, Says};

const START_LIMIT: Duration = Duration::from_secs(30);
/// How often the issuer would publish, so that what KV holds never grows old.
const PUBLISH_EVERY: Duration = Duration::from_secs(5);
/// The running stack of a measurement.
#[derive(Debug)]
pub(crate) struct Stage {
    process: Process,
    targets: Vec<(&'static str, Target)>,
    _kv: Arc<Kv>,
}

impl Stage {
    /// Starts all of it; `worker` is the folder of the built worker.
    ///
    /// # Errors
    /// workerd does not come up; the message holds the end of its log.
    pub(crate) async fn set(npm: &Npm, worker: &Path, contenders: &[&Contender]) -> Result<Self> {
        let knowledge = Knowledge::new()?;
        let kv = Arc::new(Kv::start().await?);
        let silent = origin::start(Says::Nothing).await?;
        let private = origin::start(Says::Private).await?;
        let folder = workspace::scratch()?.join("measure");
        let modules = Modules::lay_out(npm, worker, &folder)?;
        let (mut services, mut targets) = (Vec::new(), Vec::new());
        for contender in contenders {
            let port = ports::free()?;
            let origin = match contender.answers {
                Says::Nothing => silent,
                Says::Private => private,
            };
            services.push(service(contender, &knowledge, &modules, origin, port)?);
            targets.push((contender.name, target(contender, &knowledge, port)?));
        }
        let settings = wrangler::read()?;
        let common = Common {
            kv: *kv.worker_addrs().first().context("KV has no location")?,
            compatibility_date: &settings.compatibility_date,
            compatibility_flags: &settings.compatibility_flags,
        };
        std::fs::write(
            folder.join("config.capnp"),
            capnp::config(&services, common),
        )
        .context("cannot write workerd's configuration")?;
        kv.put(wire::kv::KEY_SET, knowledge.published_keys()?);
        kv.put(
            wire::kv::REVOCATIONS_HEAD,
            knowledge.published_revocations()?,
        );
        tokio::spawn(keep_publishing(Arc::clone(&kv), knowledge));
        let process = spawn(npm, &folder)?;
        let stage = Self {
            process,
            targets,
            _kv: kv,
        };
        stage.wait().await?;
        Ok(stage)
    }

    /// What to ask of `contender`.
    ///
    /// # Errors
    /// It does not take part.
    pub(crate) fn target(&self, contender: &Contender) -> Result<&Target> {
        let found = self
            .targets
            .iter()
            .find(|(name, _)| *name == contender.name);
        Ok(&found
            .with_context(|| format!("{} does not take part", contender.name))?
            .1)
    }

    /// The process whose CPU time counts.
    pub(crate) fn process_id(&self) -> i32 {
        self.process.id()
    }

    /// The end of what workerd has written.
    pub(crate) fn log_tail(&self) -> String {
        format!("The end of workerd's log:\n{}", self.process.log_tail())
    }

    async fn wait(&self) -> Result<()> {
        for (_, target) in &self.targets {
            let up = until("workerd", START_LIMIT, async || {
                tokio::net::TcpStream::connect(target.addr).await.is_ok()
                    || self.process.exited().is_some()
            });
            up.await.with_context(|| self.log_tail())?;
            self.process.check()?;
        }
        Ok(())
    }
}

async fn keep_publishing(kv: Arc<Kv>, knowledge: Knowledge) {
    loop {
        tokio::time::sleep(PUBLISH_EVERY).await;
        match knowledge.published_revocations() {
            Ok(value) => kv.put(wire::kv::REVOCATIONS_HEAD, value),
            Err(error) => eprintln!("nothing was published: {error:#}"),
        }
    }
}

fn service(
    contender: &Contender,
    knowledge: &Knowledge,
    modules: &Modules,
    origin: SocketAddr,
    port: u16,
) -> Result<Service> {
    let site = ("PUBLIC_URL", SITE.to_owned());
    let origin_url = ("ORIGIN_URL", format!("http://{origin}"));
    let jwt_secret = (contender.algorithm == Algorithm::Hs256)
        .then(|| ("JWT_SECRET", knowledge.jwt_secret.clone()));
    let (mut texts, mut jsons, mut kv) = (Vec::new(), Vec::new(), None);
    match contender.worker {
        Worker::Floor => {}
        Worker::PassThrough | Worker::MarkingPassThrough | Worker::LeastPassThrough => {
            texts.push(origin_url);
        }
        Worker::Jose { kv: asks_kv } => {
            texts.extend([site, ("ALGORITHM", contender.algorithm.as_str().to_owned())]);
            texts.extend(jwt_secret);
            jsons.push(("JWK", knowledge.jwk()?));
            kv = asks_kv.then_some("REVOKED");
        }
        Worker::Guard | Worker::Deployed => {
            // Nothing here needs the issuer; a request that did would fail, and be counted as wrong.
            let issuer = ("ISSUER_URL", "http://127.0.0.1:9".to_owned());
            let edge_secret = ("EDGE_SECRET", knowledge.edge_secret.clone());
            texts.extend([
                site,
                issuer,
                origin_url,
                edge_secret,
                ("ORIGIN_SECRET", knowledge.origin_secret.clone()),
            ]);
            texts.extend(jwt_secret);
            jsons.push(("ROUTES", wrangler::read()?.vars.routes.to_string()));
            kv = Some("REVOCATIONS");
        }
    }
    Ok(Service {
        modules: modules.of(contender.worker),
        texts,
        jsons,
        kv,
        port,
    })
}

fn target(contender: &Contender, knowledge: &Knowledge, port: u16) -> Result<Target> {
    let pool = match contender.tokens {
        Tokens::Same => knowledge.token(contender.algorithm)?,
        Tokens::Different => knowledge.many_tokens(contender.algorithm)?,
        Tokens::SameAmongOthers => knowledge.token_among_others(contender.algorithm)?,
    };
    let (before_token, after_token) = REQUEST
        .split_once("TOKEN")
        .context("the request has a place for the token")?;
    Ok(Target {
        addr: SocketAddr::from(([127, 0, 0, 1], port)),
        before_token: before_token.replace('\n', "\r\n").into(),
        tokens: Arc::new(load::Tokens::new(pool)),
        after_token: after_token.replace('\n', "\r\n").into(),
        mark: contender.mark,
    })
}

fn spawn(npm: &Npm, folder: &Path) -> Result<Process> {
    let mut command = Command::new(npm.workerd()?);
    command.args(["serve", "config.capnp"]).current_dir(folder);
    let log = folder.join("workerd.log");
    cpu::apart(|| Process::spawn("workerd", command, &log, Stop::Kill))?
}

/// What a browser sends when its user follows a link within the site.
const REQUEST: &str = include_str!("request.txt");
