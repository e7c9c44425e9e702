//! The JavaScript tools, at the versions of `npm/package-lock.json`: wrangler and the workerd in it, the Node that
//! wrangler asks for, wasm-opt, playwright, an OpenID provider, and Postgres.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::cache;
use crate::process;

/// wrangler refuses anything older.
const NODE_NEEDED: (u32, u32) = (22, 12);
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The installed packages.
#[derive(Clone, Debug)]
pub struct Npm {
    folder: PathBuf,
}

impl Npm {
    /// The folder `node_modules`.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("node_modules")
    }

    /// A command that a package brings.
    pub fn bin(&self, name: &str) -> PathBuf {
        self.modules().join(".bin").join(name)
    }

    /// A command for `program` that finds our Node before any other.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", self.path());
        command
    }

    /// A value for PATH on which our Node stands first.
    pub fn path(&self) -> OsString {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let ours = self
            .node_folder()
            .into_iter()
            .chain([self.modules().join(".bin")]);
        std::env::join_paths(ours.chain(std::env::split_paths(&old))).unwrap_or(old)
    }

    /// The program workerd itself.
    ///
    /// # Errors
    /// npm has none for this kind of machine.
    pub fn workerd(&self) -> Result<PathBuf> {
        let package = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => "workerd-linux-64",
            ("linux", _) => "workerd-linux-arm64",
            ("macos", "x86_64") => "workerd-darwin-64",
            _ => "workerd-darwin-arm64",
        };
        let program = self
            .modules()
            .join("@cloudflare")
            .join(package)
            .join("bin/workerd");
        if !program.is_file() {
            bail!("the package {package} holds no workerd for this machine");
        }
        Ok(program)
    }

    /// The folder with `initdb` and `postgres`; it may be missing where npm has none for this kind of machine.
    pub fn postgres(&self) -> PathBuf {
        let package = format!("{}-{}", npm_os(), npm_arch());
        self.modules()
            .join("@embedded-postgres")
            .join(package)
            .join("native/bin")
    }

    fn node_folder(&self) -> Option<PathBuf> {
        let folder = self
            .modules()
            .join(format!("node-{}-{}", npm_os(), npm_arch()))
            .join("bin");
        folder.is_dir().then_some(folder)
    }
}

/// The installed packages, installed now if they are missing.
///
/// # Errors
/// npm is missing or fails, or there is no Node that wrangler would accept.
pub fn ready() -> Result<Npm> {
    let source = crate::workspace::root().join("tests/harness/npm");
    let lock = std::fs::read(source.join("package-lock.json"))
        .context("cannot read tests/harness/npm/package-lock.json")?;
    let name = format!("npm-{}", cache::short_hash(&lock));
    let why = "fetching wrangler, workerd, Node 22, wasm-opt, playwright, oidc-provider and Postgres with `npm ci`: the worker is built, run and tested with them";
    let folder = cache::install(&name, why, |folder| install(&source, folder))?;
    let npm = Npm { folder };
    check_node(&npm)?;
    Ok(npm)
}

fn install(source: &Path, folder: &Path) -> Result<()> {
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(file), folder.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }
    let mut command = Command::new("npm");
    // No package needs its install script, and none runs unasked.
    command
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(folder);
    process::run("npm ci", command, LIMIT).context(
        "the JavaScript tools could not be installed: install Node.js with npm (`apt-get install -y nodejs npm`), check the registry with `npm ping`, and run this again",
    )?;
    link_postgres_libraries(&Npm {
        folder: folder.to_owned(),
    })
}

/// npm packages hold no symbolic links, so the Postgres package lists those that its libraries need.
fn link_postgres_libraries(npm: &Npm) -> Result<()> {
    #[derive(Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let Some(native) = npm
        .postgres()
        .parent()
        .map(Path::to_owned)
        .filter(|native| native.is_dir())
    else {
        return Ok(());
    };
    let list = std::fs::read(native.join("pg-symlinks.json"))
        .context("the Postgres package lists no links")?;
    let links: Vec<Link> =
        serde_json::from_slice(&list).context("the Postgres package's list of links")?;
    let package = native
        .parent()
        .context("the Postgres package has no folder")?;
    for Link { source, target } in links {
        let name = source.file_name().context("a link to nothing")?;
        let at = package.join(&target);
        if !at.exists() {
            std::os::unix::fs::symlink(name, &at)
                .with_context(|| format!("cannot link {}", at.display()))?;
        }
    }
    Ok(())
}

fn check_node(npm: &Npm) -> Result<()> {
    let mut command = npm.command("node");
    command.arg("--version");
    let version = process::run("node --version", command, Duration::from_secs(30))
        .context("Node.js does not start")?;
    let (major, minor) = NODE_NEEDED;
    match parse_node_version(&version) {
        Some(found) if found >= NODE_NEEDED => Ok(()),
        _ => bail!(
            "wrangler needs Node.js {major}.{minor} or newer, and found {}: install it (npm has no package of it for this machine)",
            version.trim()
        ),
    }
}

fn parse_node_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn npm_os() -> &'static str {
    if cfg!(target_os = "macos") {
        "darwin"
    } else {
        "linux"
    }
}

fn npm_arch() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "x64"
    } else {
        "arm64"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_are_compared_as_numbers() {
        assert_eq!(parse_node_version("v22.9.0\n"), Some((22, 9)));
        assert!(parse_node_version("v22.9.0") < Some(NODE_NEEDED));
        assert!(parse_node_version("v100.0.0") > Some(NODE_NEEDED));
        assert_eq!(parse_node_version("nonsense"), None);
    }

    #[test]
    fn the_lock_file_pins_versions_and_no_registry() {
        let lock = include_str!("../../npm/package-lock.json");
        assert!(!lock.contains("\"resolved\""));
        let package: serde_json::Value =
            serde_json::from_str(include_str!("../../npm/package.json")).unwrap();
        for group in ["dependencies", "optionalDependencies"] {
            for (name, version) in package[group].as_object().unwrap() {
                let version = version.as_str().unwrap();
                assert!(
                    version.starts_with(|first: char| first.is_ascii_digit()),
                    "{name} {version} is not exact"
                );
            }
        }
    }
}
