//! What came out, as numbers that can be read again.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::{EDGES, ISSUERS, scenario};
use crate::statistics::percentile;

/// So many seconds after a publisher was killed or frozen another one publishes, at most.
pub(crate) const TAKEOVER: f64 = 5.0;

/// So many seconds may pass between the bound and the moment at which a busy client sees that it was closed.
const CLOSING: f64 = 1.0;

/// All scenarios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    measure: String,
    seed: u64,
    /// For strict routes; as many more for the others.
    edges: usize,
    issuers: usize,
    cpus: usize,
    /// Requests a second of live sessions that each edge gets all the time.
    load: f64,
    /// In seconds, all of it.
    pub(crate) took: f64,
    /// In the order in which they were run.
    pub(crate) scenarios: Vec<Scenario>,
    /// What edges ask the issuer for, at each bound.
    pub(crate) feed: Vec<Feed>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// What was broken.
    pub(crate) fault: Fault,
    /// How many sessions were signed out; all classes are asked for each of them.
    pub(crate) logouts: usize,
    /// In seconds.
    pub(crate) took: f64,
    /// The share of time in which the machine's processors worked.
    pub(crate) busy: f64,
    /// For each publisher that was killed or frozen, after how many seconds another one published.
    pub(crate) takeovers: Vec<f64>,
    /// For each logout and location, after how many seconds KV there could tell; nothing: not at all. Computed: from the
    /// times of writes, their lags, and a look every half minute.
    pub(crate) kv_alone: Vec<Option<f64>>,
    /// By class of route.
    pub(crate) classes: Vec<Class>,
}

/// One class of routes under one fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Class {
    /// What it is called.
    pub(crate) name: String,
    /// In seconds.
    pub(crate) bound: f64,
    /// Whether it serves when nothing young enough can be had.
    pub(crate) serves_stale: bool,
    /// For each logout and edge, for how many seconds the session was still let in; 0: not once. Nothing where the edge
    /// refused everybody as stale when the session ended, so that it had no chance to pass.
    pub(crate) passed: Vec<Option<f64>>,
    /// A session that has ended is asked for at least so often, in seconds, as long as edges answer at once.
    pub(crate) asked_every: f64,
    /// How long after the last request that was let in the next one was sent, in seconds: all but one in a hundred.
    pub(crate) gap_p99: f64,
    /// How many of `passed` were still let in when the asking ended.
    pub(crate) still_in: usize,
    /// How many requests were let in later than the bound.
    pub(crate) past_bound: u64,
    /// How many requests of live sessions were refused.
    pub(crate) wrong_refusals: u64,
    /// How many were told that the edge does not know enough.
    pub(crate) stale: u64,
    /// How many had no proper answer.
    pub(crate) unavailable: u64,
    /// How many requests there were, and how many a second.
    pub(crate) answers: u64,
    /// All edges together.
    pub(crate) per_second: f64,
    /// Live sessions × edges that were not let in at the end, although there was a way to know that they should be.
    pub(crate) lost: usize,
    /// Sessions × edges that were not answered as they should be within the bound and 10 s after all was mended.
    pub(crate) unrecovered: usize,
    /// For each connection that was open when its session's end was answered, after how many seconds it was closed; nothing
    /// where none was open, because the edge knew too little to keep it.
    #[serde(default)]
    pub(crate) closed: Vec<Option<f64>>,
    /// How many of them were never closed; their times are those until the looking ended.
    #[serde(default)]
    pub(crate) left_open: usize,
    /// How many connections of live sessions were closed although the edge knew enough.
    #[serde(default)]
    pub(crate) wrongly_closed: u64,
    /// How often each location asked the issuer for revocations, per minute.
    pub(crate) feed_per_minute: Vec<f64>,
}

/// How often one location with one route asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Feed {
    /// The route's bound, in seconds.
    pub(crate) bound: u64,
    /// Requests per minute while KV shows writes at once.
    pub(crate) kv_in_time: f64,
    /// The same while it lags up to a minute.
    pub(crate) kv_lagging: f64,
}

impl Report {
    /// Without any scenario yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            measure: "revocation".to_owned(),
            seed,
            edges: EDGES,
            issuers: ISSUERS,
            cpus: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            load: scenario::LOAD,
            took: 0.0,
            scenarios: Vec::new(),
            feed: Vec::new(),
        }
    }

    /// Reads what [`Report::json`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn of_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("this is no report of `cargo measure revocation`")
    }

    /// As JSON.
    ///
    /// # Errors
    /// A number is none.
    pub(crate) fn json(&self) -> Result<String> {
        serde_json::to_string(self).context("cannot write JSON")
    }

    /// How many there are of what.
    pub(crate) fn title(&self) -> String {
        let logouts = self.scenarios.iter().map(|scenario| scenario.logouts);
        format!(
            "{} logouts for each fault, {} edges for strict routes and {} for the others, seed {}",
            logouts.min().unwrap_or(0),
            self.edges,
            self.edges,
            self.seed
        )
    }

    /// Under what load, on what, for how long.
    pub(crate) fn circumstances(&self) -> String {
        format!(
            "Live sessions ask each edge {} times a second, at random ({} a second over all edges), besides what is asked \
             for the dead.\n{} issuers, {} processors; the run took {:.0} min.",
            self.load,
            self.load * 2.0 * self.edges as f64,
            self.issuers,
            self.cpus,
            self.took / 60.0
        )
    }

    /// Fails if anything is not as it should be.
    ///
    /// # Errors
    /// It names everything.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong: Vec<String> = self.scenarios.iter().flat_map(Scenario::wrong).collect();
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n       "));
        }
        Ok(())
    }
}

impl Scenario {
    fn wrong(&self) -> Vec<String> {
        let mut wrong: Vec<String> = Vec::new();
        for class in &self.classes {
            let place = format!("{} routes, {}", class.name, self.fault.name());
            wrong.extend(
                class
                    .wrong(self.fault)
                    .into_iter()
                    .map(|what| format!("{place}: {what}")),
            );
        }
        let slowest = percentile(&self.takeovers, 1.0);
        if let Some(slowest) = slowest.filter(|time| *time > TAKEOVER) {
            wrong.push(format!(
                "{}: taken over after {slowest:.1} s",
                self.fault.name()
            ));
        }
        if self.fault.ends_publishers() && slowest.is_none() {
            wrong.push(format!("{}: nobody took over", self.fault.name()));
        }
        wrong
    }
}

impl Class {
    /// Whether sessions may be let in past the bound: on routes that serve when they are stale, while neither issuer nor
    /// KV can be reached.
    pub(crate) const fn may_pass(&self, fault: Fault) -> bool {
        self.serves_stale && fault.leaves_nothing()
    }

    /// The times, without the places where nobody had a chance to pass.
    pub(crate) fn times(&self) -> Vec<f64> {
        self.passed.iter().copied().flatten().collect()
    }

    fn wrong(&self, fault: Fault) -> Vec<String> {
        let times = self.times();
        let whole = fault == Fault::None;
        let counts = [
            (
                self.past_bound,
                !self.may_pass(fault),
                "let in past the bound",
            ),
            (
                self.still_in as u64,
                !self.may_pass(fault),
                "still let in at the end",
            ),
            (self.wrong_refusals, true, "wrong refusals"),
            (
                self.stale,
                whole,
                "refused as stale, and nothing was broken",
            ),
            (
                self.unavailable,
                whole,
                "unanswered, and nothing was broken",
            ),
            (
                self.left_open as u64,
                !self.may_pass(fault),
                "connections left open",
            ),
            (
                self.wrongly_closed,
                true,
                "connections of live sessions closed",
            ),
            (self.lost as u64, true, "alive and not let in at the end"),
            (
                self.unrecovered as u64,
                true,
                "not as they should be after all was mended",
            ),
        ];
        let counted = counts
            .into_iter()
            .filter(|(count, counts, _)| *counts && *count > 0);
        let mut wrong: Vec<String> = counted
            .map(|(count, _, what)| format!("{count} {what}"))
            .collect();
        let closed: Vec<f64> = self.closed.iter().copied().flatten().collect();
        let longest = percentile(&closed, 1.0).filter(|time| *time > self.bound + CLOSING);
        if let Some(time) = longest.filter(|_| !self.may_pass(fault)) {
            wrong.push(format!(
                "a connection was open for {time:.2} s, at most {} s",
                self.bound
            ));
        }
        for (name, share) in [("p99", 0.99), ("max", 1.0)] {
            let time = percentile(&times, share).filter(|time| *time > self.bound);
            if let Some(time) = time.filter(|_| !self.may_pass(fault)) {
                wrong.push(format!("{name} {time:.2} s, at most {} s", self.bound));
            }
        }
        if self.passed.is_empty() || self.answers == 0 {
            wrong.push("nothing was measured".to_owned());
        }
        if whole && times.len() < self.passed.len() {
            wrong.push("an edge refused everybody, and nothing was broken".to_owned());
        }
        wrong
    }
}

/// A small one for tests: three faults, two classes.
#[cfg(test)]
pub(super) fn example() -> Report {
    let class = |name: &str, bound: f64, longest: f64| Class {
        name: name.to_owned(),
        bound,
        serves_stale: name == "serve",
        passed: (0..=100_u32)
            .map(|n| Some(longest * f64::from(n) / 100.0))
            .collect(),
        asked_every: 0.1,
        gap_p99: 0.09,
        still_in: 0,
        past_bound: 0,
        wrong_refusals: 0,
        stale: 0,
        unavailable: 0,
        answers: 1000,
        per_second: 100.0,
        lost: 0,
        unrecovered: 0,
        closed: vec![Some(longest / 2.0), Some(longest), None],
        left_open: 0,
        wrongly_closed: 0,
        feed_per_minute: vec![10.0, 20.0],
    };
    let scenario = |fault: Fault| Scenario {
        fault,
        logouts: 13,
        took: 200.0,
        busy: 0.25,
        takeovers: if fault.ends_publishers() {
            vec![1.5, 4.5]
        } else {
            Vec::new()
        },
        kv_alone: vec![Some(0.5), Some(45.0), None],
        classes: vec![class("strict", 2.0, 1.5), class("serve", 60.0, 50.0)],
    };
    let mut report = Report::new(7);
    report.took = 1700.0;
    report.scenarios = [Fault::None, Fault::BothCut, Fault::PublisherKilled]
        .map(scenario)
        .into();
    report.scenarios[1].classes[0].passed[100] = None;
    report.scenarios[1].classes[0].stale = 3;
    report.feed = vec![Feed {
        bound: 2,
        kv_in_time: 30.0,
        kv_lagging: 31.0,
    }];
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_again() {
        let report = example();
        let json = report.json().unwrap();
        assert_eq!(Report::of_json(&json).unwrap(), report);
        assert!(json.contains("both-cut") && Report::of_json("{}").is_err());
    }

    #[test]
    fn only_serving_routes_may_pass_and_only_when_both_ways_are_gone() {
        let mut report = example();
        assert!(report.check().is_ok());
        let exception = &mut report.scenarios[1].classes[1];
        (exception.past_bound, exception.still_in) = (5, 5);
        exception.passed.push(Some(90.0));
        assert!(report.check().is_ok());
        report.scenarios[0].classes[1].past_bound = 1;
        let error = report.check().unwrap_err().to_string();
        assert_eq!(error, "serve routes, none: 1 let in past the bound");
    }

    /// What `change` makes of the class of strict routes under one of the faults of the example.
    fn told(scenario: usize, change: impl FnOnce(&mut Class)) -> Option<String> {
        let mut report = example();
        change(&mut report.scenarios[scenario].classes[0]);
        report.check().err().map(|error| error.to_string())
    }

    #[test]
    fn edges_that_answer_nothing_fail() {
        for (change, expected) in [
            (
                (|class| class.stale = 1) as fn(&mut Class),
                "1 refused as stale",
            ),
            (|class| class.unavailable = 2, "2 unanswered"),
            (|class| class.answers = 0, "nothing was measured"),
            (|class| class.passed[0] = None, "refused everybody"),
            (|class| class.lost = 8, "8 alive and not let in"),
            (|class| class.unrecovered = 1, "1 not as they should be"),
            (|class| class.wrong_refusals = 1, "1 wrong refusals"),
            (|class| class.still_in = 1, "1 still let in"),
            (|class| class.left_open = 3, "3 connections left open"),
            (|class| class.closed[0] = Some(3.1), "open for 3.10 s"),
            (|class| class.wrongly_closed = 1, "1 connections of live"),
        ] {
            let told = told(0, change).unwrap();
            assert!(told.contains(expected), "{told}");
        }
        assert_eq!(
            told(1, |class| class.stale = 9),
            None,
            "both ways were gone"
        );
        assert!(told(1, |class| class.lost = 1).is_some());
    }

    #[test]
    fn a_time_beyond_the_bound_fails_even_if_nobody_counted_it() {
        let told = told(2, |class| class.passed[100] = Some(2.01)).unwrap();
        assert_eq!(
            told,
            "strict routes, publisher killed: max 2.01 s, at most 2 s"
        );
    }

    #[test]
    fn a_publisher_is_replaced_in_time() {
        for (times, expected) in [
            (vec![1.0, 5.2], "after 5.2 s"),
            (vec![], "nobody took over"),
        ] {
            let mut report = example();
            report.scenarios[2].takeovers = times;
            let told = report.check().unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
    }
}
