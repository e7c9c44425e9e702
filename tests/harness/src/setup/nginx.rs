//! An nginx, the shared cache of the caching tests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::apt::{self, Package};
use super::{environment_path, is_program, program_in};

pub(super) const PACKAGE: Package = Package {
    name: "nginx-light",
    why: "a shared cache for the caching tests; any other nginx on PATH will do",
};

/// Where Debian puts it. Most users' PATH is without /usr/sbin.
const USUAL: &str = "/usr/sbin/nginx";

/// Its path: the one on PATH or where Debian puts it, else Debian's, installed now.
///
/// # Errors
/// There is none and none can be installed.
pub fn ready() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    apt::install(&[PACKAGE])?;
    find().context("apt-get installed nginx-light, but there is no nginx on PATH")
}

/// The nginx that is there.
pub(super) fn find() -> Option<PathBuf> {
    find_in(&environment_path(), Path::new(USUAL))
}

fn find_in(path: &OsStr, usual: &Path) -> Option<PathBuf> {
    program_in(path, "nginx").or_else(|| is_program(usual).then(|| usual.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::folder_with;

    #[test]
    fn the_one_on_path_wins_over_debians() {
        let path = folder_with("nginxes", &["nginx", "usual"]);
        let (nginx, usual) = (path.join("nginx"), path.join("usual"));
        assert_eq!(find_in(path.as_os_str(), &usual), Some(nginx));
        assert_eq!(find_in("/nowhere".as_ref(), &usual), Some(usual));
        assert_eq!(find_in("/nowhere".as_ref(), &path), None);
    }
}
