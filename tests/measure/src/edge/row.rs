//! One contender's numbers: in a round, and in the end.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::load::Count;
use crate::statistics::{median, range, ratios};

/// One contender's turn in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_micros_per_request: f64,
    right_answers: u64,
    pub(crate) wrong_answers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_wrong_answer: Option<String>,
}

impl Round {
    /// What was counted while the process used `cpu`.
    pub(crate) fn of(count: &Count, cpu: Duration) -> Self {
        let answers = (count.right + count.wrong) as f64;
        Self {
            requests_per_second: answers / count.took.as_secs_f64(),
            cpu_micros_per_request: cpu.as_secs_f64() * 1e6 / answers,
            right_answers: count.right,
            wrong_answers: count.wrong,
            first_wrong_answer: count.first_wrong.clone(),
        }
    }
}

/// One contender in the end: medians over its rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_micros_per_request: f64,
    /// How often its baseline answers in the same time, turned over: 1 is as fast as the baseline, less is slower.
    pub(crate) throughput_ratio: f64,
    pub(crate) throughput_ratio_range: (f64, f64),
    /// The baseline's CPU time over its own: 1 is as cheap as the baseline, less is dearer.
    pub(crate) cpu_ratio: f64,
    pub(crate) cpu_ratio_range: (f64, f64),
    rounds: Vec<Round>,
}

impl Row {
    /// The medians of `rounds`, each compared with the same round of `baseline`.
    ///
    /// # Errors
    /// There is no round.
    pub(crate) fn of(name: &'static str, rounds: &[Round], baseline: &[Round]) -> Result<Self> {
        let throughput = each(rounds, |round| round.requests_per_second);
        let cpu = each(rounds, |round| round.cpu_micros_per_request);
        let throughput_ratios = ratios(
            &throughput,
            &each(baseline, |round| round.requests_per_second),
        );
        // Turned over, so that more is better in both columns.
        let cpu_ratios = ratios(&each(baseline, |round| round.cpu_micros_per_request), &cpu);
        let middle =
            |values: &[f64]| median(values.iter().copied()).context("a contender had no turn");
        let span =
            |values: &[f64]| range(values.iter().copied()).context("a contender had no turn");
        Ok(Self {
            name,
            requests_per_second: middle(&throughput)?,
            cpu_micros_per_request: middle(&cpu)?,
            throughput_ratio: middle(&throughput_ratios)?,
            throughput_ratio_range: span(&throughput_ratios)?,
            cpu_ratio: middle(&cpu_ratios)?,
            cpu_ratio_range: span(&cpu_ratios)?,
            rounds: rounds.to_vec(),
        })
    }
}

fn each(rounds: &[Round], value: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(right: u64) -> Round {
        let count = Count {
            right,
            took: Duration::from_secs(1),
            ..Count::default()
        };
        Round::of(&count, Duration::from_secs(1))
    }

    #[test]
    fn ratios_do_not_move_with_the_machine() {
        // In the second round the machine was half as fast.
        let (floor, other) = (
            [round(20_000), round(10_000)],
            [round(10_000), round(5_000)],
        );
        let row = Row::of("floor", &floor, &floor).unwrap();
        assert_eq!(
            (row.requests_per_second, row.cpu_micros_per_request),
            (15_000.0, 75.0)
        );
        assert_eq!((row.throughput_ratio, row.cpu_ratio), (1.0, 1.0));
        let row = Row::of("other", &other, &floor).unwrap();
        assert_eq!((row.throughput_ratio, row.cpu_ratio), (0.5, 0.5));
        assert_eq!(
            (row.throughput_ratio_range, row.cpu_ratio_range),
            ((0.5, 0.5), (0.5, 0.5))
        );
    }

    #[test]
    fn wrong_answers_count_as_requests_and_are_told() {
        let count = Count {
            right: 1,
            wrong: 3,
            took: Duration::from_secs(2),
            first_wrong: Some("HTTP/1.1 401".into()),
        };
        let round = Round::of(&count, Duration::from_secs(1));
        assert_eq!((round.requests_per_second, round.wrong_answers), (2.0, 3));
        assert!(round.first_wrong_answer.is_some());
        assert!(Row::of("none", &[], &[]).is_err());
    }
}
