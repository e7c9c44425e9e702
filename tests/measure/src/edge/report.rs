//! What came out: the rounds, the table, the JSON.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::contender::Contender;
use super::row::{Round, Row};
use super::verdict::{self, Verdict};

/// What other programs may use of the machine before the numbers are called disturbed.
const QUIET: f64 = 0.05;

/// All rounds of all contenders.
#[derive(Debug)]
pub(crate) struct Report {
    turns: Vec<(Contender, Vec<Round>)>,
    connections: usize,
    /// How long a turn is.
    pub(crate) seconds: Duration,
    /// The share of all processors that other programs used meanwhile, for each process.
    pub(crate) others: Vec<f64>,
}

impl Report {
    /// Without any round yet.
    pub(crate) fn new(contenders: Vec<Contender>, connections: usize, seconds: Duration) -> Self {
        let turns = contenders
            .into_iter()
            .map(|contender| (contender, Vec::new()))
            .collect();
        Self {
            turns,
            connections,
            seconds,
            others: Vec::new(),
        }
    }

    /// All that take part.
    pub(crate) fn contenders(&self) -> Vec<&Contender> {
        self.turns.iter().map(|(contender, _)| contender).collect()
    }

    /// How many take part.
    pub(crate) const fn len(&self) -> usize {
        self.turns.len()
    }

    /// The one whose turn is `index`.
    ///
    /// # Errors
    /// There are not so many.
    pub(crate) fn contender(&self, index: usize) -> Result<&Contender> {
        Ok(&self.turns.get(index).context("no such contender")?.0)
    }

    /// Adds a turn of the contender `index`.
    ///
    /// # Errors
    /// There are not so many.
    pub(crate) fn add(&mut self, index: usize, round: Round) -> Result<()> {
        self.turns
            .get_mut(index)
            .context("no such contender")?
            .1
            .push(round);
        Ok(())
    }

    /// Fails if any answer was wrong.
    ///
    /// # Errors
    /// It shows the first wrong answer.
    pub(crate) fn check(&self) -> Result<()> {
        for (contender, rounds) in &self.turns {
            let wrong: u64 = rounds.iter().map(|round| round.wrong_answers).sum();
            if let Some(first) = rounds
                .iter()
                .find_map(|round| round.first_wrong_answer.as_ref())
            {
                bail!(
                    "{} gave {wrong} wrong answers, so its numbers mean nothing; the first:\n{first}",
                    contender.name
                );
            }
        }
        Ok(())
    }

    /// The table, and which targets are met.
    ///
    /// # Errors
    /// A contender had no turn.
    pub(crate) fn table(&self) -> Result<String> {
        let rows = self.rows()?;
        let mut text = format!(
            "{} rounds of {:?} in {} processes, {} connections; medians; ratios within a round, to the floor or to the pass-through\n\n",
            self.turns.first().map_or(0, |(_, rounds)| rounds.len()),
            self.seconds,
            self.others.len(),
            self.connections
        );
        let _ = writeln!(
            text,
            "{:<33} {:>10} {:>10}   {:>17}   {:>17}",
            "contender", "requests/s", "CPU µs/req", "throughput ratio", "CPU ratio"
        );
        for row in &rows {
            let ratio =
                |value: f64, (low, high): (f64, f64)| format!("{value:.2} ({low:.2}-{high:.2})");
            let _ = writeln!(
                text,
                "{:<33} {:>10.0} {:>10.1}   {:>17}   {:>17}",
                row.name,
                row.requests_per_second,
                row.cpu_micros_per_request,
                ratio(row.throughput_ratio, row.throughput_ratio_range),
                ratio(row.cpu_ratio, row.cpu_ratio_range),
            );
        }
        let others = self.others.iter().copied().fold(0.0, f64::max);
        if others > QUIET {
            let _ = writeln!(
                text,
                "\nOther programs used up to {:.0} % of the machine meanwhile: throughput means little, and CPU time is disturbed.",
                others * 100.0
            );
        }
        text.push('\n');
        for Verdict {
            target,
            value,
            bound,
            met,
        } in self.verdicts(&rows)
        {
            let met = if met { "met" } else { "NOT met" };
            let _ = writeln!(text, "{target:<62} {value:.2} of {bound:.2}   {met}");
        }
        Ok(text)
    }

    /// The same as JSON, with every round.
    ///
    /// # Errors
    /// A contender had no turn.
    pub(crate) fn json(&self) -> Result<String> {
        let rows = self.rows()?;
        let report = serde_json::json!({
            "measure": "edge",
            "connections": self.connections,
            "seconds_per_turn": self.seconds.as_secs_f64(),
            "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "cpu_share_of_other_programs": self.others,
            "contenders": &rows,
            "targets": self.verdicts(&rows),
        });
        serde_json::to_string_pretty(&report).context("cannot write JSON")
    }

    fn verdicts(&self, rows: &[Row]) -> Vec<Verdict> {
        let contenders = self.turns.iter().map(|(contender, _)| contender);
        verdict::all(&contenders.zip(rows).collect::<Vec<_>>())
    }

    fn rows(&self) -> Result<Vec<Row>> {
        self.turns
            .iter()
            .map(|(contender, rounds)| Row::of(contender.name, rounds, self.baseline(contender)?))
            .collect()
    }

    fn baseline(&self, contender: &Contender) -> Result<&[Round]> {
        let mut turns = self.turns.iter();
        let found = turns.find(|(other, _)| contender.is_compared_with(other));
        Ok(&found.context("the baseline takes no part")?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::contender::{self, Worker};
    use super::*;
    use crate::load::Count;

    /// Two rounds, the second on a machine half as fast; the floor takes 50 µs in the first, the others twice as much.
    fn report() -> Report {
        let mut report = Report::new(contender::all(), 8, Duration::from_secs(1));
        for slowness in [1, 2] {
            for index in 0..report.len() {
                let worker = report.contender(index).unwrap().worker;
                let cost = if matches!(worker, Worker::Floor | Worker::PassThrough) {
                    1
                } else {
                    2
                };
                let count = Count {
                    right: 20_000 / (slowness * cost),
                    took: Duration::from_secs(1),
                    ..Count::default()
                };
                report
                    .add(index, Round::of(&count, Duration::from_secs(1)))
                    .unwrap();
            }
        }
        report
    }

    #[test]
    fn the_table_and_the_json_hold_everyone_and_every_target() {
        let mut report = report();
        let (table, json) = (report.table().unwrap(), report.json().unwrap());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for (contender, _) in &report.turns {
            assert!(table.contains(contender.name));
        }
        assert_eq!(json["contenders"].as_array().unwrap().len(), report.len());
        assert_eq!(json["contenders"][0]["rounds"].as_array().unwrap().len(), 2);
        assert_eq!(
            json["targets"].as_array().unwrap().len(),
            table.matches(" met\n").count()
        );
        assert!(table.contains("NOT met") && !table.contains("Other programs"));
        report.others = vec![0.1, 0.4];
        assert!(
            report
                .table()
                .unwrap()
                .contains("Other programs used up to 40 %")
        );
    }

    #[test]
    fn a_wrong_answer_spoils_the_report_and_is_shown() {
        let mut report = report();
        assert!(report.check().is_ok());
        let count = Count {
            right: 1,
            wrong: 2,
            took: Duration::from_secs(1),
            first_wrong: Some("HTTP/1.1 401".into()),
        };
        report
            .add(3, Round::of(&count, Duration::from_secs(1)))
            .unwrap();
        let error = report.check().unwrap_err().to_string();
        assert!(
            error.contains("2 wrong answers") && error.contains("401"),
            "{error}"
        );
    }

    #[test]
    fn without_a_turn_there_is_no_table() {
        let empty = Report::new(contender::all(), 8, Duration::from_secs(1));
        assert!(empty.table().is_err() && empty.json().is_err());
    }
}
