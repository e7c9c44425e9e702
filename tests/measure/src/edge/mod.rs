//! What guarding a request costs in the worker.
//!
//! One plain workerd holds every contender as a service of its own, so that all have the same process around them; one
//! is driven at a time, in turn, and the CPU time that the process used meanwhile is that contender's. Ratios are taken
//! within a round, so that a machine that is slower for a while is slower for both sides; hence many short turns. Where a
//! process puts what in memory is chance, and worth several percent to a contender for as long as it lives; hence many
//! processes.

mod capnp;
mod contender;
mod knowledge;
mod modules;
mod report;
mod row;
mod stage;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{cpu, load};
use contender::Contender;
use report::Report;
use row::Round;
use stage::Stage;

/// How many requests are under way at once.
const CONNECTIONS: usize = 8;
/// For how long each contender is driven before anything is measured: V8 compiles what is hot.
const WARM_UP: Duration = Duration::from_secs(1);

/// For how long each contender is driven over one connection before that.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also write every round as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many workerd are started, one after the other
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    processes: u32,
    /// How often each contender has its turn in each of them
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long a turn is, in seconds
    #[arg(long, default_value = "0.2", value_parser = turn)]
    seconds: Duration,
}

/// Sets up what is missing, measures, and prints the table.
///
/// # Errors
/// The stack cannot be set up or does not answer; or a contender gave wrong answers, which makes its numbers worthless.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tools = harness::setup::for_build()?;
    let worker = harness::worker_build::build(&tools, harness::worker_build::Variant::Production)?;
    let mut report = Report::new(contender::all(), CONNECTIONS, options.seconds);
    for process in 1..=options.processes {
        eprint!("\rprocess {process} of {}", options.processes);
        // One thread asks and one process answers: on two cores neither waits for the other. What serves one process ends
        // with its runtime.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        runtime.block_on(async {
            let stage = Stage::set(&tools.npm, &worker, &report.contenders()).await?;
            measure(options.rounds, &stage, &mut report).await
        })?;
    }
    eprintln!();
    print!("{}", report.table()?);
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.check()
}

/// Lets all contenders have their turns on `stage`.
async fn measure(rounds: u32, stage: &Stage, report: &mut Report) -> Result<()> {
    for contender in report.contenders() {
        // A cold isolate looks into KV for its first request; more at once would turn to the issuer, and there is none.
        drive_rightly(stage, contender, 1, FIRST_LOOK).await?;
        drive_rightly(stage, contender, CONNECTIONS, WARM_UP).await?;
    }
    let before = Usage::now(stage)?;
    for _ in 0..rounds {
        for index in 0..report.len() {
            let taken = turn_of(stage, report.contender(index)?, report.seconds).await?;
            report.add(index, taken)?;
        }
    }
    report
        .others
        .push(Usage::now(stage)?.by_others_since(&before));
    Ok(())
}

/// Who has used the processors so far.
struct Usage {
    machine: cpu::Machine,
    ours: Duration,
}

impl Usage {
    fn now(stage: &Stage) -> Result<Self> {
        let own = i32::try_from(std::process::id()).context("a process id out of range")?;
        let ours = cpu::used_by(stage.process_id())? + cpu::used_by(own)?;
        Ok(Self {
            machine: cpu::machine()?,
            ours,
        })
    }

    /// The share of all processors that other programs have used since `before`.
    fn by_others_since(&self, before: &Self) -> f64 {
        let busy = self.machine.busy.saturating_sub(before.machine.busy);
        let total = self.machine.total.saturating_sub(before.machine.total);
        let others = busy.saturating_sub(self.ours.saturating_sub(before.ours));
        others.as_secs_f64() / total.as_secs_f64().max(f64::EPSILON)
    }
}

/// Before measuring: the first wrong answer ends it.
async fn drive_rightly(
    stage: &Stage,
    contender: &Contender,
    connections: usize,
    time: Duration,
) -> Result<()> {
    let count = load::drive(stage.target(contender)?, connections, time).await;
    let count = count.with_context(|| format!("{}\n{}", contender.name, stage.log_tail()))?;
    match count.first_wrong {
        None => Ok(()),
        Some(wrong) => bail!(
            "{}: a wrong answer:\n{wrong}\n{}",
            contender.name,
            stage.log_tail()
        ),
    }
}

async fn turn_of(stage: &Stage, contender: &Contender, time: Duration) -> Result<Round> {
    let target = stage.target(contender)?;
    let before = cpu::used_by(stage.process_id())?;
    let count = load::drive(target, CONNECTIONS, time).await;
    let count = count.with_context(|| format!("{}\n{}", contender.name, stage.log_tail()))?;
    let used = cpu::used_by(stage.process_id())?.saturating_sub(before);
    Ok(Round::of(&count, used))
}

fn turn(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if !(0.05..=600.0).contains(&seconds) {
        return Err("between 0.05 and 600".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_used_what_was_not_idle_and_not_ours() {
        let usage = |busy, total, ours| Usage {
            machine: cpu::Machine {
                busy: Duration::from_secs(busy),
                total: Duration::from_secs(total),
            },
            ours: Duration::from_secs(ours),
        };
        let before = usage(100, 1000, 50);
        assert!((usage(108, 1010, 55).by_others_since(&before) - 0.3).abs() < 1e-9);
        assert!(usage(100, 1000, 50).by_others_since(&before).abs() < 1e-9);
    }

    #[test]
    fn a_turn_is_a_number_of_seconds_within_reason() {
        assert_eq!(turn("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["", "x", "0", "-1", "1e9", "NaN", "inf"] {
            assert!(turn(wrong).is_err(), "{wrong}");
        }
    }
}
