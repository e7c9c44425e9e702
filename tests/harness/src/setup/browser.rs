//! A Chromium for the browser tests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::apt::{self, Package};
use super::{environment_path, is_program, program_in};

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

pub(super) const PACKAGE: Package = Package {
    name: "chromium",
    why: "the browser tests drive it; or set PORTCULLIS_BROWSER to a Chromium's path",
};

/// The browser's path: `PORTCULLIS_BROWSER` if set, else the first known one on PATH, else Debian's, installed now.
///
/// # Errors
/// There is none and none can be installed.
pub fn ready() -> Result<PathBuf> {
    if let Some(found) = find()? {
        return Ok(found);
    }
    apt::install(&[PACKAGE])?;
    find()?.context(
        "apt-get installed chromium, but it is not on PATH: set PORTCULLIS_BROWSER to its path",
    )
}

/// The browser that is there.
///
/// # Errors
/// `PORTCULLIS_BROWSER` names something else.
pub(super) fn find() -> Result<Option<PathBuf>> {
    let set = std::env::var_os("PORTCULLIS_BROWSER").filter(|value| !value.is_empty());
    find_in(set.as_deref(), &environment_path())
}

fn find_in(set: Option<&OsStr>, path: &OsStr) -> Result<Option<PathBuf>> {
    let Some(set) = set.map(Path::new) else {
        return Ok(NAMES.iter().find_map(|name| program_in(path, name)));
    };
    if !is_program(set) {
        bail!("PORTCULLIS_BROWSER is no program: {}", set.display());
    }
    Ok(Some(set.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::tests::folder_with;

    #[test]
    fn the_setting_wins_then_any_browser_on_path() {
        let path = folder_with("browsers", &["google-chrome", "firefox", "other"]);
        let found =
            |set: Option<&Path>, path: &Path| find_in(set.map(Path::as_os_str), path.as_os_str());
        let chrome = path.join("google-chrome");
        assert_eq!(found(None, &path).unwrap(), Some(chrome));
        let other = path.join("other");
        assert_eq!(found(Some(&other), &path).unwrap(), Some(other));
        let nothing = path.join("nothing");
        assert_eq!(found(None, &nothing).unwrap(), None);
        let error = found(Some(&nothing), &path).unwrap_err().to_string();
        assert!(error.contains("PORTCULLIS_BROWSER"), "{error}");
    }
}
