//! A cluster of our own: the binaries of npm's package on a data folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Server;
use crate::ports;
use crate::private::{random_hex, write_private};
use crate::process::{self, Process, Stop};
use crate::setup::Npm;
use crate::setup::postgres::unprivileged;

const START_LIMIT: Duration = Duration::from_secs(60);
const ADMIN: &str = "postgres";

/// How much a cluster cares for its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As in production.
    Kept,
    /// Lost with the machine, and faster.
    Thrown,
}

/// A running cluster of our own.
#[derive(Debug)]
pub struct Cluster {
    process: Process,
    server: Server,
}

impl Cluster {
    /// Starts the cluster whose data is in `folder`, made at the first time; root starts it as nobody.
    ///
    /// # Errors
    /// It does not come up; the message holds the end of its log.
    pub async fn start(npm: &Npm, folder: &Path, durability: Durability) -> Result<Self> {
        let password = prepare(npm, folder)?;
        let port = ports::free()?;
        let mut command = as_postgres(npm, "postgres", folder);
        command
            .arg("-D")
            .arg(data(folder))
            .args(["-p", &port.to_string()]);
        let mut settings = vec![
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=300",
        ];
        if durability == Durability::Thrown {
            settings.extend([
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
                "autovacuum=off",
            ]);
        }
        for setting in settings {
            command.args(["-c", setting]);
        }
        let process = Process::spawn(
            "Postgres",
            command,
            &folder.join("postgres.log"),
            Stop::Interrupt,
        )?;
        let url = format!("postgres://{ADMIN}:{password}@127.0.0.1:{port}/{ADMIN}");
        let server = Server::at(&url)?;
        let answers = async || server.connect(ADMIN).await.is_ok();
        process.up(START_LIMIT, answers).await?;
        Ok(Self { process, server })
    }

    /// How to reach it.
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// The running program.
    pub const fn process(&self) -> &Process {
        &self.process
    }
}

/// Makes the data folder if there is none yet, and gives back the administrator's password.
fn prepare(npm: &Npm, folder: &Path) -> Result<String> {
    let password_file = folder.join("password");
    if !data(folder).is_dir() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let password = random_hex()?;
        write_private(&password_file, &password)?;
        if process::is_root() {
            for path in [folder, &password_file] {
                std::os::unix::fs::chown(
                    path,
                    Some(process::UNPRIVILEGED),
                    Some(process::UNPRIVILEGED),
                )
                .with_context(|| format!("cannot give {} to an ordinary user", path.display()))?;
            }
        }
        let partial = folder.join("data.partial");
        let _ = std::fs::remove_dir_all(&partial);
        let mut initdb = as_postgres(npm, "initdb", folder);
        initdb
            .arg("-D")
            .arg(&partial)
            .arg(format!("--pwfile={}", password_file.display()));
        initdb.args([
            "-U",
            ADMIN,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        process::run("initdb", initdb, START_LIMIT)?;
        std::fs::rename(&partial, data(folder))
            .context("cannot move the new data folder into place")?;
    }
    let password = std::fs::read_to_string(&password_file)
        .context("cannot read the password of the data folder")?;
    Ok(password)
}

fn as_postgres(npm: &Npm, program: &str, folder: &Path) -> Command {
    let mut command = Command::new(npm.postgres().join(program));
    command.current_dir(folder).env("LC_ALL", "C");
    unprivileged(&mut command);
    command
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
