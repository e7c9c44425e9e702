//! How long a session that was signed out is still let in, at eight edges, for each class of route, while something is
//! broken.
//!
//! What counts is the time from the answer of `POST /auth/logout` to the last request that was sent and still let in.
//! Sessions end at random moments, and edges renew what they know by their own clock, driven by a load that does not
//! depend on who ends when: else both would fall into step, and the time would be that of the measurement.
//!
//! An open connection of each class is closed, or it is not: what counts there is the time from that answer to the close.
//!
//! Beside it stands what KV alone would have given: the time until an edge would have known that looks into it every
//! half minute, which is as often as its caches let anybody see something new.

mod fault;
mod feed;
mod open;
mod people;
mod plot;
mod random;
mod report;
mod scenario;
mod table;
mod tally;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use fault::Fault;
use report::Report;

/// How many locations there are for strict routes, and how many for the others.
const EDGES: usize = 8;
/// One of which publishes.
const ISSUERS: usize = 2;

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also write every time to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the distributions into this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Measure nothing: print and draw what an earlier run wrote with --json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "faults"])]
    from: Option<PathBuf>,
    /// How many sessions are signed out in each scenario: fewer than 200 make a trial, not a measurement
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=1900))]
    logouts: u16,
    /// What the lags of KV, and the faults of --faults, follow from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these scenarios
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Fault>,
    /// Instead: break things at random for so long (10m, 90s), and watch that nothing is lost
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    faults: Option<Duration>,
}

/// Sets up what is missing, measures, and prints the table.
///
/// # Errors
/// The stack does not come up; or a session was let in past its bound, or a live one refused.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(path) = &options.from {
        let json = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        return show(&Report::of_json(&json)?, options);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    if let Some(time) = options.faults {
        return runtime.block_on(random::run(options.seed, time));
    }
    show(&runtime.block_on(measure(options))?, options)
}

async fn measure(options: &Options) -> Result<Report> {
    let faults = if options.only.is_empty() {
        Fault::ALL.to_vec()
    } else {
        options.only.clone()
    };
    let begun = Instant::now();
    let mut report = Report::new(options.seed);
    for fault in faults {
        eprintln!("{}: {} logouts", fault.name(), options.logouts);
        let scenario = scenario::run(fault, options.logouts.into(), options.seed).await?;
        eprintln!("  took {} s", scenario.took);
        report.scenarios.push(scenario);
    }
    if options.only.is_empty() {
        report.feed = feed::run(options.seed).await?;
    }
    report.took = begun.elapsed().as_secs_f64().round();
    Ok(report)
}

/// What is shown is what the JSON says, whether it was written now or is kept from an earlier run.
fn show(report: &Report, options: &Options) -> Result<()> {
    let json = report.json()?;
    if let Some(path) = &options.json {
        std::fs::write(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let report = Report::of_json(&json)?;
    print!("{}", table::of(&report));
    if let Some(path) = &options.plot {
        std::fs::write(path, plot::svg(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.check()
}

/// `90s`, `10m`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number
        .parse()
        .map_err(|_| "such as 90s or 10m".to_owned())?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" if number <= 24 * 60 => Ok(Duration::from_secs(number * 60)),
        _ => Err("such as 90s or 10m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["", "10", "m", "-1s", "1h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
