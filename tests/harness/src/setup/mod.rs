//! Finds what is missing on this machine and gets it, once.
//!
//! One file per thing. Each looks first, says in one line what it fetches and why only if it must, and fails with
//! the command that would help. Nothing is skipped in silence.

pub mod api_tools;
mod apt;
pub mod browser;
pub mod cache;
mod debian;
pub mod nginx;
pub mod npm;
pub mod postgres;
pub mod python;
pub mod wasm_bindgen;
pub mod wasm_std;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

pub use api_tools::ApiTools;
pub use npm::Npm;
pub use wasm_bindgen::WasmBindgen;
pub use wasm_std::WasmStd;

/// What the worker is built with.
#[derive(Clone, Debug)]
pub struct BuildTools {
    /// The standard library for wasm32.
    pub wasm_std: WasmStd,
    /// wasm-bindgen and its test runner.
    pub wasm_bindgen: WasmBindgen,
    /// Node, wrangler, workerd, wasm-opt, Postgres.
    pub npm: Npm,
}

/// Everything, the browser and the cache included.
#[derive(Clone, Debug)]
pub struct Tools {
    /// What the worker is built with.
    pub build: BuildTools,
    /// A Chromium.
    pub browser: PathBuf,
    /// An nginx.
    pub nginx: PathBuf,
    /// A Python with PyJWT.
    pub python: PathBuf,
    /// schemathesis and openapi-spec-validator.
    pub api_tools: ApiTools,
}

/// What builds and runs the stack.
///
/// # Errors
/// Something is missing and cannot be had; the message says what would help.
pub fn for_build() -> Result<BuildTools> {
    let npm = npm::ready()?;
    Ok(BuildTools {
        wasm_std: wasm_std::ready()?,
        wasm_bindgen: wasm_bindgen::ready()?,
        npm,
    })
}

/// What `cargo dev` needs: as [`for_build`], and a Postgres unless `DATABASE_URL` names one.
///
/// # Errors
/// As [`for_build`].
pub fn for_dev() -> Result<BuildTools> {
    let tools = for_build()?;
    postgres::ready(&tools.npm)?;
    Ok(tools)
}

/// What `cargo verify` needs: everything.
///
/// # Errors
/// As [`for_build`].
pub fn for_verify() -> Result<Tools> {
    // First, and together: who has to ask somebody else for them should hear it now, and once.
    let mut missing = Vec::new();
    if browser::find()?.is_none() {
        missing.push(browser::PACKAGE);
    }
    if nginx::find().is_none() {
        missing.push(nginx::PACKAGE);
    }
    if python::find().is_none() {
        missing.push(python::PACKAGE);
    }
    if api_tools::find().is_none() {
        missing.push(api_tools::PACKAGE);
    }
    apt::install(&missing)?;
    Ok(Tools {
        browser: browser::ready()?,
        nginx: nginx::ready()?,
        python: python::ready()?,
        api_tools: api_tools::ready()?,
        build: for_dev()?,
    })
}

/// One line for the reader.
pub(crate) fn say(line: &str) {
    eprintln!("set-up: {line}");
}

fn on_path(program: &str) -> Option<PathBuf> {
    program_in(&environment_path(), program)
}

fn environment_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The first `program` in the folders of `path`, which has the form of PATH.
fn program_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these programs in it.
    pub(super) fn folder_with(name: &str, programs: &[&str]) -> PathBuf {
        let folder = crate::workspace::scratch().unwrap().join(name);
        std::fs::create_dir(&folder).unwrap();
        for program in programs {
            let file = folder.join(program);
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    #[test]
    fn the_first_program_on_the_path_is_found_and_no_other_file() {
        let (empty, one) = (folder_with("path-0", &[]), folder_with("path-1", &["tool"]));
        let two = folder_with("path-2", &["tool"]);
        std::fs::write(empty.join("tool"), "no program").unwrap();
        let path = std::env::join_paths([&empty, &one, &two]).unwrap();
        assert_eq!(program_in(&path, "tool"), Some(one.join("tool")));
        assert_eq!(program_in(&path, "other"), None);
    }
}
