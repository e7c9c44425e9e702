//! A Chromium for the browser tests.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::say;
use crate::process;

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The browser's path: `PORTCULLIS_BROWSER` if set, else the first known one on PATH, else Debian's, installed now.
///
/// # Errors
/// There is none and none can be installed.
pub fn ready() -> Result<PathBuf> {
    if let Some(set) = std::env::var_os("PORTCULLIS_BROWSER") {
        return Ok(PathBuf::from(set));
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    if !process::is_root() || on_path("apt-get").is_none() {
        bail!(
            "no Chromium on PATH: run `sudo apt-get install -y chromium`, or set PORTCULLIS_BROWSER to a browser's path"
        );
    }
    say("installing Debian's chromium with apt-get: the browser tests drive it");
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "--no-install-recommends", "chromium"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    process::run("apt-get install chromium", install, LIMIT)
        .context("run `apt-get update && apt-get install -y chromium`")?;
    find().context(
        "apt-get installed chromium, but it is not on PATH: set PORTCULLIS_BROWSER to its path",
    )
}

fn find() -> Option<PathBuf> {
    NAMES.iter().find_map(|name| on_path(name))
}

/// The first file named `program` in the folders of PATH.
pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
