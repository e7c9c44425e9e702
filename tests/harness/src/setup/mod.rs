//! Finds what is missing on this machine and gets it, once.
//!
//! One file per thing. Each looks first, says in one line what it fetches and why only if it must, and fails with
//! the command that would help. Nothing is skipped in silence.

pub mod browser;
pub mod cache;
mod debian;
pub mod nginx;
pub mod npm;
pub mod postgres;
pub mod wasm_bindgen;
pub mod wasm_std;

use std::path::PathBuf;

use anyhow::Result;

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
    Ok(Tools {
        build: for_dev()?,
        browser: browser::ready()?,
        nginx: nginx::ready()?,
    })
}

/// One line for the reader.
pub(crate) fn say(line: &str) {
    eprintln!("set-up: {line}");
}
