//! How much CPU time a process has used, all its threads together, from `/proc` (Linux).

use std::time::Duration;

use anyhow::{Context as _, Result};

/// `USER_HZ` is 100 on every kind of machine that there is a workerd for.
const TICK_MILLIS: u64 = 10;

/// What the process `id` has used so far, in user mode and in the kernel, in whole ticks.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub(crate) fn used_by(id: i32) -> Result<Duration> {
    let path = format!("/proc/{id}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| {
        format!("cannot read {path}: CPU time is measured on Linux, while the process runs")
    })?;
    let ticks = ticks(&stat).with_context(|| format!("cannot make sense of {path}"))?;
    Ok(Duration::from_millis(ticks * TICK_MILLIS))
}

/// What all processors together have done since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Working, for whomever.
    pub(crate) busy: Duration,
    /// Working or idle.
    pub(crate) total: Duration,
}

/// What the machine has done so far.
///
/// # Errors
/// There is no `/proc`.
pub(crate) fn machine() -> Result<Machine> {
    let stat = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    machine_of(&stat).context("cannot make sense of /proc/stat")
}

/// The first line of proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; what guests used is in `user`.
fn machine_of(stat: &str) -> Option<Machine> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Option<Vec<u64>> = fields
        .split_ascii_whitespace()
        .take(8)
        .map(|field| field.parse().ok())
        .collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks?.try_into().ok()?;
    let busy = user + nice + system + irq + softirq + steal;
    let time = |ticks: u64| Duration::from_millis(ticks * TICK_MILLIS);
    Some(Machine {
        busy: time(busy),
        total: time(busy + idle + iowait),
    })
}

/// `utime` and `stime` together: the fields 14 and 15 of proc_pid_stat(5).
fn ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, which may itself hold blanks and parentheses.
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (work) er) x) S 1 4242 4242 0 -1 4194560 9001 0 3 0 1234 567 8 9 20 0 12 0 1234567 99 100";

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        assert_eq!(ticks(STAT), Some(1234 + 567));
        assert_eq!(ticks("1 (x) S 1 2"), None);
        assert_eq!(ticks("nonsense"), None);
        assert_eq!(ticks(&STAT.replace("567", "-567")), None);
    }

    #[test]
    fn the_machine_is_busy_or_idle() {
        let stat = "cpu  10 1 5 100 20 2 1 1 7 0\ncpu0 5 1 3 50 10 1 1 1 7 0\n";
        let expected = Machine {
            busy: Duration::from_millis(200),
            total: Duration::from_millis(1400),
        };
        assert_eq!(machine_of(stat), Some(expected));
        assert_eq!(machine_of("cpu0 1 2 3 4 5 6 7 8"), None);
        assert_eq!(machine_of("cpu  1 2 3"), None);
        let now = machine().unwrap();
        assert!(now.busy > Duration::ZERO && now.total >= now.busy);
    }

    #[test]
    fn our_own_time_grows_with_work() {
        let own = i32::try_from(std::process::id()).unwrap();
        let before = used_by(own).unwrap();
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(started.elapsed());
        }
        assert!(used_by(own).unwrap() > before);
    }
}
