//! Builds the edge's worker into `target/edge`: cargo, wasm-bindgen, wasm-opt, and esbuild to fold the JavaScript around
//! it into one file.
//!
//! These are the steps of worker-build, done by hand because the entry is ours: a plain object with `fetch` in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::setup::{BuildTools, cache, wasm_std};
use crate::{process, workspace, wrangler};

const LIMIT: Duration = Duration::from_secs(20 * 60);

/// The main module.
pub const ENTRY: &str = "entry.js";
/// The folder with the other scripts that are bundled into it.
const PARTS: &str = "entry";
/// What the entry is called until it is bundled.
const UNBUNDLED: &str = "unbundled.js";
/// The worker itself.
pub const WASM: &str = "index_bg.wasm";

/// Which worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The one that is deployed.
    Production,
    /// One that panics when it is asked to, for the test that a panic is survived.
    PanicOnDemand,
}

impl Variant {
    const fn folder(self) -> &'static str {
        match self {
            Self::Production => "edge",
            Self::PanicOnDemand => "edge-panic-on-demand",
        }
    }

    const fn features(self) -> &'static str {
        match self {
            Self::Production => "",
            Self::PanicOnDemand => "panic-on-demand",
        }
    }
}

/// Builds it if anything has changed, and gives back the folder.
///
/// # Errors
/// A step fails; the message holds the end of its output.
pub fn build(tools: &BuildTools, variant: Variant) -> Result<PathBuf> {
    let wasm = compile(tools, variant)?;
    let out = workspace::target().join(variant.folder());
    let scripts = scripts()?;
    // `cargo dev`, its wrangler and a test may all come here at once.
    let _lock = cache::lock(&out.with_extension("lock"), "the worker")?;
    // Beside the folder: wrangler uploads what is in it.
    let stamp_file = out.with_extension("stamp");
    let (bindgen, files) = (
        tools.wasm_bindgen.program(),
        scripts.iter().map(|(from, _)| from),
    );
    let stamp = stamp(files.chain([&wasm, &bindgen]).map(PathBuf::as_path))?;
    if is_built(&out) && std::fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(out);
    }
    let partial = out.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial);
    std::fs::create_dir_all(&partial)
        .with_context(|| format!("cannot make {}", partial.display()))?;
    bind(tools, &wasm, &partial)?;
    optimize(tools, &partial)?;
    std::fs::create_dir_all(partial.join(PARTS)).context("cannot make a folder for the scripts")?;
    for (from, to) in &scripts {
        std::fs::copy(from, partial.join(to))
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    bundle(tools, &partial)?;
    replace(&partial, &out)?;
    std::fs::write(&stamp_file, stamp).context("cannot write the worker's stamp")?;
    Ok(out)
}

/// The scripts in `edge/`, each with its path in the folder in which they are bundled.
fn scripts() -> Result<Vec<(PathBuf, PathBuf)>> {
    let edge = workspace::root().join("edge");
    let mut found = vec![(edge.join(ENTRY), PathBuf::from(UNBUNDLED))];
    for part in edge
        .join(PARTS)
        .read_dir()
        .context("cannot read edge/entry")?
    {
        let name = part.context("cannot read edge/entry")?.file_name();
        let path = Path::new(PARTS).join(name);
        found.push((edge.join(&path), path));
    }
    found.sort();
    Ok(found)
}

fn is_built(folder: &Path) -> bool {
    [ENTRY, WASM].iter().all(|file| folder.join(file).is_file())
}

/// Brings `target/edge` up to date: what the `[build]` command in wrangler.toml calls.
///
/// # Errors
/// As [`build`]; or the rules in wrangler.toml are wrong.
pub fn build_here() -> Result<()> {
    wrangler::read()?.check_rules()?;
    let folder = build(&crate::setup::for_build()?, Variant::Production)?;
    println!("{} holds {ENTRY} and {WASM}", folder.display());
    Ok(())
}

fn compile(tools: &BuildTools, variant: Variant) -> Result<PathBuf> {
    // The worker's kind is asked for here, and not in its Cargo.toml: there, every native build of the crate would go by one
    // file name, and builds with other features would overwrite each other's.
    let mut cargo = workspace::cargo(&[
        "rustc",
        "--quiet",
        "--package",
        "edge",
        "--lib",
        "--crate-type",
        "cdylib",
        "--release",
        "--target",
        wasm_std::TARGET,
    ]);
    cargo.args(["--features", variant.features()]);
    cargo.env("WASM_BINDGEN_USE_JS_SYS", "1");
    tools.wasm_std.apply(&mut cargo);
    // Cargo gives both variants the same file, and would build each anew after the other.
    let objects = match variant {
        Variant::Production => tools.wasm_std.target_folder(),
        Variant::PanicOnDemand => tools.wasm_std.target_folder().join(variant.features()),
    };
    cargo.env("CARGO_TARGET_DIR", &objects);
    process::run("cargo build (edge)", cargo, LIMIT)?;
    Ok(objects.join(wasm_std::TARGET).join("release/edge.wasm"))
}

fn bind(tools: &BuildTools, wasm: &Path, out: &Path) -> Result<()> {
    let mut command = Command::new(tools.wasm_bindgen.program());
    command.arg(wasm).arg("--out-dir").arg(out).args([
        "--target",
        "web",
        "--omit-default-module-path",
        "--out-name",
        "index",
        "--no-typescript",
        "--experimental-reset-state-function",
        "--force-enable-abort-handler",
    ]);
    process::run("wasm-bindgen", command, LIMIT).map(drop)
}

fn optimize(tools: &BuildTools, folder: &Path) -> Result<()> {
    let mut command = tools.npm.command(tools.npm.bin("wasm-opt"));
    let wasm = folder.join(WASM);
    command
        .args(["-O3", "--all-features", "--strip-debug"])
        .arg(&wasm)
        .arg("-o")
        .arg(&wasm);
    process::run("wasm-opt", command, LIMIT).map(drop)
}

/// Folds the entry, what wasm-bindgen wrote and the snippets of crates into one file.
fn bundle(tools: &BuildTools, folder: &Path) -> Result<()> {
    let mut command = tools.npm.command(tools.npm.bin("esbuild"));
    command
        .args([UNBUNDLED, "--bundle", "--format=esm", "--log-level=warning"])
        .current_dir(folder);
    command
        .arg(format!("--external:./{WASM}"))
        .arg(format!("--outfile={ENTRY}"));
    process::run("esbuild", command, LIMIT).map(drop)
}

/// Changes when the worker does.
fn stamp<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        hash.update(Sha256::digest(bytes));
    }
    hash.update(include_bytes!("worker_build.rs"));
    Ok(hex::encode(hash.finalize()))
}

/// Puts the two files into place, each at once, and takes away what else is there.
fn replace(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for file in [WASM, ENTRY] {
        std::fs::rename(from.join(file), to.join(file))
            .with_context(|| format!("the build left no {file}"))?;
    }
    std::fs::remove_dir_all(from)
        .context("cannot remove the folder in which the worker was made")?;
    for other in to.read_dir().context("cannot read the worker's folder")? {
        let other = other.context("cannot read the worker's folder")?.path();
        let ours = other
            .file_name()
            .is_some_and(|name| name == ENTRY || name == WASM);
        let removed = match (ours, other.is_dir()) {
            (true, _) => Ok(()),
            (false, true) => std::fs::remove_dir_all(&other),
            (false, false) => std::fs::remove_file(&other),
        };
        removed.with_context(|| format!("cannot remove {}", other.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_with_any_file_and_only_then() {
        let folder = workspace::scratch().unwrap().join("stamp");
        std::fs::create_dir_all(&folder).unwrap();
        let (one, two) = (folder.join("one"), folder.join("two"));
        std::fs::write(&one, "1").unwrap();
        std::fs::write(&two, "2").unwrap();
        let first = stamp([one.as_path(), &two]).unwrap();
        assert_eq!(stamp([one.as_path(), &two]).unwrap(), first);
        std::fs::write(&two, "3").unwrap();
        assert_ne!(stamp([one.as_path(), &two]).unwrap(), first);
    }

    #[test]
    fn only_the_two_files_are_left() {
        let scratch = workspace::scratch().unwrap();
        let (from, to) = (scratch.join("built"), scratch.join("place"));
        std::fs::create_dir_all(&from).unwrap();
        std::fs::create_dir_all(to.join("snippets")).unwrap();
        std::fs::write(to.join("index.js"), "old").unwrap();
        for file in [ENTRY, WASM, "index.js"] {
            std::fs::write(from.join(file), "new").unwrap();
        }
        replace(&from, &to).unwrap();
        let mut left: Vec<_> = to
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, [ENTRY, WASM]);
        assert!(!from.exists());
    }
}
