//! The folder in which fetched and built tools are kept, one folder per tool and version.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// What no run has used for so long is taken away when another version of something comes in.
const KEPT_UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

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
    install_in(&root()?, name, why, make)
}

fn install_in(
    root: &Path,
    name: &str,
    why: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let done = root.join(name);
    let lock_file = root.join(format!(".{name}.lock"));
    if done.is_dir() {
        mark_used(&lock_file);
        return Ok(done);
    }
    let _lock = lock(&lock_file, name)?;
    if done.is_dir() {
        return Ok(done);
    }
    super::say(why);
    if remove_leftovers(root, name)? {
        super::say(&format!(
            "an earlier attempt at {name} was interrupted; beginning again"
        ));
    }
    let partial = partial(root, name);
    fs::create_dir(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    make(&partial)?;
    fs::rename(&partial, &done)
        .with_context(|| format!("cannot move {name} into place in {}", root.display()))?;
    // What was asked for is there, whatever comes of the old.
    if let Err(error) = remove_unused(root, SystemTime::now()) {
        super::say(&format!("{error:#}"));
    }
    Ok(done)
}

/// Of this process alone: what an interrupted run had started may still be writing into its own.
fn partial(root: &Path, name: &str) -> PathBuf {
    root.join(format!(".partial-{name}-{}", std::process::id()))
}

/// Takes away what interrupted runs have left; whether there was anything.
fn remove_leftovers(root: &Path, name: &str) -> Result<bool> {
    let prefix = format!(".partial-{name}-");
    let mut found = false;
    for file in names(root)? {
        if file.starts_with(&prefix) {
            found = true;
            // If its last program is about to end, a file may come up again: then the next run takes it away.
            let _ = fs::remove_dir_all(root.join(file));
        }
    }
    Ok(found)
}

/// A tool's lock file tells by its time when the tool was last used.
fn mark_used(lock_file: &Path) {
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock_file);
    // In a cache that we may only read, somebody else keeps order.
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}

/// Takes away the tools that nothing has used for [`KEPT_UNUSED`]: older versions, for the most part.
fn remove_unused(root: &Path, now: SystemTime) -> Result<()> {
    for file in names(root)? {
        let Some(name) = file
            .strip_prefix('.')
            .and_then(|file| file.strip_suffix(".lock"))
        else {
            continue;
        };
        let lock_file = root.join(&file);
        let used = lock_file.metadata().and_then(|meta| meta.modified());
        let old = used.is_ok_and(|used| {
            now.duration_since(used)
                .is_ok_and(|unused| unused > KEPT_UNUSED)
        });
        let folder = root.join(name);
        if !old || !folder.is_dir() {
            continue;
        }
        // Opened as it is: a new file would look as if it had been used.
        let Ok(lock) = File::open(&lock_file) else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        super::say(&format!("removing {name}, unused for 30 days"));
        // Under another name first, so that no half of it is ever taken for the whole.
        fs::rename(&folder, partial(root, name))
            .with_context(|| format!("cannot remove {}", folder.display()))?;
        remove_leftovers(root, name)?;
    }
    Ok(())
}

fn names(root: &Path) -> Result<Vec<String>> {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        Ok(entry?.file_name().to_string_lossy().into_owned())
    };
    root.read_dir()
        .and_then(|entries| entries.map(name).collect())
        .with_context(|| format!("cannot read {}", root.display()))
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
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    const TOOL: &str = "tool-1.2";

    /// An empty cache.
    fn cache(name: &str) -> PathBuf {
        let root = crate::workspace::scratch().unwrap().join(name);
        fs::create_dir(&root).unwrap();
        root
    }

    /// Makes a tool of one file.
    fn make(text: &'static str) -> impl FnOnce(&Path) -> Result<()> {
        move |folder| Ok(fs::write(folder.join("program"), text)?)
    }

    /// The files of the tool in `root`, and their texts.
    fn made(root: &Path) -> Vec<(String, String)> {
        let folder = root.join(TOOL);
        let text = |name: &String| fs::read_to_string(folder.join(name)).unwrap();
        let mut files = names(&folder).unwrap();
        files.sort();
        files
            .iter()
            .map(|name| (name.clone(), text(name)))
            .collect()
    }

    fn only(text: &str) -> Vec<(String, String)> {
        vec![("program".to_owned(), text.to_owned())]
    }

    fn leftovers(root: &Path) -> Vec<String> {
        let mut names = names(root).unwrap();
        names.retain(|name| name.starts_with(".partial-"));
        names
    }

    #[test]
    fn what_an_interrupted_run_has_left_is_made_anew() {
        let root = cache("interrupted");
        // As a process that was killed in the middle leaves it: the lock is free, the folder is not done.
        fs::write(root.join(format!(".{TOOL}.lock")), "").unwrap();
        let left = root.join(format!(".partial-{TOOL}-1"));
        fs::create_dir_all(left.join("deep")).unwrap();
        fs::write(left.join("deep/half"), "half a prog").unwrap();
        // Another tool's, whose name begins like this one's, may be at work.
        let other = root.join(".partial-tool-1.20-1");
        fs::create_dir(&other).unwrap();
        install_in(&root, TOOL, "making it", make("whole")).unwrap();
        assert_eq!(made(&root), only("whole"));
        assert_eq!(leftovers(&root), [".partial-tool-1.20-1"]);
    }

    #[test]
    fn what_failed_once_is_made_by_the_next_run_and_never_again() {
        let root = cache("failed");
        let failed = install_in(&root, TOOL, "making it", |folder| {
            fs::write(folder.join("half"), "")?;
            anyhow::bail!("no network")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no network");
        assert!(!root.join(TOOL).exists());
        let first = install_in(&root, TOOL, "making it", make("first")).unwrap();
        assert_eq!((first, made(&root)), (root.join(TOOL), only("first")));
        install_in(&root, TOOL, "making it", make("second")).unwrap();
        assert_eq!(made(&root), only("first"));
        assert!(leftovers(&root).is_empty());
    }

    #[test]
    fn of_many_at_once_one_makes_it_and_all_have_it() {
        const RUNS: usize = 8;
        let root = cache("at-once");
        let (begun, makers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = || {
            begun.fetch_add(1, Ordering::SeqCst);
            let done = install_in(&root, TOOL, "making it", |folder| {
                makers.fetch_add(1, Ordering::SeqCst);
                let lock = File::open(root.join(format!(".{TOOL}.lock")))?;
                assert!(lock.try_lock().is_err(), "others are not kept out");
                while begun.load(Ordering::SeqCst) < RUNS {
                    std::thread::yield_now();
                }
                make("one")(folder)
            });
            assert_eq!((done.unwrap(), made(&root)), (root.join(TOOL), only("one")));
        };
        std::thread::scope(|scope| {
            for _ in 0..RUNS {
                scope.spawn(run);
            }
        });
        assert_eq!(makers.into_inner(), 1);
    }

    #[test]
    fn what_nothing_has_used_for_long_goes_and_the_rest_stays() {
        let root = cache("unused");
        let now = SystemTime::now();
        let age = |lock_file: &File| lock_file.set_modified(now - 2 * KEPT_UNUSED).unwrap();
        let tools = ["used", "unused", "held"];
        for name in tools {
            install_in(&root, name, "making it", make("")).unwrap();
        }
        for name in tools {
            let lock_file = root.join(format!(".{name}.lock"));
            age(&File::options().write(true).open(lock_file).unwrap());
        }
        // No tool, and not ours to judge.
        fs::create_dir(root.join("state-0")).unwrap();
        install_in(&root, "used", "making it", make("")).unwrap();
        let held = lock(&root.join(".held.lock"), "held").unwrap();
        age(&held);
        remove_unused(&root, now).unwrap();
        let left = |name: &str| root.join(name).is_dir();
        assert_eq!(
            ["used", "unused", "held", "state-0"].map(left),
            [true, false, true, true]
        );
        drop(held);
        // The next new tool is the occasion.
        install_in(&root, TOOL, "making it", make("")).unwrap();
        assert_eq!(["used", "held", TOOL].map(left), [true, false, true]);
        assert!(leftovers(&root).is_empty());
    }

    #[test]
    fn a_hash_is_short_and_stable() {
        assert_eq!(short_hash(b""), "e3b0c44298fc1c14");
    }
}
