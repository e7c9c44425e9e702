//! A Postgres: the one of `DATABASE_URL`, or the binaries of npm's package.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::Npm;
use crate::process;

/// Makes sure that `postgres` starts as the user that will run it.
///
/// # Errors
/// There are no binaries for this machine, or the user cannot reach them.
pub fn ready(npm: &Npm) -> Result<()> {
    if std::env::var_os("DATABASE_URL").is_some() {
        return Ok(());
    }
    let program = npm.postgres().join("postgres");
    if !program.is_file() {
        bail!(
            "npm has no Postgres for this machine: run one (`apt-get install -y postgresql`) and set DATABASE_URL"
        );
    }
    let mut command = Command::new(&program);
    command.arg("--version").current_dir("/");
    unprivileged(&mut command);
    process::run("postgres --version", command, Duration::from_secs(30)).with_context(|| {
        format!(
            "the embedded Postgres in {} does not start as an ordinary user: set PORTCULLIS_CACHE to a folder that everyone may enter, or DATABASE_URL to a server",
            npm.postgres().display()
        )
    })?;
    Ok(())
}

/// Postgres refuses to run as root: there `command` runs as nobody.
pub fn unprivileged(command: &mut Command) {
    if process::is_root() {
        command
            .uid(process::UNPRIVILEGED)
            .gid(process::UNPRIVILEGED);
    }
}
