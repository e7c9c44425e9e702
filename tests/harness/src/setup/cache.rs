//! The folder in which fetched and built tools are kept, one folder per tool and version.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// The cache folder, made if it is missing: `PORTCULLIS_CACHE` if set; for root one that an unprivileged Postgres
/// can reach; else the user's own.
///
/// # Errors
/// There is no home folder, or the folder cannot be made.
pub fn root() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = choose(
        set("PORTCULLIS_CACHE"),
        crate::process::is_root(),
        set("XDG_CACHE_HOME"),
        set("HOME"),
    )
    .context("no home folder: set PORTCULLIS_CACHE to a folder for the tools")?;
    let folder = std::path::absolute(folder).context("PORTCULLIS_CACHE is not a path")?;
    fs::create_dir_all(&folder).with_context(|| {
        format!(
            "cannot make {}: set PORTCULLIS_CACHE to a folder that you may write",
            folder.display()
        )
    })?;
    Ok(folder)
}

fn choose(
    set: Option<PathBuf>,
    root: bool,
    xdg: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    let shared = || root.then(|| PathBuf::from("/var/cache"));
    let base = || {
        shared()
            .or(xdg)
            .or_else(|| home.map(|home| home.join(".cache")))
    };
    set.or_else(|| base().map(|base| base.join("portcullis")))
}

/// The folder `name` in the cache, complete. If it is missing, says `why` and has `make` fill a folder beside it,
/// which takes the name only when it is done: an interrupted set-up is begun again by the next run.
///
/// # Errors
/// `make` fails, or the cache cannot be written.
pub fn install(name: &str, why: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = root()?;
    let done = root.join(name);
    if done.is_dir() {
        return Ok(done);
    }
    let _lock = lock(&root.join(format!(".{name}.lock")), name)?;
    if done.is_dir() {
        return Ok(done);
    }
    super::say(why);
    remove_leftovers(&root, name)?;
    // Of this process alone: what an interrupted run had started may still be writing into its own.
    let partial = root.join(format!(".partial-{name}-{}", std::process::id()));
    fs::create_dir(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    make(&partial)?;
    fs::rename(&partial, &done)
        .with_context(|| format!("cannot move {name} into place in {}", root.display()))?;
    Ok(done)
}

/// Takes away what interrupted runs have left.
fn remove_leftovers(root: &Path, name: &str) -> Result<()> {
    let prefix = format!(".partial-{name}-");
    for entry in root.read_dir().context("cannot read the cache folder")? {
        let path = entry.context("cannot read the cache folder")?.path();
        let leftover = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(&prefix));
        if leftover {
            super::say(&format!(
                "an earlier attempt at {name} was interrupted; beginning again"
            ));
            // If its last program is about to end, a file may come up again: then the next run takes it away.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

/// The first 16 hex digits of the SHA-256 of `bytes`.
pub fn short_hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..8])
}

/// Keeps a second run out until the file is closed, which the system does even for a killed process.
pub(crate) fn lock(path: &Path, name: &str) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        super::say(&format!("waiting for another run that is getting {name}"));
        file.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_wins_then_roots_shared_folder_then_the_users() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(choose(path("/c"), true, path("/x"), path("/h")), path("/c"));
        assert_eq!(
            choose(None, true, path("/x"), path("/h")),
            path("/var/cache/portcullis")
        );
        assert_eq!(
            choose(None, false, path("/x"), path("/h")),
            path("/x/portcullis")
        );
        assert_eq!(
            choose(None, false, None, path("/h")),
            path("/h/.cache/portcullis")
        );
        assert_eq!(choose(None, false, None, None), None);
    }

    #[test]
    fn a_hash_is_short_and_stable() {
        assert_eq!(short_hash(b""), "e3b0c44298fc1c14");
    }
}
