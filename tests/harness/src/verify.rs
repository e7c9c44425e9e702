//! `cargo verify`: everything that must hold, step by step, ending with a plain count.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::postgres::{Cluster, Durability, TEST_SERVER};
use crate::process::{finish, last_lines};
use crate::setup::{self, Tools, WasmStd, wasm_std};
use crate::system::ISSUER_BUILD;
use crate::worker_build::{self, Variant};
use crate::workspace;

/// No step takes longer, so none hangs.
const LIMIT: Duration = Duration::from_secs(25 * 60);
const LINES_SHOWN: usize = 200;
const FUZZ: &str = "tests/fuzz/Cargo.toml";
const EXAMPLE: &str = "tests/examples/origin/rust/Cargo.toml";

/// Runs all steps; stops at the first that fails.
///
/// # Errors
/// A step has failed; its output has been printed.
pub async fn run() -> Result<()> {
    let started = Instant::now();
    let tools = step("set-up", setup::for_verify)?;
    cargo_step("format", cargo(&["fmt", "--all", "--check"]))?;
    // Workspaces of their own.
    cargo_step(
        "format of the fuzz targets",
        cargo(&["fmt", "--manifest-path", FUZZ, "--check"]),
    )?;
    cargo_step(
        "format of the example",
        cargo(&["fmt", "--manifest-path", EXAMPLE, "--check"]),
    )?;
    cargo_step(
        "clippy",
        cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    clippy_for_wasm(&tools)?;
    step("build the worker", || {
        worker_build::build(&tools.build, Variant::Production)
    })?;
    cargo_step("build the issuer", cargo(&ISSUER_BUILD))?;
    let mut counts = tests(&tools).await?;
    counts.add(&wasm_tests(&tools)?);
    println!("all steps took {:.0} s", started.elapsed().as_secs_f64());
    if counts.ignored > 0 {
        println!("{} ignored", counts.ignored);
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    if counts.passed == 0 {
        bail!("no test has run");
    }
    Ok(())
}

fn clippy_for_wasm(tools: &Tools) -> Result<()> {
    if tools.build.wasm_std != WasmStd::Rustup {
        println!("left out: clippy for wasm32, because Debian's compiler comes without it");
        return Ok(());
    }
    let mut clippy = cargo(&[
        "clippy",
        "--quiet",
        "--package",
        "edge",
        "--package",
        "shared",
        "--lib",
        "--target",
        wasm_std::TARGET,
    ]);
    clippy.args(["--", "-D", "warnings"]);
    cargo_step("clippy for wasm32", clippy)
}

/// Unit, system and browser tests. They share one Postgres, so that each test program need not start its own.
async fn tests(tools: &Tools) -> Result<Counts> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    command.env("PORTCULLIS_BROWSER", &tools.browser);
    let cluster = if std::env::var_os("DATABASE_URL").is_none() {
        let folder = workspace::scratch()?.join("postgres");
        Some(Cluster::start(&tools.build.npm, &folder, Durability::Thrown).await?)
    } else {
        None
    };
    if let Some(cluster) = &cluster {
        command.env(TEST_SERVER, cluster.server().base_url());
    }
    test_step("unit, system and browser tests", command)
}

/// The tests of `shared` once more, as WebAssembly under Node.
fn wasm_tests(tools: &Tools) -> Result<Counts> {
    let mut command = cargo(&[
        "test",
        "--package",
        "shared",
        "--lib",
        "--target",
        wasm_std::TARGET,
    ]);
    tools.build.wasm_std.apply(&mut command);
    command.env(
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER",
        tools.build.wasm_bindgen.test_runner(),
    );
    command.env("PATH", tools.build.npm.path());
    test_step("wasm tests", command)
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = workspace::cargo(arguments);
    command.env("CARGO_TERM_COLOR", "never");
    command
}

fn cargo_step(name: &str, command: Command) -> Result<()> {
    step(name, || {
        let finished = finish(name, command, Stdio::null(), LIMIT)?;
        if !finished.status.success() {
            bail!("{}", last_lines(&finished.output, LINES_SHOWN));
        }
        Ok(())
    })
}

fn test_step(name: &str, command: Command) -> Result<Counts> {
    step(name, || {
        let finished = finish(name, command, Stdio::null(), LIMIT)?;
        let counts = Counts::in_output(&finished.output);
        if !finished.status.success() || counts.failed > 0 {
            let log = keep(name, &finished.output)?;
            let shown = failures(&finished.output);
            bail!(
                "{shown}\n{} passed, {} failed; all output: {}",
                counts.passed,
                counts.failed,
                log.display()
            );
        }
        if counts.passed == 0 {
            bail!(
                "not a single test has run:\n{}",
                last_lines(&finished.output, LINES_SHOWN)
            );
        }
        Ok(counts)
    })
}

/// Says what is done and how long it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let result = work();
    let seconds = started.elapsed().as_secs_f64();
    match result {
        Ok(value) => {
            println!("ok      {seconds:6.1} s  {name}");
            Ok(value)
        }
        Err(error) => {
            println!("FAILED  {seconds:6.1} s  {name}\n{error:#}");
            bail!("the step `{name}` failed")
        }
    }
}

/// Keeps a step's output beyond this process.
fn keep(name: &str, output: &str) -> Result<std::path::PathBuf> {
    let file =
        workspace::target().join(Path::new(&name.replace([' ', ','], "-")).with_extension("log"));
    std::fs::write(&file, output)?;
    Ok(file)
}

/// What test programs say of their failures, or, where they say nothing, the end of the output.
fn failures(output: &str) -> String {
    let mut shown = String::new();
    let mut inside = false;
    for line in output.lines() {
        inside = match line {
            "failures:" => true,
            _ if line.starts_with("test result:") => false,
            _ => inside,
        };
        if inside || line.starts_with("error") {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    if shown.is_empty() {
        last_lines(output, LINES_SHOWN)
    } else {
        last_lines(&shown, LINES_SHOWN)
    }
}

/// How tests went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// The sum of all lines of the form `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn in_output(output: &str) -> Self {
        let mut counts = Self::default();
        for line in output
            .lines()
            .filter_map(|line| line.trim().strip_prefix("test result: "))
        {
            for part in line.split([';', '.']) {
                let mut words = part.split_whitespace();
                if let (Some(Ok(number)), Some(what)) =
                    (words.next().map(str::parse::<u64>), words.next())
                {
                    match what {
                        "passed" => counts.passed += number,
                        "failed" => counts.failed += number,
                        "ignored" => counts.ignored += number,
                        _ => {}
                    }
                }
            }
        }
        counts
    }

    const fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "running 3 tests\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s\n\nfailures:\n    b\n\ntest result: FAILED. 10 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.25s\nnot a test result: ok. 7 passed\n";

    #[test]
    fn results_are_summed() {
        assert_eq!(
            Counts::in_output(OUTPUT),
            Counts {
                passed: 12,
                failed: 1,
                ignored: 1
            }
        );
        assert_eq!(Counts::in_output(""), Counts::default());
    }

    #[test]
    fn failures_are_shown_without_the_rest() {
        assert_eq!(failures(OUTPUT), "failures:\n    b");
        assert_eq!(failures("it broke"), "it broke");
    }

    #[test]
    fn a_failed_step_is_an_error() {
        assert!(step("one", || anyhow::Ok(1)).is_ok());
        let error = step("two", || bail!("no") as Result<()>).unwrap_err();
        assert!(error.to_string().contains("two"));
    }
}
