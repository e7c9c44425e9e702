//! A Python with PyJWT, for the origin in Python that checks assertions.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::apt::{self, Package};
use super::{environment_path, is_program};
use crate::process;

pub(super) const PACKAGE: Package = Package {
    name: "python3-jwt",
    why: "the example origin in Python checks assertions with PyJWT; any python3 on PATH that has it will do, as after `pip install PyJWT`",
};

/// Debian's, for which its packages are: another one may come first on PATH.
pub(super) const USUAL: &str = "/usr/bin/python3";
const LIMIT: Duration = Duration::from_secs(60);

/// Its path: the first `python3` on PATH that has PyJWT, or Debian's with it, installed now.
///
/// # Errors
/// There is none and it cannot be installed.
pub fn ready() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    apt::install(&[PACKAGE])?;
    find().context(
        "apt-get installed python3-jwt, but neither python3 on PATH nor /usr/bin/python3 has PyJWT",
    )
}

/// The Python that is there and has PyJWT.
pub(super) fn find() -> Option<PathBuf> {
    find_in(&environment_path(), Path::new(USUAL), has_pyjwt)
}

pub(super) fn find_in(
    path: &OsStr,
    usual: &Path,
    suits: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join("python3"))
        .chain([usual.to_owned()])
        .find(|program| is_program(program) && suits(program))
}

fn has_pyjwt(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "from jwt import PyJWT"]);
    process::run("python3", command, LIMIT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::folder_with;

    #[test]
    fn the_first_on_path_that_has_pyjwt_wins_then_debians() {
        let (one, two) = (
            folder_with("python-1", &["python3"]),
            folder_with("python-2", &["python3", "usual"]),
        );
        let path = std::env::join_paths([&one, &two]).unwrap();
        let usual = two.join("usual");
        let found = |suits: &dyn Fn(&Path) -> bool| find_in(&path, &usual, suits);
        assert_eq!(found(&|_| true), Some(one.join("python3")));
        assert_eq!(
            found(&|program| program.starts_with(&two)),
            Some(two.join("python3"))
        );
        assert_eq!(found(&|program| program == usual), Some(usual.clone()));
        assert_eq!(found(&|_| false), None);
    }

    #[test]
    fn a_python_without_pyjwt_does_not_suit() {
        let folder = folder_with("python-none", &["python3"]);
        let python = folder.join("python3");
        std::fs::write(&python, "#!/bin/sh\nexit 1\n").unwrap();
        assert!(!has_pyjwt(&python));
        std::fs::write(&python, "#!/bin/sh\nexit 0\n").unwrap();
        assert!(has_pyjwt(&python));
    }
}
