//! What an isolate's copy of the revocations costs in wasm: a lookup, a thousand new ones, a whole base, memory.

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
/// At most so many microseconds for taking an update with a thousand new ones.
const TAKE_US: f64 = 1000.0;
/// At most so many bytes for one of a million, of whatever kind.
const BYTES: f64 = 24.0;

/// What the script names sets by, the kinds of which they consist.
const MIXES: [&str; 4] = ["mixed", "sessions", "tokens", "users"];

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also write the numbers as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Report {
    #[serde(flatten)]
    speed: Speed,
    memory: Vec<Memory>,
}

/// Among revocations of all kinds.
#[derive(Debug, Serialize, Deserialize)]
struct Speed {
    rows: Vec<Row>,
    /// A thousand new ones, from the bytes of their update: its MAC, the check, the union and a sweep of a sixteenth.
    take_1000_us: Spread,
    /// A sweep of a sixteenth, in which a fifteenth has expired.
    sweep_us: Spread,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    size: u32,
    /// The time to take all that was missing for the size, in one update; for a million that is the whole base.
    fill_ms: f64,
    /// In CPU time. Among none it is what the tokens themselves cost.
    lookup_ns: Spread,
}

/// What a million of one kind takes, with all that the allocator adds.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    mix: String,
    bytes_each: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
    let mut memory = Vec::new();
    for mix in MIXES {
        memory.push(Memory {
            mix: mix.to_owned(),
            bytes_each: ask(&tools, &folder, mix)?,
        });
    }
    let speed = ask(&tools, &folder, "speed")?;
    let report = Report { speed, memory };
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    print(&report);
    judge(&report)
}

/// What the script prints when it is asked for `what`.
fn ask<T: for<'de> Deserialize<'de>>(tools: &BuildTools, folder: &Path, what: &str) -> Result<T> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("view/run.mjs");
    let mut node = Command::new("node");
    node.arg(script)
        .arg(folder)
        .arg(what)
        .env("PATH", tools.npm.path());
    let printed = process::run("node", node, LIMIT)?;
    serde_json::from_str(&printed).context("the script printed something else")
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
    println!("Revocations of all kinds, 131,072 different tokens asked for in turn (in CPU time)");
    println!(
        "{:>10} {:>19} {:>11} {:>15}",
        "entries", "lookup, median ns", "worst", "filled in, ms"
    );
    for row in &report.speed.rows {
        println!(
            "{:>10} {:>19.0} {:>11.0} {:>15.0}",
            row.size, row.lookup_ns.median, row.lookup_ns.worst, row.fill_ms
        );
    }
    let (take, sweep) = (report.speed.take_1000_us, report.speed.sweep_us);
    println!(
        "1,000 new ones among a million, MAC, check and sweep of a sixteenth included: {:.0} µs, at worst {:.0} µs",
        take.median, take.worst
    );
    println!(
        "A sweep of a sixteenth that drops a fifteenth of it: {:.0} µs, at worst {:.0} µs",
        sweep.median, sweep.worst
    );
    for Memory { mix, bytes_each } in &report.memory {
        println!("Memory for each of a million, {mix}: {bytes_each:.1} bytes");
    }
}

/// What is promised: what, the value, the bound.
fn promises(report: &Report) -> Result<Vec<(String, f64, f64)>> {
    let rows = &report.speed.rows;
    let Some(million) = rows.iter().find(|row| row.size == MILLION) else {
        bail!("the script measured other sizes");
    };
    let (lookup, take) = (million.lookup_ns, report.speed.take_1000_us);
    let mut promises = vec![
        ("a lookup, ns".to_owned(), lookup.median, LOOKUP_NS),
        (
            "1,000 new ones, median, µs".to_owned(),
            take.median,
            TAKE_US,
        ),
        ("1,000 new ones, worst, µs".to_owned(), take.worst, TAKE_US),
    ];
    for Memory { mix, bytes_each } in &report.memory {
        promises.push((format!("bytes for an entry, {mix}"), *bytes_each, BYTES));
    }
    Ok(promises)
}

fn judge(report: &Report) -> Result<()> {
    let mut kept = true;
    for (what, value, bound) in promises(report)? {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lookup: f64, take: f64, bytes_each: f64) -> Report {
        let spread = |worst| Spread {
            median: worst / 2.0,
            worst,
        };
        Report {
            speed: Speed {
                rows: vec![Row {
                    size: MILLION,
                    fill_ms: 200.0,
                    lookup_ns: spread(2.0 * lookup),
                }],
                take_1000_us: spread(take),
                sweep_us: spread(9000.0),
            },
            memory: vec![Memory {
                mix: "users".to_owned(),
                bytes_each,
            }],
        }
    }

    #[test]
    fn every_bound_is_judged_by_itself() {
        assert!(judge(&report(150.0, 1000.0, 24.0)).is_ok());
        assert!(judge(&report(151.0, 1.0, 1.0)).is_err());
        assert!(
            judge(&report(1.0, 1001.0, 1.0)).is_err(),
            "the worst counts"
        );
        assert!(judge(&report(1.0, 1.0, 24.1)).is_err());
        let mut other = report(1.0, 1.0, 1.0);
        other.speed.rows.clear();
        assert!(judge(&other).is_err(), "nothing measured is nothing kept");
    }
}
