//! What came at the edges, made into numbers.

use std::ops::Range;
use std::time::{Duration, Instant};

use harness::watch::{Class, Seen, Trace, Verdict};

use super::people::{Gone, Person};
use super::report;
use crate::cpu::Machine;
use crate::statistics::percentile;

/// Answers on routes of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    answers: u64,
    stale: u64,
    unavailable: u64,
    wrong_refusals: u64,
}

/// What meters showed at one moment.
pub(super) struct Gauge {
    pub(super) at: Instant,
    pub(super) cpu: Machine,
    /// Requests for the issuer's feed, by edge.
    pub(super) feed: Vec<u64>,
    /// By class.
    pub(super) totals: Vec<Totals>,
}

/// What one class had between two moments.
pub(super) struct Period {
    seconds: f64,
    totals: Totals,
    feed_per_minute: Vec<f64>,
}

/// How long the dead passed, on routes of one class, for each logout and edge.
pub(super) struct Samples {
    passed: Vec<Option<f64>>,
    gaps: Vec<f64>,
    past_bound: u64,
    still_in: usize,
}

impl Totals {
    /// What came until now.
    pub(super) fn of<'a>(class: &Class, seen: impl Iterator<Item = &'a Seen>) -> Self {
        let mut totals = Self::default();
        for trace in seen.filter(|seen| seen.class == class).map(Seen::trace) {
            totals.answers += trace.answers;
            totals.stale += trace.stale;
            totals.unavailable += trace.unavailable;
            totals.wrong_refusals += trace.wrongly_refused;
        }
        totals
    }
}

/// Shows the first wrong refusal of each class, if there was one.
pub(super) fn show_wrong<'a>(seen: impl Iterator<Item = &'a Seen>) {
    let mut shown: Vec<&str> = Vec::new();
    for seen in seen {
        let wrong = seen.trace().first_wrong;
        if let Some(wrong) = wrong.filter(|_| !shown.contains(&seen.class.name)) {
            eprintln!(
                "{}: a wrong refusal at edge {}:\n{wrong}",
                seen.class.name, seen.edge
            );
            shown.push(seen.class.name);
        }
    }
}

impl Gauge {
    /// The share of the time until `after` in which the processors worked.
    pub(super) fn busy_until(&self, after: &Self) -> f64 {
        let busy = after.cpu.busy - self.cpu.busy;
        busy.as_secs_f64() / (after.cpu.total - self.cpu.total).as_secs_f64()
    }
}

impl Period {
    /// The period of the class `index` at `edges`.
    pub(super) fn between(
        before: &Gauge,
        after: &Gauge,
        index: usize,
        edges: &Range<usize>,
    ) -> Self {
        let seconds = (after.at - before.at).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
        let per_minute =
            |edge: usize| (after.feed[edge] - before.feed[edge]) as f64 * 60.0 / seconds;
        let (was, is) = (before.totals[index], after.totals[index]);
        Self {
            seconds,
            totals: Totals {
                answers: is.answers - was.answers,
                // While edges are cold some may be told to wait; afterwards nobody is.
                stale: is.stale - was.stale,
                unavailable: is.unavailable - was.unavailable,
                // Wrong at any time.
                wrong_refusals: is.wrong_refusals,
            },
            feed_per_minute: edges.clone().map(per_minute).collect(),
        }
    }
}

impl Samples {
    /// What came until now.
    pub(super) fn of(class: &Class, gone: &[Gone]) -> Self {
        let mut samples = Self {
            passed: Vec::new(),
            gaps: Vec::new(),
            past_bound: 0,
            still_in: 0,
        };
        let people = gone.iter().map(|gone| &gone.person);
        for seen in people.flat_map(Person::seen) {
            if seen.class == class {
                samples.add(&seen.trace());
            }
        }
        samples
    }

    fn add(&mut self, trace: &Trace) {
        let passed = passed(trace);
        self.past_bound += trace.past_bound;
        let is_last = |(_, verdict)| verdict == Verdict::Accepted;
        self.still_in += usize::from(passed.is_some() && trace.last.is_some_and(is_last));
        if passed.is_some() {
            self.gaps.extend(trace.gap.map(|gap| gap.as_secs_f64()));
        }
        self.passed.push(passed.map(rounded));
    }

    /// With what else there is to say of the class.
    pub(super) fn into_class(
        self,
        class: &Class,
        period: Period,
        lost: usize,
        unrecovered: usize,
    ) -> report::Class {
        let totals = period.totals;
        #[expect(clippy::cast_precision_loss, reason = "some hundred thousand at most")]
        let per_second = totals.answers as f64 / period.seconds;
        report::Class {
            name: class.name.to_owned(),
            bound: class.bound.as_secs_f64(),
            serves_stale: class.serves_stale,
            asked_every: class.until_refused.as_secs_f64(),
            gap_p99: percentile(&self.gaps, 0.99).map_or(0.0, three_digits),
            passed: self.passed,
            past_bound: self.past_bound,
            still_in: self.still_in,
            wrong_refusals: totals.wrong_refusals,
            stale: totals.stale,
            unavailable: totals.unavailable,
            answers: totals.answers,
            per_second: three_digits(per_second),
            lost,
            unrecovered,
            closed: Vec::new(),
            left_open: 0,
            wrongly_closed: 0,
            feed_per_minute: period
                .feed_per_minute
                .into_iter()
                .map(three_digits)
                .collect(),
        }
    }
}

/// How long one was let in after its end; nothing where the edge refused everybody when it ended, for that says nothing of
/// how soon it learns.
fn passed(trace: &Trace) -> Option<Duration> {
    match (trace.passed_for, trace.first_after) {
        (Some(passed), _) => Some(passed),
        (None, Some(Verdict::Refused)) => Some(Duration::ZERO),
        (None, _) => None,
    }
}

/// Seconds, to the millisecond.
pub(super) fn rounded(time: Duration) -> f64 {
    three_digits(time.as_secs_f64())
}

fn three_digits(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
