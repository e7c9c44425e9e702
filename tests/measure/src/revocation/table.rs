//! The report as text.

use std::fmt::Write as _;

use super::report::{Class, Feed, Report, Scenario, TAKEOVER};
use crate::statistics::{median, percentile};

const LEGEND: &str = "\
n: logouts × edges. shut: those at edges that refused everybody as stale at that moment; they are not in p50, p99 and max.
gap: p99 of the time from the last request that was let in to the next one, so a dead session may have passed so much longer.
past: requests let in later than the bound. in: of n, still let in at the end (> before the times: they would have grown).
stale, unansw.: of all answers, 503 revocations_stale and none or another error. req/s: all requests to all edges.
The two faults that cut edges off: each edge of strict routes is cut off for 3 to 9 s, again and again; the others are cut off for good.
";
const OF_CONNECTIONS: &str = "\
Seconds from the answer of the logout to the close of a WebSocket that was open then, one for each logout, at one edge.
shut: none was open, because the edge knew too little to keep it. left: still open at the end.
";
const OF_KV: &str = "\
KV alone, computed and not measured: from the times at which the head was written, the lag drawn for each write and location,
and a worker that looks whenever KV's cache (30 s) lets it see something new. It is the same for routes of every bound.
";

/// The tables.
pub(super) fn of(report: &Report) -> String {
    let mut text = format!(
        "Seconds from the answer of the logout to the last request that was let in.\n{}.\n{}\n\n",
        report.title(),
        report.circumstances()
    );
    let _ = writeln!(
        text,
        "{:<8} {:<18} {:>5} {:>5} {:>8} {:>8} {:>8} {:>5} {:>7} {:>5} {:>7} {:>7} {:>6} {:>9} {:>7}",
        "routes",
        "fault",
        "n",
        "shut",
        "p50",
        "p99",
        "max",
        "gap",
        "past",
        "in",
        "stale",
        "unansw.",
        "wrong",
        "feed/min",
        "req/s"
    );
    for (scenario, class) in by_class(report) {
        row(&mut text, scenario, class);
    }
    text.push_str(LEGEND);
    connections(&mut text, report);
    takeovers(&mut text, report);
    let _ = writeln!(
        text,
        "\n{:<27} {:>6} {:>7} {:>7} {:>7} {:>7}",
        "KV alone", "n", "p50", "p99", "max", "never"
    );
    for scenario in &report.scenarios {
        alone(&mut text, scenario);
    }
    text.push_str(OF_KV);
    feed(&mut text, &report.feed);
    text
}

/// Every class of every scenario, the classes together.
fn by_class(report: &Report) -> Vec<(&Scenario, &Class)> {
    let mut all: Vec<(&Scenario, &Class)> = Vec::new();
    let names = report.scenarios.first().map(|scenario| &scenario.classes);
    for name in names.into_iter().flatten().map(|class| &class.name) {
        for scenario in &report.scenarios {
            let own = scenario.classes.iter().filter(|class| class.name == *name);
            all.extend(own.map(|class| (scenario, class)));
        }
    }
    all
}

fn row(text: &mut String, scenario: &Scenario, class: &Class) {
    let times = class.times();
    let at_least = if class.still_in > 0 { ">" } else { "" };
    let at = |share| {
        let time = percentile(&times, share);
        time.map_or("-".to_owned(), |time| format!("{at_least}{time:.2}"))
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of some hundred thousand"
    )]
    let share = |count: u64| 100.0 * count as f64 / class.answers.max(1) as f64;
    let apart = if class.may_pass(scenario.fault) {
        "*"
    } else {
        ""
    };
    let feed = median(class.feed_per_minute.iter().copied()).unwrap_or(f64::NAN);
    let _ = writeln!(
        text,
        "{:<8} {:<18} {:>5} {:>5} {:>8} {:>8} {:>8} {:>5.2} {:>7} {:>5} {:>5.1} % {:>5.1} % {:>6} {feed:>9.1} {:>7.0}",
        class.name,
        scenario.fault.name(),
        class.passed.len(),
        class.passed.len() - times.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        class.gap_p99,
        format!("{}{apart}", class.past_bound),
        class.still_in,
        share(class.stale),
        share(class.unavailable),
        class.wrong_refusals,
        class.per_second
    );
}

fn connections(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "\n{:<8} {:<18} {:>5} {:>5} {:>8} {:>8} {:>8} {:>5}",
        "open", "fault", "n", "shut", "p50", "p99", "max", "left"
    );
    for (scenario, class) in by_class(report) {
        let times: Vec<f64> = class.closed.iter().copied().flatten().collect();
        let at_least = if class.left_open > 0 { ">" } else { "" };
        let at = |share| {
            let time = percentile(&times, share);
            time.map_or("-".to_owned(), |time| format!("{at_least}{time:.2}"))
        };
        let _ = writeln!(
            text,
            "{:<8} {:<18} {:>5} {:>5} {:>8} {:>8} {:>8} {:>5}",
            class.name,
            scenario.fault.name(),
            class.closed.len(),
            class.closed.len() - times.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            class.left_open
        );
    }
    text.push_str(OF_CONNECTIONS);
}

fn takeovers(text: &mut String, report: &Report) {
    let _ = writeln!(
        text,
        "\n{:<27} {:>7} {:>7} {:>7} {:>9} {:>7} {:>7}",
        "fault", "logouts", "took, s", "busy", "takeovers", "p50", "max"
    );
    for scenario in &report.scenarios {
        let times = &scenario.takeovers;
        let at =
            |share| percentile(times, share).map_or("-".to_owned(), |time| format!("{time:.2}"));
        let _ = writeln!(
            text,
            "{:<27} {:>7} {:>7.0} {:>5.0} % {:>9} {:>7} {:>7}",
            scenario.fault.name(),
            scenario.logouts,
            scenario.took,
            100.0 * scenario.busy,
            times.len(),
            at(0.5),
            at(1.0)
        );
    }
    let _ = writeln!(
        text,
        "busy: of the machine's processors. A takeover: from the end of a publisher until another one publishes, at most \
         {TAKEOVER} s."
    );
}

fn alone(text: &mut String, scenario: &Scenario) {
    let told: Vec<f64> = scenario.kv_alone.iter().copied().flatten().collect();
    let at = |share| percentile(&told, share).map_or("-".to_owned(), |time| format!("{time:.2}"));
    let never = scenario.kv_alone.len() - told.len();
    let _ = writeln!(
        text,
        "{:<27} {:>6} {:>7} {:>7} {:>7} {never:>7}",
        scenario.fault.name(),
        scenario.kv_alone.len(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
}

fn feed(text: &mut String, feed: &[Feed]) {
    if !feed.is_empty() {
        let _ = writeln!(
            text,
            "\n{:<7} {:>22} {:>22}",
            "bound", "feed/min, KV in time", "feed/min, KV lagging"
        );
    }
    for feed in feed {
        let _ = writeln!(
            text,
            "{:>5} s {:>22.1} {:>22.1}",
            feed.bound, feed.kv_in_time, feed.kv_lagging
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::report;

    #[test]
    fn every_class_and_fault_has_its_row() {
        let table = of(&report::example());
        let rows = |start: &str| table.lines().filter(|line| line.starts_with(start)).count();
        // Once with requests, once with connections; once with its takeovers, once with what KV alone would have given.
        assert_eq!((rows("strict "), rows("serve "), rows("none ")), (6, 6, 2));
        for text in [
            "0*",
            "1.49",
            "computed and not measured",
            "the run took 28 min",
            "13 logouts for each fault",
            "160 a second over all edges",
        ] {
            assert!(table.contains(text), "{text}:\n{table}");
        }
    }

    #[test]
    fn what_had_no_chance_and_what_has_not_ended_are_told() {
        let mut report = report::example();
        let class = &mut report.scenarios[1].classes[0];
        class.passed = vec![None, Some(1.5), None];
        class.still_in = 1;
        let table = of(&report);
        let row = table
            .lines()
            .find(|line| line.starts_with("strict   issuer and KV"));
        let cells: Vec<&str> = row.unwrap().split_whitespace().skip(5).collect();
        assert_eq!(cells[..5], ["3", "2", ">1.50", ">1.50", ">1.50"]);
    }
}
