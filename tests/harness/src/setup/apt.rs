//! Debian's packages, for what is installed and not only kept in the cache: that takes root.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{on_path, say};
use crate::process;

const LIMIT: Duration = Duration::from_secs(15 * 60);
const INSTALL: &str = "apt-get install -y --no-install-recommends";

/// A package that is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Package {
    /// What Debian calls it.
    pub(super) name: &'static str,
    /// What it is there for, and whether there is another way to come by it.
    pub(super) why: &'static str,
}

/// Installs `packages`.
///
/// # Errors
/// We are not root, this is no Debian, or apt-get fails; the message names the packages and the command that would help.
pub(super) fn install(packages: &[Package]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !process::is_root() || on_path("apt-get").is_none() {
        bail!(request(packages));
    }
    for Package { name, why } in packages {
        say(&format!("installing Debian's {name} with apt-get: {why}"));
    }
    let mut words = INSTALL.split(' ');
    let mut install = Command::new(words.next().unwrap_or_default());
    install
        .args(words)
        .args(packages.iter().map(|package| package.name))
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Debian's scripts start no service in run level 1: whoever needs one starts it.
        .env("RUNLEVEL", "1");
    process::run("apt-get install", install, LIMIT)
        .with_context(|| format!("run `apt-get update && {}`", command(packages)))
        .map(drop)
}

/// What somebody else must do.
fn request(packages: &[Package]) -> String {
    let each: Vec<String> = packages
        .iter()
        .map(|Package { name, why }| format!("{name} ({why})"))
        .collect();
    format!(
        "this machine lacks {}, and only root can install it with apt-get: run `sudo {}`",
        each.join(" and "),
        command(packages)
    )
}

fn command(packages: &[Package]) -> String {
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    format!("{INSTALL} {}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{browser, nginx};

    #[test]
    fn who_may_not_install_is_told_what_to_run_for_all_of_it() {
        let told = request(&[browser::PACKAGE, nginx::PACKAGE]);
        for part in [
            "lacks chromium (",
            "PORTCULLIS_BROWSER",
            " and nginx-light (",
            "`sudo apt-get install -y --no-install-recommends chromium nginx-light`",
        ] {
            assert!(told.contains(part), "{part} in: {told}");
        }
        let told = request(&[nginx::PACKAGE]);
        assert!(
            told.ends_with(" nginx-light`") && !told.contains("chromium"),
            "{told}"
        );
    }
}
