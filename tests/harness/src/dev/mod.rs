//! `cargo dev`: everything on one machine, the edge under `wrangler dev`, and Demo ID to sign in with.

mod parts;
mod ready;
mod state;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::idp::DemoId;
use crate::origin::Origin;
use crate::postgres::Cluster;
use crate::process::Process;
use crate::system::settings::Settings;
use crate::system::{Account, Client};
use crate::{setup, wrangler};
use parts::blocking;
pub use state::Data;
use state::State;

/// What `cargo dev` is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the site is to be reached.
    pub port: u16,
    /// What becomes of this port's data.
    pub data: Data,
    /// The rules in place of those in `wrangler.toml`, in the same form.
    pub routes: Option<Value>,
}

/// A stack as `cargo dev` runs it; dropping it stops everything.
#[derive(Debug)]
pub struct Dev {
    // In the order in which they must go.
    edge: Process,
    issuer: Process,
    demo_id: DemoId,
    origin: Origin,
    postgres: Option<Cluster>,
    state: State,
    settings: Settings,
}

/// Runs until Ctrl-C, SIGTERM, or the end of any part.
///
/// # Errors
/// A part does not come up, or has ended.
pub async fn run(options: Options) -> Result<()> {
    let mut stop = Stop::new()?;
    let dev = tokio::select! {
        started = Dev::start(options) => started?,
        () = stop.asked() => bail!("stopped before everything was up"),
    };
    println!("{}", ready::welcome(dev.public_url(), &dev.logs()));
    tokio::select! {
        ended = dev.ended() => ended,
        () = stop.asked() => {
            eprintln!("stopping");
            Ok(())
        }
    }
}

impl Dev {
    /// Starts everything, and returns when a request has gone edge → issuer → Postgres and back.
    ///
    /// # Errors
    /// A part does not come up; the message says which and shows the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        let state = State::claim(options.port, options.data)?;
        let tools = blocking(setup::for_dev).await?;
        let mut settings = state.settings(wrangler::read()?.namespace()?)?;
        let postgres = parts::postgres(&tools.npm, &state, &mut settings).await?;
        let demo_id = parts::demo_id(tools.npm.clone(), &state, &mut settings).await?;
        say("building the issuer and the worker");
        let program = crate::system::issuer_program().await?;
        let for_build = tools.clone();
        blocking(move || {
            crate::worker_build::build(&for_build, crate::worker_build::Variant::Production)
        })
        .await?;
        parts::migrate(program, &settings).await?;
        let origin = Origin::start().await?;
        say(&format!("starting the edge on port {}", options.port));
        let mut texts = parts::edge_texts(&settings, origin.addr())?;
        texts.extend(
            options
                .routes
                .map(|rules| ("ROUTES".to_owned(), rules.to_string())),
        );
        let edge = parts::edge(&tools.npm, &state, &texts)?;
        // The edge first: it is also the KV to which the issuer publishes as soon as it is up.
        ready::edge(&edge, &state.client(&settings)?).await?;
        let issuer = parts::issuer(program, &state, &settings)?;
        let dev = Self {
            edge,
            issuer,
            demo_id,
            origin,
            postgres,
            state,
            settings,
        };
        tokio::select! {
            ready = ready::path(&dev) => ready?,
            ended = dev.ended() => ended?,
        }
        Ok(dev)
    }

    /// The site as users see it.
    pub fn public_url(&self) -> &str {
        state::public_url(&self.settings)
    }

    /// A new browser.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn client(&self) -> Result<Client> {
        self.state.client(&self.settings)
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

    /// Where the parts write their logs.
    pub fn logs(&self) -> String {
        self.state.folder().display().to_string()
    }

    /// Who signs in any name.
    pub const fn demo_id(&self) -> &DemoId {
        &self.demo_id
    }

    /// The origin, which remembers what has reached it.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns, with an error that says which, as soon as a part has ended.
    ///
    /// # Errors
    /// Always in the end.
    pub async fn ended(&self) -> Result<()> {
        loop {
            let postgres = self.postgres.as_ref().map(Cluster::process);
            let parts = [&self.edge, &self.issuer].into_iter();
            for process in parts.chain(self.demo_id.process()).chain(postgres) {
                process
                    .check()
                    .with_context(|| format!("{} is gone, so everything stops", process.name()))?;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The ways in which the system asks a program to end.
struct Stop([tokio::signal::unix::Signal; 3]);

impl Stop {
    fn new() -> Result<Self> {
        let hear = |kind| signal(kind).context("cannot hear signals");
        Ok(Self([
            hear(SignalKind::interrupt())?,
            hear(SignalKind::terminate())?,
            hear(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn say(line: &str) {
    eprintln!("dev: {line}");
}
