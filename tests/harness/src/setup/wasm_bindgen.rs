//! wasm-bindgen's command-line tools, in exactly the version that the workspace's lock file names: they read a format
//! that changes with every version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{cache, say};
use crate::{process, workspace};

const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The installed tools.
#[derive(Clone, Debug)]
pub struct WasmBindgen {
    folder: PathBuf,
}

impl WasmBindgen {
    /// `wasm-bindgen`.
    pub fn program(&self) -> PathBuf {
        self.folder.join("bin/wasm-bindgen")
    }

    /// `wasm-bindgen-test-runner`, which runs a wasm test under Node.
    pub fn test_runner(&self) -> PathBuf {
        self.folder.join("bin/wasm-bindgen-test-runner")
    }
}

/// The tools, built now if they are missing.
///
/// # Errors
/// The version is not in the lock file, or they cannot be built.
pub fn ready() -> Result<WasmBindgen> {
    let lock = std::fs::read_to_string(workspace::root().join("Cargo.lock"))
        .context("cannot read Cargo.lock")?;
    let version =
        locked_version(&lock, "wasm-bindgen").context("Cargo.lock names no wasm-bindgen")?;
    let name = format!("wasm-bindgen-cli-{version}");
    let why = format!(
        "building wasm-bindgen-cli {version} (about 3 minutes, once): it writes the JavaScript around the worker"
    );
    let folder = cache::install(&name, &why, |folder| install(version, folder))?;
    Ok(WasmBindgen { folder })
}

fn install(version: &str, folder: &Path) -> Result<()> {
    // Beside the folder, so that a build which was interrupted goes on where it stopped.
    let objects = cache::root()?.join(format!(".build-wasm-bindgen-cli-{version}"));
    let attempt = |locked: bool| {
        let mut command = workspace::cargo(&[
            "install",
            "wasm-bindgen-cli",
            "--version",
            version,
            "--force",
            "--root",
        ]);
        command.arg(folder);
        command.arg("--target-dir").arg(&objects).current_dir("/");
        if locked {
            command.arg("--locked");
        }
        process::run("cargo install wasm-bindgen-cli", command, LIMIT)
    };
    if let Err(locked) = attempt(true) {
        say(&format!(
            "wasm-bindgen-cli's own lock file does not work here, building without it ({})",
            process::first_error(&locked)
        ));
        attempt(false).with_context(|| {
            format!("wasm-bindgen-cli could not be built: `cargo install wasm-bindgen-cli --version {version}` shows why")
        })?;
    }
    let _ = std::fs::remove_dir_all(&objects);
    Ok(())
}

/// The version of the package `name` in the text of a `Cargo.lock`.
fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != wanted);
    lines
        .nth(1)?
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package_and_not_of_a_namesake() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.80\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock, "wasm-bindgen"), Some("0.2.130"));
        assert_eq!(locked_version(lock, "wasm"), None);
    }
}
