//! Where things lie: the repository, the target folder, scratch space.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

/// The repository's root.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Cargo's target folder, wherever the environment puts it.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A call of cargo in the repository.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(root());
    for name in told_by_cargo() {
        cargo.env_remove(name);
    }
    cargo
}

/// The variables of our environment by which `cargo run` and `cargo test` tell a program about its own package.
///
/// Take them away from whatever calls cargo, such as wrangler: build scripts that look at them (ring's does) would run again
/// at every change between a call from a shell and one from here, and half the tree would be compiled anew.
pub fn told_by_cargo() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    })
}

/// This process's own folder, removed when the process has ended, however it ends.
///
/// # Errors
/// The folder cannot be made.
pub fn scratch() -> Result<&'static Path> {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    if let Some(folder) = SCRATCH.get() {
        return Ok(folder);
    }
    let folder = reachable_by_others("scratch", &std::process::id().to_string())?;
    crate::process::remove_at_the_end(&folder)?;
    Ok(SCRATCH.get_or_init(|| folder))
}

/// A folder `name` of the kind `kind` under the target folder, made if it is missing.
///
/// Postgres refuses to run as root, so root starts it as somebody else, who must be able to reach its data:
/// under a closed home folder the target folder is no place for that, and the tool cache is used.
///
/// # Errors
/// The folder cannot be made.
pub fn reachable_by_others(kind: &str, name: &str) -> Result<PathBuf> {
    let target = target();
    std::fs::create_dir_all(&target)
        .with_context(|| format!("cannot make {}", target.display()))?;
    let base = if crate::process::is_root() && !open_to_all(&target) {
        crate::setup::cache::root()?.join(format!(
            "state-{}",
            crate::setup::cache::short_hash(root().as_os_str().as_encoded_bytes())
        ))
    } else {
        target
    };
    let folder = base.join(kind).join(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Whether every user may pass through `folder` and all that it lies in.
fn open_to_all(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(folder) = folder.canonicalize() else {
        return false;
    };
    folder.ancestors().all(|part| {
        part.metadata()
            .is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
        assert!(root().join("wrangler.toml").is_file() || root().join("edge").is_dir());
    }

    #[test]
    fn a_cargo_of_ours_hears_nothing_of_the_package_that_calls_it() {
        let cargo = cargo(&["build"]);
        for told in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            assert!(std::env::var_os(told).is_some(), "cargo test sets {told}");
            assert!(
                cargo
                    .get_envs()
                    .any(|change| change == (told.as_ref(), None)),
                "{told} is passed on"
            );
        }
    }
}
