//! An issuer of the stack: in this process, or a process of the real program.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use issuer::App;
use issuer::time::Clock;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell, oneshot};
use tokio::task::JoinHandle;

use super::builder::blocking;
use super::settings::{Settings, issuer_config};
use crate::process::{self, Process, Stop, serial};
use crate::wait::until;
use crate::{ports, workspace};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Builds the program with the very features that the harness was built with. Without naming the harness too, cargo
/// would compile half the dependencies once more, with a feature less.
pub const ISSUER_BUILD: [&str; 8] = [
    "build",
    "--quiet",
    "--package",
    "issuer",
    "--package",
    "harness",
    "--bin",
    "issuer",
];

/// Where an issuer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In this process, with a clock that can be moved.
    InProcess,
    /// As `issuer serve`.
    Process,
}

/// One issuer; it listens at the same place after a restart.
#[derive(Debug)]
pub struct Issuer {
    kind: Kind,
    settings: Settings,
    clock: Clock,
    addr: SocketAddr,
    admin_addr: SocketAddr,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
enum Running {
    InProcess(InProcess),
    Process(Process),
}

impl Issuer {
    pub(super) async fn start(kind: Kind, settings: &Settings, clock: Clock) -> Result<Self> {
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let (addr, admin_addr) = (local(ports::free()?), local(ports::free()?));
        let mut settings = settings.clone();
        settings.insert("LISTEN_ADDR".into(), addr.to_string());
        settings.insert("ADMIN_LISTEN_ADDR".into(), admin_addr.to_string());
        let issuer = Self {
            kind,
            settings,
            clock,
            addr,
            admin_addr,
            running: Mutex::default(),
        };
        issuer.start_again().await?;
        Ok(issuer)
    }

    /// Where it listens for the edges.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it answers about its health.
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// What it was configured with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it runs.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Ends it without a goodbye, as a power cut would.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill(&self) -> Result<()> {
        match self
            .running
            .lock()
            .await
            .take()
            .context("this issuer does not run")?
        {
            Running::InProcess(running) => drop(running),
            Running::Process(process) => {
                blocking(move || {
                    process.kill();
                    Ok(())
                })
                .await?
            }
        }
        until("the issuer's end", STOP_LIMIT, async || {
            ports::is_free(self.addr.port())
        })
        .await
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It does not run, or does not end.
    pub async fn stop(&self) -> Result<()> {
        match self
            .running
            .lock()
            .await
            .take()
            .context("this issuer does not run")?
        {
            Running::InProcess(running) => running.stop().await,
            Running::Process(process) => {
                blocking(move || {
                    process.stop();
                    Ok(())
                })
                .await
            }
        }
    }

    /// Kills it if it runs, and starts it.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn restart(&self) -> Result<()> {
        if self.running.lock().await.is_some() {
            self.kill().await?;
        }
        self.start_again().await
    }

    /// Stops it and starts it with another value of one setting, as an operator would.
    ///
    /// # Errors
    /// It does not stop, or does not come up.
    pub async fn reconfigure(&mut self, name: &str, value: &str) -> Result<()> {
        self.stop().await?;
        self.settings.insert(name.to_owned(), value.to_owned());
        self.start_again().await
    }

    /// The end of what it has logged, if it is a process.
    pub async fn log(&self) -> String {
        match &*self.running.lock().await {
            Some(Running::Process(process)) => process.log_tail(),
            _ => String::new(),
        }
    }

    async fn start_again(&self) -> Result<()> {
        let mut slot = self.running.lock().await;
        let running = match self.kind {
            Kind::InProcess => {
                Running::InProcess(InProcess::start(&self.settings, self.clock.clone()).await?)
            }
            Kind::Process => Running::Process(spawn(&self.settings).await?),
        };
        let http = super::http_client()?;
        let ready = until("the issuer", START_LIMIT, async || {
            let answer = http
                .get(format!("http://{}/readyz", self.admin_addr))
                .send()
                .await;
            running.check().is_err() || answer.is_ok_and(|answer| answer.status().is_success())
        });
        ready.await.with_context(|| running.log_tail())?;
        running.check()?;
        *slot = Some(running);
        Ok(())
    }
}

impl Running {
    fn check(&self) -> Result<()> {
        match self {
            Self::InProcess(running) if running.task.is_finished() => bail!("the issuer has ended"),
            Self::InProcess(_) => Ok(()),
            Self::Process(process) => process.check(),
        }
    }

    fn log_tail(&self) -> String {
        match self {
            Self::InProcess(_) => String::new(),
            Self::Process(process) => process.log_tail(),
        }
    }
}

/// An issuer on threads of its own: dropping them ends whatever it was doing.
#[derive(Debug)]
struct InProcess {
    runtime: Option<Runtime>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl InProcess {
    async fn start(settings: &Settings, clock: Clock) -> Result<Self> {
        let config = issuer_config(settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("issuer")
            .enable_all()
            .build()
            .context("cannot start the issuer's threads")?;
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(async move {
            let app = App::build(config, clock)
                .await
                .context("the issuer does not start")?;
            let asked = async { stopped.await.unwrap_or_default() };
            app.run_until_stopped(asked)
                .await
                .context("the issuer failed")
        });
        Ok(Self {
            runtime: Some(runtime),
            stop,
            task,
        })
    }

    async fn stop(mut self) -> Result<()> {
        let (stop, _) = oneshot::channel();
        // An issuer that has ended already hears nothing, and its task tells why.
        let _ = std::mem::replace(&mut self.stop, stop).send(());
        let ended = tokio::time::timeout(STOP_LIMIT, &mut self.task).await;
        ended
            .context("the issuer does not end")?
            .context("the issuer panicked")?
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts the program with these settings and no others.
async fn spawn(settings: &Settings) -> Result<Process> {
    let program = program().await?;
    let log = workspace::scratch()?.join(format!("issuer-{}.log", serial()));
    let mut command = Command::new(program);
    command
        .arg("serve")
        .env_clear()
        .envs(settings)
        .env_remove("ORIGIN_SECRET");
    Process::spawn("the issuer", command, &log, Stop::Term)
}

/// The real program, brought up to date once per process.
///
/// # Errors
/// It does not compile.
pub async fn program() -> Result<&'static std::path::Path> {
    static BUILT: OnceCell<std::path::PathBuf> = OnceCell::const_new();
    let built = BUILT.get_or_try_init(|| {
        blocking(|| {
            let mut cargo = Command::new("cargo");
            cargo.args(ISSUER_BUILD).current_dir(workspace::root());
            process::run("cargo build (issuer)", cargo, BUILD_LIMIT)?;
            Ok(workspace::target().join("debug/issuer"))
        })
    });
    Ok(built.await?)
}
