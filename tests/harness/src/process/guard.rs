//! What ends our children when we are gone.
//!
//! A small shell script reads from a pipe whose other end only this process holds. The pipe closes when this process
//! ends, be it by `exit`, a panic or `kill -9`; then the script ends every process group that is still on its list.
//! (Linux's parent-death signal would reach the direct children only, and other systems do not have it.)

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context as _, Result};
use rustix::process::Pid;

pub(super) const SCRIPT: &str = include_str!("guard.sh");

/// From now on, the group is ended with us, at first by `signal`.
pub(super) fn watch(signal: &str, group: Pid) -> Result<()> {
    tell(&format!("watch {signal} {}", group.as_raw_nonzero()))
}

/// The group has ended; its number may come to mean somebody else.
pub(super) fn forget(group: Pid) {
    // A guard that cannot be told has lost its list, and harms nobody.
    let _ = tell(&format!("forget {}", group.as_raw_nonzero()));
}

/// `folder` and all that is in it goes when this process has ended and its children with it.
///
/// # Errors
/// The guard cannot be started.
pub fn remove_at_the_end(folder: &Path) -> Result<()> {
    tell(&format!("remove {}", folder.display()))
}

fn tell(line: &str) -> Result<()> {
    static PIPE: OnceLock<Mutex<Option<ChildStdin>>> = OnceLock::new();
    let pipe = PIPE.get_or_init(Mutex::default);
    let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
    if pipe.is_none() {
        *pipe = Some(start()?);
    }
    let pipe = pipe.as_mut().context("the guard has no input")?;
    writeln!(pipe, "{line}").context("cannot reach the guard that ends children with us")
}

fn start() -> Result<ChildStdin> {
    let mut guard = Command::new("sh");
    let child = guard
        .args(["-c", SCRIPT, "portcullis-guard"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start `sh`")?;
    child.stdin.context("the guard has no input")
}
