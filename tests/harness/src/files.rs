//! How many files a test may have open.

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process, and those that it starts from now on, open as many files as the machine allows: a thousand
/// connections are some thousands of them, and many shells allow 1,024.
///
/// # Errors
/// The machine does not let it.
pub fn allow_many() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, all).context("cannot open more files")
}
