//! The report as text.

use std::fmt::Write as _;

use super::report::{Class, Report, Scenario};
use crate::statistics::{median, percentile};

/// The tables.
pub(super) fn of(report: &Report) -> String {
    let mut text = format!(
        "Seconds from the answer of the logout to the last request that was let in; {}\n\n",
        report.title()
    );
    let _ = writeln!(
        text,
        "{:<8} {:<18} {:>6} {:>7} {:>7} {:>7} {:>11} {:>8} {:>6} {:>9}",
        "routes", "fault", "n", "p50", "p99", "max", "past bound", "stale", "wrong", "feed/min"
    );
    for scenario in by_class(report) {
        row(&mut text, scenario);
    }
    text.push('\n');
    let _ = writeln!(
        text,
        "{:<27} {:>6} {:>7} {:>7} {:>7} {:>11}",
        "KV alone", "n", "p50", "p99", "max", "never"
    );
    for scenario in &report.scenarios {
        alone(&mut text, scenario);
    }
    if !report.feed.is_empty() {
        let _ = writeln!(
            text,
            "\n{:<7} {:>22} {:>22}",
            "bound", "feed/min, KV in time", "feed/min, KV lagging"
        );
    }
    for feed in &report.feed {
        let _ = writeln!(
            text,
            "{:>5} s {:>22.1} {:>22.1}",
            feed.bound, feed.kv_in_time, feed.kv_lagging
        );
    }
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

fn row(text: &mut String, (scenario, class): (&Scenario, &Class)) {
    let at = |share| percentile(&class.passed, share).unwrap_or(f64::NAN);
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of some hundred thousand"
    )]
    let stale = 100.0 * class.stale as f64 / class.answers.max(1) as f64;
    let apart = if class.may_pass(scenario.fault) {
        "*"
    } else {
        ""
    };
    let feed = median(class.feed_per_minute.iter().copied()).unwrap_or(f64::NAN);
    let _ = writeln!(
        text,
        "{:<8} {:<18} {:>6} {:>7.2} {:>7.2} {:>7.2} {:>11} {:>6.1} % {:>6} {feed:>9.1}",
        class.name,
        scenario.fault.name(),
        class.passed.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        format!("{}{apart}", class.past_bound),
        stale,
        class.wrong_refusals
    );
}

fn alone(text: &mut String, scenario: &Scenario) {
    let told: Vec<f64> = scenario.kv_alone.iter().copied().flatten().collect();
    let at = |share| percentile(&told, share).map_or("-".to_owned(), |time| format!("{time:.2}"));
    let never = scenario.kv_alone.len() - told.len();
    let _ = writeln!(
        text,
        "{:<27} {:>6} {:>7} {:>7} {:>7} {never:>11}",
        scenario.fault.name(),
        scenario.kv_alone.len(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::report;

    #[test]
    fn every_class_and_fault_has_its_row() {
        let table = of(&report::example());
        let rows = |start: &str| table.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((rows("strict"), rows("serve"), rows("none")), (2, 2, 1));
        assert!(table.contains("0*"), "counted apart:\n{table}");
        assert!(
            table.contains("1.49"),
            "the p99 of the strict routes:\n{table}"
        );
    }
}
