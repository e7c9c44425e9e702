//! The Python tools that look at the API's description: schemathesis and openapi-spec-validator, at the versions and hashes of
//! `python/requirements.txt`, in a virtual environment of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::apt::{self, Package};
use super::{cache, environment_path, python};
use crate::process;

pub(super) const PACKAGE: Package = Package {
    name: "python3-venv",
    why: "schemathesis, which tries out the API, gets a virtual environment; any python3 from 3.11 on PATH that has venv and ensurepip will do",
};

const LIMIT: Duration = Duration::from_secs(60);
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A Python that has the tools.
#[derive(Clone, Debug)]
pub struct ApiTools {
    python: PathBuf,
}

impl ApiTools {
    /// A call of the module `name`, as `python -m` makes it. It is told where nothing of ours would be read or written.
    pub fn module(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        // -P: the folder it runs in is none to import from.
        command.args(["-P", "-m", name]);
        command
    }
}

/// The tools, installed now if they are missing.
///
/// # Errors
/// There is no Python to install them for, or pip fails.
pub fn ready() -> Result<ApiTools> {
    let python = match find() {
        Some(found) => found,
        None => {
            apt::install(&[PACKAGE])?;
            find().context("apt-get installed python3-venv, but neither python3 on PATH nor /usr/bin/python3 is 3.11 with venv and ensurepip")?
        }
    };
    let source = crate::workspace::root().join("tests/harness/python/requirements.txt");
    let lock = std::fs::read(&source).context("cannot read requirements.txt")?;
    // The environment refers to the Python that it was made with.
    let identity = [&lock[..], identity(&python)?.as_bytes()].concat();
    let name = format!("python-{}", cache::short_hash(&identity));
    let why =
        "fetching schemathesis and openapi-spec-validator with pip: the API is tried out with them";
    let folder = cache::install(&name, why, |folder| install(&python, &source, folder))?;
    Ok(ApiTools {
        python: python_of(&folder),
    })
}

/// The Python that is there and can make virtual environments.
pub(super) fn find() -> Option<PathBuf> {
    python::find_in(&environment_path(), Path::new(python::USUAL), suits)
}

fn suits(python: &Path) -> bool {
    let script = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
    ask(python, script).is_ok()
}

fn identity(python: &Path) -> Result<String> {
    ask(
        python,
        "import sys; print(sys.base_prefix, sys.executable, sys.version)",
    )
}

fn ask(python: &Path, script: &str) -> Result<String> {
    let mut command = Command::new(python);
    command.args(["-c", script]);
    process::run("python3", command, LIMIT)
}

/// The programs of a virtual environment name the folder that it was made in, and `folder` is renamed when it is complete: only
/// its Python is used.
fn python_of(folder: &Path) -> PathBuf {
    folder.join("bin/python3")
}

fn install(python: &Path, requirements: &Path, folder: &Path) -> Result<()> {
    let mut make = Command::new(python);
    make.args(["-m", "venv"]).arg(folder);
    process::run("python3 -m venv", make, INSTALL_LIMIT)
        .context("the virtual environment for schemathesis could not be made")?;
    let mut pip = Command::new(python_of(folder));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--require-hashes",
        "--no-deps",
        // Nothing of theirs runs while they are installed.
        "--only-binary=:all:",
        "--requirement",
    ])
    .arg(requirements);
    process::run("pip install", pip, INSTALL_LIMIT)
        .context("schemathesis could not be installed: check that pip reaches its registry, and run this again")
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::folder_with;

    #[test]
    fn a_python_that_makes_no_environment_does_not_suit() {
        let folder = folder_with("python-no-venv", &["python3"]);
        let python = folder.join("python3");
        std::fs::write(&python, "#!/bin/sh\nexit 1\n").unwrap();
        assert!(!suits(&python));
        std::fs::write(&python, "#!/bin/sh\nexit 0\n").unwrap();
        assert!(suits(&python));
    }

    #[test]
    fn the_lock_pins_versions_and_hashes_and_no_registry() {
        let lock = include_str!("../../python/requirements.txt");
        assert!(!lock.contains("://") && !lock.contains("--index"));
        let asked = include_str!("../../python/requirements.in");
        let asked = asked.lines().filter(|line| !line.starts_with('#'));
        for requirement in asked {
            assert!(requirement.contains("=="), "{requirement} is not exact");
            let pinned = format!("{requirement} \\\n    --hash=sha256:");
            assert!(lock.contains(&pinned), "{requirement}");
        }
    }
}
