//! The standard library for `wasm32-unknown-unknown`: rustup's, or where rustup is refused, Debian's source of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{debian, say};
use crate::{process, workspace};

/// The worker's target.
pub const TARGET: &str = "wasm32-unknown-unknown";

const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Where the standard library comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WasmStd {
    /// Installed beside the ordinary compiler.
    Rustup,
    /// Debian's compiler and library source, in a folder of the cache; built by cargo with the worker.
    Debian {
        /// The folder.
        folder: PathBuf,
        /// The linker of the ordinary toolchain, which Debian's packages lack.
        linker: PathBuf,
    },
}

impl WasmStd {
    /// Sets `command`, a cargo, up to build for [`TARGET`].
    pub fn apply(&self, command: &mut Command) {
        command.env("CARGO_TARGET_DIR", self.target_folder());
        if let Self::Debian { folder, linker } = self {
            command
                .env("RUSTC", folder.join("rustc"))
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
    }

    /// Cargo's target folder for such builds; another compiler gets another, so that neither discards the other's work.
    pub fn target_folder(&self) -> PathBuf {
        match self {
            Self::Rustup => workspace::target(),
            Self::Debian { .. } => workspace::target().join("debian-rustc"),
        }
    }
}

/// The standard library, fetched now if it is missing. `PORTCULLIS_WASM_STD=debian` takes Debian's without asking rustup.
///
/// # Errors
/// Neither way works.
pub fn ready() -> Result<WasmStd> {
    match std::env::var("PORTCULLIS_WASM_STD").as_deref() {
        Ok("debian") => return from_debian(),
        Ok("rustup") | Err(_) => {}
        Ok(other) => bail!("PORTCULLIS_WASM_STD is `rustup` or `debian`, not `{other}`"),
    }
    if installed()? {
        return Ok(WasmStd::Rustup);
    }
    say(
        "fetching the standard library for wasm32 with `rustup target add`: the worker is compiled against it",
    );
    let mut command = Command::new("rustup");
    command
        .args(["target", "add", TARGET])
        .current_dir(workspace::root());
    match process::run("rustup target add", command, LIMIT) {
        Ok(_) if installed()? => Ok(WasmStd::Rustup),
        Ok(_) => bail!(
            "rustup added {TARGET} to another toolchain than the one in use: run `rustup show`"
        ),
        Err(refused) => {
            let reason = process::first_error(&refused);
            say(&format!(
                "rustup could not ({}); trying Debian's packages",
                reason
            ));
            from_debian().with_context(|| format!("neither rustup nor Debian's packages gave the standard library for wasm32; run `rustup target add {TARGET}` to see why"))
        }
    }
}

fn from_debian() -> Result<WasmStd> {
    let folder = debian::ready()?;
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let linker = rustc(&["--print", "sysroot"])?
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if !linker.is_file() {
        bail!(
            "{} is missing: `rustup component add rustc` brings it",
            linker.display()
        );
    }
    Ok(WasmStd::Debian { folder, linker })
}

fn installed() -> Result<bool> {
    let libraries = rustc(&["--print", "target-libdir", "--target", TARGET])?;
    Ok(libraries
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some()))
}

fn rustc(arguments: &[&str]) -> Result<PathBuf> {
    let mut command = Command::new("rustc");
    command.args(arguments).current_dir(workspace::root());
    let output = process::run("rustc", command, Duration::from_secs(60))
        .context("rustc does not start: install it with rustup")?;
    Ok(Path::new(output.trim()).to_owned())
}
