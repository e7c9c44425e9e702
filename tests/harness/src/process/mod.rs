//! Child processes that do not outlive us: each leads a process group of its own, and a [`guard`] ends the groups
//! when this process is gone, by whatever cause.

mod guard;

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

pub use guard::remove_at_the_end;

use crate::wait::eventually;

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(8);
const LINES_SHOWN: usize = 40;

/// The user that root becomes for programs that refuse to run as root ("nobody" on Debian).
pub const UNPRIVILEGED: u32 = 65_534;

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM: most.
    Term,
    /// SIGINT: Postgres, which reads it as "end all connections, then yourself".
    Interrupt,
    /// SIGKILL at once: what has nothing to lose.
    Kill,
}

impl Stop {
    const fn signal(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Interrupt => Signal::INT,
            Self::Kill => Signal::KILL,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
        }
    }
}

/// A running program; dropping it ends it and all that it has started.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    stop: Stop,
    group: Pid,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `command`, whose output goes to the file `log`; `name` is what messages call it.
    ///
    /// # Errors
    /// The program is not there or cannot be started.
    pub fn spawn(name: &str, command: Command, log: &Path, stop: Stop) -> Result<Self> {
        Self::spawn_reading(name, command, Stdio::null(), log, stop)
    }

    fn spawn_reading(
        name: &str,
        mut command: Command,
        input: Stdio,
        log: &Path,
        stop: Stop,
    ) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let err = out.try_clone().context("cannot share a log file")?;
        let program = command.get_program().to_os_string();
        let child = command
            .process_group(0)
            .stdin(input)
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", program.display()))?;
        let group = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id out of range")?;
        guard::watch(stop.name(), group)?;
        Ok(Self {
            name: name.to_owned(),
            log: log.to_owned(),
            stop,
            group,
            child: Mutex::new(child),
        })
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process's id.
    pub fn id(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()
            .ok()
            .flatten()
    }

    /// The end of what it has written.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Whether `text` stands in what it has written.
    pub fn log_contains(&self, text: &str) -> bool {
        std::fs::read_to_string(&self.log).is_ok_and(|log| log.contains(text))
    }

    /// The file that holds what it has written.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails, with the end of its log, if it has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&self) -> Result<()> {
        match self.exited() {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended ({status}). The end of its log:\n{}",
                self.name,
                self.log_tail()
            ),
        }
    }

    /// Waits until it takes connections at `addr`, at most for `limit`.
    ///
    /// # Errors
    /// As [`Process::up`].
    pub async fn listening(&self, addr: SocketAddr, limit: Duration) -> Result<()> {
        self.up(limit, async || {
            tokio::net::TcpStream::connect(addr).await.is_ok()
        })
        .await
    }

    /// Waits until `answers` says that it is up, at most for `limit`.
    ///
    /// # Errors
    /// It has ended, or is not up by then; the message holds the end of its log.
    pub async fn up<F>(&self, limit: Duration, mut answers: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let over = eventually(&self.name, limit, || {
            let asked = answers();
            async { (asked.await || self.exited().is_some()).then_some(()) }
        });
        over.await.with_context(|| self.log_tail())?;
        self.check()
    }

    /// Asks it to end, and ends it and its children by force after a grace.
    pub fn stop(&self) {
        if self.exited().is_none() {
            // A group that is gone already is what we want.
            let _ = kill_process_group(self.group, self.stop.signal());
            // What is frozen hears of it only when it goes on.
            let _ = kill_process_group(self.group, Signal::CONT);
            let asked = Instant::now();
            while self.exited().is_none() && asked.elapsed() < GRACE {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill();
    }

    /// Stops the clock for it and its children: they keep their connections and do nothing.
    ///
    /// # Errors
    /// It has ended; so for the next.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// See [`Process::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.check()?;
        kill_process_group(self.group, signal)
            .with_context(|| format!("{} takes no signal", self.name))
    }

    /// Ends it and its children at once, as `kill -9` would.
    pub fn kill(&self) {
        // The leader may be gone while children of its own are left in the group.
        let _ = kill_process_group(self.group, Signal::KILL);
        let _ = self
            .child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait();
        guard::forget(self.group);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `command` to its end, at most for `limit`, and gives back what it wrote.
///
/// # Errors
/// It cannot be started, fails, or takes too long; the message holds the end of its output.
pub fn run(name: &str, command: Command, limit: Duration) -> Result<String> {
    run_reading(name, command, Stdio::null(), limit)
}

/// As [`run`], with `text` as the program's input.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(name: &str, command: Command, text: &str, limit: Duration) -> Result<String> {
    let file = crate::workspace::scratch()?.join(format!("input-{}", serial()));
    std::fs::write(&file, text).context("cannot write a program's input")?;
    let input = File::open(&file).context("cannot read a program's input")?;
    std::fs::remove_file(&file).context("cannot remove a program's input")?;
    run_reading(name, command, input.into(), limit)
}

fn run_reading(name: &str, command: Command, input: Stdio, limit: Duration) -> Result<String> {
    let finished = finish(name, command, input, limit)?;
    if !finished.status.success() {
        bail!(
            "{name} failed ({}). The end of its output:\n{}",
            finished.status,
            last_lines(&finished.output, LINES_SHOWN)
        );
    }
    Ok(finished.output)
}

/// A program that has run to its end.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote, to standard output and standard error.
    pub output: String,
}

/// Runs `command` to its end, whatever that is, at most for `limit`.
///
/// # Errors
/// It cannot be started, or takes too long.
pub fn finish(name: &str, command: Command, input: Stdio, limit: Duration) -> Result<Finished> {
    let folder = crate::workspace::scratch()?;
    let log = folder.join(format!("run-{}.log", serial()));
    let process = Process::spawn_reading(name, command, input, &log, Stop::Term)?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = process.exited() {
            break status;
        }
        if started.elapsed() > limit {
            process.stop();
            bail!(
                "{name} was stopped after {limit:?}. The end of its output:\n{}",
                tail(&log)
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    drop(process);
    let bytes = std::fs::read(&log).with_context(|| format!("cannot read what {name} wrote"))?;
    let _ = std::fs::remove_file(&log);
    Ok(Finished {
        status,
        output: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// The line in which a program that failed said why.
pub fn first_error(failure: &anyhow::Error) -> String {
    let text = failure.root_cause().to_string();
    let reason = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("error:"));
    reason.unwrap_or("no reason given").trim().to_owned()
}

/// A number that no other call in this process gets.
pub fn serial() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The last lines of a file that may not be there.
pub fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&bytes), LINES_SHOWN)
}

/// The last `count` lines of `text`.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests;
