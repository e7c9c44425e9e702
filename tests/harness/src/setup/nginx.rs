//! An nginx, the shared cache of the caching tests.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::browser::on_path;
use super::say;
use crate::process;

const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Its path: the one on PATH or where Debian puts it, else Debian's, installed now.
///
/// # Errors
/// There is none and none can be installed.
pub fn ready() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if !process::is_root() || on_path("apt-get").is_none() {
        bail!("no nginx on PATH: run `sudo apt-get install -y nginx-light`");
    }
    say("installing Debian's nginx-light with apt-get: a shared cache for the caching tests");
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "--no-install-recommends", "nginx-light"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Debian's scripts start no service in run level 1: the tests start one of their own.
        .env("RUNLEVEL", "1");
    process::run("apt-get install nginx-light", install, LIMIT)
        .context("run `apt-get update && apt-get install -y nginx-light`")?;
    find().context("apt-get installed nginx-light, but there is no nginx on PATH")
}

fn find() -> Option<PathBuf> {
    // Most users' PATH is without /usr/sbin.
    let usual = PathBuf::from("/usr/sbin/nginx");
    on_path("nginx").or_else(|| usual.is_file().then_some(usual))
}
