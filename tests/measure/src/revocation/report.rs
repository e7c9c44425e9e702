//! What came out, as numbers that can be read again.

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::{EDGES, ISSUERS};

/// All scenarios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    measure: String,
    seed: u64,
    edges: usize,
    issuers: usize,
    cpus: usize,
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
    /// How many sessions were signed out.
    pub(crate) logouts: usize,
    /// For each logout and location, after how many seconds KV there could tell; nothing: not at all.
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
    /// For each logout and location, for how many seconds the session was still let in; 0: not once.
    pub(crate) passed: Vec<f64>,
    /// How many requests were let in later than the bound.
    pub(crate) past_bound: u64,
    /// How many requests of live sessions were refused.
    pub(crate) wrong_refusals: u64,
    /// How many were told that the edge does not know enough.
    pub(crate) stale: u64,
    /// How many had no proper answer.
    pub(crate) unavailable: u64,
    /// How many requests there were.
    pub(crate) answers: u64,
    /// How often each location asked the issuer for revocations, per minute, while this class was asked for.
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
        let logouts: usize = self.scenarios.iter().map(|scenario| scenario.logouts).sum();
        format!(
            "{logouts} logouts, {} edges, {} issuers, seed {}",
            self.edges, self.issuers, self.seed
        )
    }

    /// Fails if anything was let in past its bound, or a live session refused. Routes that serve when they are stale
    /// have no bound while neither issuer nor KV can be reached.
    ///
    /// # Errors
    /// It says where.
    pub(crate) fn check(&self) -> Result<()> {
        for scenario in &self.scenarios {
            for class in &scenario.classes {
                let place = format!("{} routes, {}", class.name, scenario.fault.name());
                if class.past_bound > 0 && !class.may_pass(scenario.fault) {
                    bail!("{place}: {} let in past the bound", class.past_bound);
                }
                if class.wrong_refusals > 0 {
                    bail!("{place}: {} wrong refusals", class.wrong_refusals);
                }
            }
        }
        Ok(())
    }
}

impl Class {
    /// Whether sessions may be let in past the bound.
    pub(crate) const fn may_pass(&self, fault: Fault) -> bool {
        self.serves_stale && fault.leaves_nothing()
    }
}

/// A small one for tests: two faults, two classes.
#[cfg(test)]
pub(super) fn example() -> Report {
    let class = |name: &str, bound: f64, longest: f64| Class {
        name: name.to_owned(),
        bound,
        serves_stale: name == "serve",
        passed: (0..=100_u32)
            .map(|n| longest * f64::from(n) / 100.0)
            .collect(),
        past_bound: 0,
        wrong_refusals: 0,
        stale: 3,
        unavailable: 0,
        answers: 1000,
        feed_per_minute: vec![10.0, 20.0],
    };
    let scenario = |fault| Scenario {
        fault,
        logouts: 13,
        kv_alone: vec![Some(0.5), Some(45.0), None],
        classes: vec![class("strict", 2.0, 1.5), class("serve", 60.0, 50.0)],
    };
    let mut report = Report::new(7);
    report.scenarios = vec![scenario(Fault::None), scenario(Fault::BothCut)];
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
        report.scenarios[1].classes[1].past_bound = 5;
        assert!(report.check().is_ok());
        report.scenarios[0].classes[1].past_bound = 1;
        let error = report.check().unwrap_err().to_string();
        assert_eq!(error, "serve routes, none: 1 let in past the bound");
    }

    #[test]
    fn a_wrong_refusal_fails() {
        let mut report = example();
        report.scenarios[1].classes[0].wrong_refusals = 1;
        assert!(report.check().is_err());
    }
}
