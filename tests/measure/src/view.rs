//! What an isolate's copy of the revocations costs in wasm: a lookup, a thousand new ones, a part of a sweep, memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use harness::setup::{BuildTools, wasm_std};
use harness::{process, workspace};
use serde::{Deserialize, Serialize};

const LIMIT: Duration = Duration::from_secs(600);
const MILLION: u32 = 1_000_000;

/// At most so many nanoseconds for a lookup among a million.
const LOOKUP_NS: f64 = 150.0;
/// At most so many microseconds for a thousand new ones.
const APPLY_US: f64 = 1000.0;
/// At most so many bytes for one of a million.
const BYTES: f64 = 24.0;

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also write the numbers as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Report {
    rows: Vec<Row>,
    apply_1000_us: Spread,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    size: u32,
    fill_ms: f64,
    memory: u32,
    lookup_ns: f64,
    sweep_us: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Spread {
    median: f64,
    worst: f64,
}

/// Builds the set for wasm, measures it in Node, and prints the table.
///
/// # Errors
/// It cannot be built or run, or a bound is not kept.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tools = harness::setup::for_build()?;
    let folder = build(&tools)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("view/run.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(&folder).env("PATH", tools.npm.path());
    let printed = process::run("node", node, LIMIT)?;
    let report: Report =
        serde_json::from_str(&printed).context("the script printed something else")?;
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    print(&report);
    judge(&report)
}

fn build(tools: &BuildTools) -> Result<PathBuf> {
    let mut cargo = workspace::cargo(&[
        "build",
        "--quiet",
        "--release",
        "--package",
        "measure-view",
        "--target",
        wasm_std::TARGET,
    ]);
    tools.wasm_std.apply(&mut cargo);
    process::run("cargo build (measure-view)", cargo, LIMIT)?;
    let built = tools.wasm_std.target_folder().join(wasm_std::TARGET);
    let folder = workspace::target().join("measure-view");
    let mut bind = Command::new(tools.wasm_bindgen.program());
    bind.arg(built.join("release/measure_view.wasm"))
        .arg("--out-dir")
        .arg(&folder)
        .args([
            "--target",
            "nodejs",
            "--out-name",
            "index",
            "--no-typescript",
        ]);
    process::run("wasm-bindgen", bind, LIMIT)?;
    Ok(folder)
}

fn print(report: &Report) {
    println!(
        "{:>10} {:>11} {:>16} {:>12}",
        "entries", "lookup, ns", "1/16 sweep, µs", "memory, MB"
    );
    for row in &report.rows {
        println!(
            "{:>10} {:>11.0} {:>16.0} {:>12.1}",
            row.size,
            row.lookup_ns,
            row.sweep_us,
            f64::from(row.memory) / 1e6
        );
    }
    let Spread { median, worst } = report.apply_1000_us;
    println!("1,000 new ones among a million: {median:.0} µs, at worst {worst:.0} µs");
}

fn judge(report: &Report) -> Result<()> {
    let memory = |size| {
        report
            .rows
            .iter()
            .find(|row| row.size == size)
            .map(|row| f64::from(row.memory))
    };
    let (Some(empty), Some(full)) = (memory(0), memory(MILLION)) else {
        bail!("the script measured other sizes");
    };
    let lookup = report
        .rows
        .iter()
        .map(|row| row.lookup_ns)
        .fold(0.0, f64::max);
    let mut kept = true;
    for (what, value, bound) in [
        ("a lookup, ns", lookup, LOOKUP_NS),
        (
            "1,000 new ones, median, µs",
            report.apply_1000_us.median,
            APPLY_US,
        ),
        (
            "memory for one of a million, bytes",
            (full - empty) / f64::from(MILLION),
            BYTES,
        ),
    ] {
        let met = value <= bound;
        kept &= met;
        println!(
            "{} {what}: {value:.1}, at most {bound}",
            if met { "met    " } else { "NOT MET" }
        );
    }
    if !kept {
        bail!("a bound is not kept");
    }
    Ok(())
}
