//! Who uses the processors, and which (Linux).

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// `USER_HZ` is 100 on every kind of machine that there is a workerd for.
const TICK_MILLIS: u64 = 10;

/// What the process `id` has used so far, all its threads together, in user mode and in the kernel.
///
/// # Errors
/// There is no such process.
pub(crate) fn used_by(id: i32) -> Result<Duration> {
    clock_getcpuclockid(Pid::from_raw(id))
        .and_then(ClockId::now)
        .map(Duration::from)
        .with_context(|| format!("cannot read the CPU clock of the process {id}"))
}

/// Runs `start`, and keeps the processes that it starts on one processor and the calling thread on another: where the
/// scheduler may move both about, the same work costs a third more in one second than in the next. Where there is only
/// one processor, both stay on it.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn apart<T>(start: impl FnOnce() -> T) -> Result<T> {
    let this = Pid::from_raw(0);
    // Read once: later it would say where this has confined us.
    static ALLOWED: OnceLock<CpuSet> = OnceLock::new();
    let now = sched_getaffinity(this).context("cannot read which processors are ours")?;
    let allowed = ALLOWED.get_or_init(|| now);
    let mut ours = (0..CpuSet::count()).filter(|index| allowed.is_set(*index) == Ok(true));
    let (Some(own), Some(other)) = (ours.next(), ours.next()) else {
        return Ok(start());
    };
    let stay_on = |index| {
        let mut one = CpuSet::new();
        one.set(index)
            .and_then(|()| sched_setaffinity(this, &one))
            .with_context(|| format!("cannot stay on processor {index}"))
    };
    stay_on(other)?;
    let started = start();
    stay_on(own)?;
    Ok(started)
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(used_by(1 << 23).is_err());
    }

    #[test]
    fn what_is_started_apart_stays_apart() {
        // A thread of its own, so that no other test is kept on one processor.
        let allowed = |pid| sched_getaffinity(Pid::from_raw(pid)).unwrap();
        let test = move || {
            let before = allowed(0);
            let several = (0..CpuSet::count()).filter(|index| before.is_set(*index) == Ok(true));
            let can_be = several.count() > 1;
            // The second time this thread is confined already.
            for _ in 0..2 {
                let mut child = apart(|| std::process::Command::new("sleep").arg("60").spawn())
                    .unwrap()
                    .unwrap();
                let theirs = allowed(i32::try_from(child.id()).unwrap());
                child.kill().unwrap();
                child.wait().unwrap();
                assert_eq!(theirs != allowed(0), can_be);
            }
        };
        std::thread::spawn(test).join().unwrap();
    }
}
