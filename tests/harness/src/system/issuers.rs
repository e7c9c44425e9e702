//! An issuer of the stack: in this process, or a process of the real program.

mod in_process;

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use issuer::App;
use issuer::time::Clock;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Mutex, OnceCell};

use super::builder::blocking;
use super::settings::Settings;
use crate::process::{self, Process, Stop, serial};
use crate::wait::{eventually, until};
use crate::{ports, workspace};
use in_process::InProcess;

const START_LIMIT: Duration = Duration::from_secs(30);
/// What an issuer is given to end, and a busy machine.
const STOP_LIMIT: Duration = App::ENDS_WITHIN.saturating_add(Duration::from_secs(8));
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Builds the program with the very features that the harness was built with. Without naming all members, cargo
/// would compile half the dependencies once more, with a feature less.
pub const ISSUER_BUILD: [&str; 5] = ["build", "--quiet", "--workspace", "--bin", "issuer"];

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
        match self.take().await? {
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

    /// It keeps its connections and does nothing, as a machine that swaps or a stopped virtual one would.
    ///
    /// # Errors
    /// It is no process, or does not run; so for the next.
    pub async fn freeze(&self) -> Result<()> {
        self.process(Process::freeze).await
    }

    /// It goes on where it stopped.
    ///
    /// # Errors
    /// See [`Issuer::freeze`].
    pub async fn thaw(&self) -> Result<()> {
        self.process(Process::thaw).await
    }

    async fn process(&self, verb: fn(&Process) -> Result<()>) -> Result<()> {
        match &*self.running.lock().await {
            Some(Running::Process(process)) => verb(process),
            Some(Running::InProcess(_)) => bail!("only an issuer that is a process can be frozen"),
            None => bail!("this issuer does not run"),
        }
    }

    /// Asks it to end, as a supervisor would, and does not wait.
    ///
    /// # Errors
    /// See [`Issuer::freeze`].
    pub async fn terminate(&self) -> Result<()> {
        self.process(terminate).await
    }

    /// Waits until it has ended, and says how.
    ///
    /// # Errors
    /// It is no process, or does not end.
    pub async fn ended(&self) -> Result<ExitStatus> {
        match self.take().await? {
            Running::Process(process) => end_of(process).await,
            Running::InProcess(_) => bail!("only an issuer that is a process ends with a status"),
        }
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// It does not run, does not end, or failed.
    pub async fn stop(&self) -> Result<()> {
        match self.take().await? {
            Running::InProcess(running) => running.stop().await,
            Running::Process(process) => {
                terminate(&process)?;
                let log = process.log().to_owned();
                let status = end_of(process).await?;
                ensure!(status.success(), "{status}:\n{}", process::tail(&log));
                Ok(())
            }
        }
    }

    async fn take(&self) -> Result<Running> {
        let running = self.running.lock().await.take();
        running.context("this issuer does not run")
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
            Self::InProcess(running) if running.is_finished() => bail!("the issuer has ended"),
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

fn terminate(process: &Process) -> Result<()> {
    process.check()?;
    let id = Pid::from_raw(process.id()).context("a process id out of range")?;
    kill_process(id, Signal::TERM).context("the issuer takes no signal")?;
    // What is frozen hears of it only when it goes on.
    process.thaw()
}

/// How a process that was asked to end did so. It is ended by force where it does not.
async fn end_of(process: Process) -> Result<ExitStatus> {
    eventually("the issuer's end", STOP_LIMIT, || {
        std::future::ready(process.exited())
    })
    .await
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
            let cargo = workspace::cargo(&ISSUER_BUILD);
            process::run("cargo build (issuer)", cargo, BUILD_LIMIT)?;
            Ok(workspace::target().join("debug/issuer"))
        })
    });
    Ok(built.await?)
}
