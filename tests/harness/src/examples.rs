//! The programs of `tests/examples`, run as users would run them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::OnceCell;

use crate::process::{self, Process, Stop, serial};
use crate::system::blocking;
use crate::{setup, workspace};

const START_LIMIT: Duration = Duration::from_secs(30);
/// The one in Rust compiles what it stands on, once.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
const FOLDER: &str = "tests/examples/origin";

/// What an example origin is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// With jsonwebtoken.
    Rust,
    /// For Node, with jose.
    JavaScript,
    /// With PyJWT.
    Python,
}

/// A running example origin, which lets in what it finds a good assertion with.
#[derive(Debug)]
pub struct ExampleOrigin {
    addr: SocketAddr,
    _process: Process,
}

impl ExampleOrigin {
    /// Starts it on `port` of 127.0.0.1, for the site `public_url`.
    ///
    /// # Errors
    /// What it needs cannot be had, or it does not come up.
    pub async fn start(
        language: Language,
        port: u16,
        public_url: &str,
        origin_secret: &str,
    ) -> Result<Self> {
        let mut command = match language {
            Language::Rust => Command::new(built().await?),
            Language::JavaScript => blocking(node).await?,
            Language::Python => blocking(python).await?,
        };
        command
            .env("PORT", port.to_string())
            .env("PUBLIC_URL", public_url)
            .env("ORIGIN_SECRET", origin_secret);
        let name = format!("the example origin in {language:?}");
        let log = workspace::scratch()?.join(format!("example-{}.log", serial()));
        let process = Process::spawn(&name, command, &log, Stop::Kill)?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        process.listening(addr, START_LIMIT).await?;
        Ok(Self {
            addr,
            _process: process,
        })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// The program in Rust, brought up to date once per process. It is a workspace of its own, as when it is copied.
async fn built() -> Result<&'static PathBuf> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let build = || {
        let target = workspace::target().join("examples");
        let manifest = format!("{FOLDER}/rust/Cargo.toml");
        let mut cargo = workspace::cargo(&["build", "--quiet", "--locked"]);
        cargo
            .args(["--manifest-path", &manifest, "--target-dir"])
            .arg(&target);
        process::run("cargo build (example origin)", cargo, BUILD_LIMIT)?;
        Ok(target.join("debug/origin"))
    };
    BUILT.get_or_try_init(|| blocking(build)).await
}

/// Node looks for `jose` beside the file that imports it: a copy stands beside our packages.
fn node() -> Result<Command> {
    let npm = setup::npm::ready()?;
    let folder = workspace::scratch()?.join(format!("example-{}", serial()));
    std::fs::create_dir(&folder).context("cannot make a folder for an example")?;
    std::os::unix::fs::symlink(npm.modules(), folder.join("node_modules"))
        .context("cannot link the packages")?;
    let program = folder.join("origin.mjs");
    std::fs::copy(source("origin.mjs"), &program).context("cannot copy an example")?;
    let mut command = npm.command("node");
    command.arg(program);
    Ok(command)
}

fn python() -> Result<Command> {
    let mut command = Command::new(setup::python::ready()?);
    command.arg(source("origin.py"));
    Ok(command)
}

fn source(file: &str) -> PathBuf {
    workspace::root().join(FOLDER).join(file)
}
