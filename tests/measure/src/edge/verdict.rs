//! The targets, and whether they are met.

use serde::Serialize;

use super::contender::{Contender, Tokens, Worker};
use super::row::Row;

/// A warm guard that answers by itself, of the floor.
const OF_THE_FLOOR: f64 = 0.80;
/// The deployed guard that forwards, of the pass-through.
const OF_THE_PASS_THROUGH: f64 = 0.85;

/// One target.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) target: String,
    pub(crate) value: f64,
    pub(crate) bound: f64,
    pub(crate) met: bool,
}

/// Every target, on throughput and on CPU time.
pub(crate) fn all(rows: &[(&Contender, &Row)]) -> Vec<Verdict> {
    let best_jose = |measure: Measure| {
        let jose = rows
            .iter()
            .filter(|(contender, _)| matches!(contender.worker, Worker::Jose { .. }));
        jose.map(|(_, row)| measure.of(row)).fold(0.0, f64::max)
    };
    let mut verdicts = Vec::new();
    for (contender, row) in rows {
        for measure in [Measure::Throughput, Measure::Cpu] {
            let value = measure.of(row);
            let mut judge = |target: &str, bound: f64, met: bool| {
                let target = format!("{}: {}, {target}", row.name, measure.name());
                verdicts.push(Verdict {
                    target,
                    value,
                    bound,
                    met,
                });
            };
            match (contender.worker, contender.tokens) {
                (Worker::Guard, Tokens::Same) => {
                    let best = best_jose(measure);
                    judge("of the floor", OF_THE_FLOOR, value >= OF_THE_FLOOR);
                    judge("above the best jose", best, value > best);
                }
                (Worker::Deployed, Tokens::Same) => judge(
                    "of the pass-through",
                    OF_THE_PASS_THROUGH,
                    value >= OF_THE_PASS_THROUGH,
                ),
                _ => {}
            }
        }
    }
    verdicts
}

#[derive(Clone, Copy)]
enum Measure {
    Throughput,
    Cpu,
}

impl Measure {
    const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Cpu => "CPU time",
        }
    }

    const fn of(self, row: &Row) -> f64 {
        match self {
            Self::Throughput => row.throughput_ratio,
            Self::Cpu => row.cpu_ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::contender;
    use super::super::row::Round;
    use super::*;
    use crate::load::Count;

    /// The floor answers 100 requests a second, everyone else as many as `speed` says.
    fn judged(speed: impl Fn(&Contender) -> u64) -> Vec<Verdict> {
        let contenders = contender::all();
        let round = |right: u64| {
            let count = Count {
                right,
                took: Duration::from_secs(1),
                ..Count::default()
            };
            [Round::of(&count, Duration::from_secs(1))]
        };
        let rows: Vec<Row> = contenders
            .iter()
            .map(|one| Row::of(one.name, &round(speed(one)), &round(100)).unwrap())
            .collect();
        all(&contenders.iter().zip(&rows).collect::<Vec<_>>())
    }

    #[test]
    fn every_target_is_judged_on_throughput_and_cpu() {
        let verdicts = judged(|_| 100);
        assert_eq!(verdicts.len(), 12);
        // As good as the floor, but not above a jose that is as good.
        let met = verdicts.iter().filter(|verdict| verdict.met).count();
        assert_eq!(met, 8);
    }

    #[test]
    fn cold_tokens_and_new_cookies_have_no_target_and_the_best_jose_counts() {
        let verdicts = judged(|one| match (one.worker, one.tokens) {
            (Worker::Guard, Tokens::Different) | (Worker::Deployed, Tokens::SameAmongOthers) => 1,
            (Worker::Jose { kv: true }, _) => 10,
            (Worker::Jose { kv: false }, _) => 79,
            (Worker::Guard, Tokens::Same) => 80,
            _ => 85,
        });
        assert!(verdicts.iter().all(|verdict| verdict.met), "{verdicts:?}");
        let missed = judged(|one| {
            if one.worker == Worker::Deployed {
                84
            } else {
                100
            }
        });
        let deployed = missed
            .iter()
            .filter(|one| one.target.contains("forwarding"));
        assert!(deployed.into_iter().all(|verdict| !verdict.met));
    }
}
