//! Debian's newer Rust compiler (`rustc-web`) and the source of its standard library, unpacked into the cache folder:
//! no root needed, and nothing of the system is touched.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{cache, say};
use crate::process;

const COMPILER: &str = "rustc-web";
const SOURCE: &str = "rust-web-src";
/// The workspace's `rust-version`.
const NEEDED: &str = env!("CARGO_PKG_RUST_VERSION");
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Runs the compiler with its libraries. Done here and not in cargo's environment, so that the libraries reach neither
/// build scripts nor the Node that runs wasm tests.
const WRAPPER: &str = r#"#!/bin/sh
here=${0%/*}
libraries=$here/usr/lib/$(uname -m)-linux-gnu:$here/usr/lib
LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$here/usr/bin/rustc" "$@"
"#;

/// The folder that holds the compiler as `rustc`, fetched now if it is missing.
///
/// # Errors
/// This is no Debian, or its archive has no such packages.
pub(super) fn ready() -> Result<PathBuf> {
    if super::on_path("apt-get").is_none() {
        bail!("this machine has no apt-get, so Debian's packages cannot be had");
    }
    let version = candidate()?;
    let why = format!(
        "fetching Debian's {COMPILER} {version} and its library source (150 MB): the worker's standard library is built from it"
    );
    cache::install(
        &format!("debian-{COMPILER}-{}", file_name(&version)),
        &why,
        |folder| unpack(&version, folder),
    )
}

fn candidate() -> Result<String> {
    let look = || {
        apt_cache(&["show", "--no-all-versions", COMPILER])
            .ok()
            .and_then(|text| field(&text, "Version"))
            .filter(|version| is_new_enough(version))
    };
    if let Some(version) = look() {
        return Ok(version);
    }
    // Lists that are out of date name an older one.
    if process::is_root() {
        say("asking Debian's archive for its list of packages (apt-get update)");
        process::run("apt-get update", apt_get(&["update"]), LIMIT)?;
    }
    look().with_context(|| {
        format!(
            "the package lists name no {COMPILER} of Rust {NEEDED} or newer: run `sudo apt-get update` with Debian's security suite enabled"
        )
    })
}

fn is_new_enough(version: &str) -> bool {
    release(version).is_some_and(|found| Some(found) >= release(NEEDED))
}

/// The release of Rust in a version of Debian's (Debian Policy §5.6.12): its first two numbers, after the epoch.
fn release(version: &str) -> Option<(u32, u32)> {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = upstream.split(|other: char| !other.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

fn unpack(version: &str, folder: &Path) -> Result<()> {
    let mut wanted = BTreeSet::new();
    for package in [COMPILER, SOURCE] {
        collect(
            &Dependency {
                name: package.to_owned(),
                version: Some(version.to_owned()),
            },
            &mut wanted,
        )?;
    }
    let archives = folder.join("archives");
    std::fs::create_dir(&archives).context("cannot make a folder for the packages")?;
    let mut download = apt_get(&["download"]);
    download
        .args(wanted.iter().map(Dependency::as_argument))
        .current_dir(&archives);
    process::run("apt-get download", download, LIMIT)
        .context("run `sudo apt-get update` and try again")?;
    for archive in archives.read_dir().context("no packages came")? {
        let mut extract = Command::new("dpkg");
        extract
            .arg("-x")
            .arg(archive.context("a package that cannot be read")?.path())
            .arg(folder);
        process::run("dpkg -x", extract, LIMIT)?;
    }
    std::fs::remove_dir_all(&archives).context("cannot remove the packages")?;
    let wrapper = folder.join("rustc");
    std::fs::write(&wrapper, WRAPPER).context("cannot write the compiler's wrapper")?;
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))
        .context("cannot make the wrapper a program")?;
    let mut check = Command::new(&wrapper);
    check.arg("--version");
    process::run("Debian's rustc", check, Duration::from_secs(60)).map(drop)
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    /// Set where exactly this version is asked for.
    version: Option<String>,
}

impl Dependency {
    fn as_argument(&self) -> String {
        self.version.as_ref().map_or_else(
            || self.name.clone(),
            |version| format!("{}={version}", self.name),
        )
    }
}

/// Adds `package` and what it depends on, as far as the system does not have it already.
fn collect(package: &Dependency, wanted: &mut BTreeSet<Dependency>) -> Result<()> {
    if wanted.iter().any(|known| known.name == package.name) || is_installed(&package.name) {
        return Ok(());
    }
    let Ok(text) = apt_cache(&["show", "--no-all-versions", &package.as_argument()]) else {
        // A name that only other packages provide, such as libc-dev; what provides it is the system's.
        return Ok(());
    };
    wanted.insert(package.clone());
    for dependency in dependencies(&field(&text, "Depends").unwrap_or_default()) {
        collect(&dependency, wanted)?;
    }
    Ok(())
}

/// Reads a `Depends` field (Debian Policy §7.1): of alternatives the first, of versions only `=`.
fn dependencies(field: &str) -> Vec<Dependency> {
    let one = |text: &str| {
        let first = text.split('|').next()?.trim();
        let (name, relation) = first.split_once(' ').unwrap_or((first, ""));
        let name = name.split(':').next()?.to_owned();
        let version = relation
            .trim()
            .strip_prefix("(= ")
            .and_then(|rest| rest.strip_suffix(')'))
            .map(str::to_owned);
        (!name.is_empty()).then_some(Dependency { name, version })
    };
    field.split(',').filter_map(one).collect()
}

/// The field `name` of the first paragraph (Debian Policy §5.1).
fn field(text: &str, name: &str) -> Option<String> {
    let prefix = format!("{name}: ");
    text.lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(&prefix))
        .map(str::to_owned)
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f=${db:Status-Status}", package]);
    process::run("dpkg-query", query, Duration::from_secs(60))
        .is_ok_and(|status| status.contains("installed") && !status.contains("not-installed"))
}

fn apt_cache(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("apt-cache");
    command.args(arguments).env("LC_ALL", "C");
    let text = process::run("apt-cache", command, Duration::from_secs(60))?;
    if field(&text, "Package").is_none() {
        bail!("no such package");
    }
    Ok(text)
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// A version as part of a file's name.
fn file_name(version: &str) -> String {
    version.replace(
        |other: char| !other.is_ascii_alphanumeric() && other != '.',
        "-",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_depends_field_is_read() {
        let read = dependencies(
            "libc6 (>= 2.34), libstd-rust-web-1.96 (= 1.96.0+dfsg1-1~deb12u2), python3:any | python, gcc",
        );
        let shown: Vec<String> = read.iter().map(Dependency::as_argument).collect();
        assert_eq!(
            shown,
            [
                "libc6",
                "libstd-rust-web-1.96=1.96.0+dfsg1-1~deb12u2",
                "python3",
                "gcc"
            ]
        );
        assert_eq!(dependencies(""), []);
    }

    #[test]
    fn a_field_is_that_of_the_first_paragraph() {
        let text = "Package: a\nVersion: 1\n\nPackage: b\nDepends: c\n";
        assert_eq!(field(text, "Version").as_deref(), Some("1"));
        assert_eq!(field(text, "Depends"), None);
    }

    #[test]
    fn a_compiler_older_than_we_need_is_none() {
        assert_eq!(release("1:1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(release("nonsense"), None);
        let (major, minor) = release(NEEDED).unwrap();
        for (minor, enough) in [(minor - 1, false), (minor, true), (minor + 1, true)] {
            let version = format!("{major}.{minor}.0+dfsg3-1~deb12u3");
            assert_eq!(is_new_enough(&version), enough, "{version}");
        }
        assert!(!is_new_enough(""));
    }

    #[test]
    fn a_version_can_name_a_folder() {
        assert_eq!(
            file_name("1:1.96.0+dfsg1-1~deb12u2"),
            "1-1.96.0-dfsg1-1-deb12u2"
        );
    }
}
