//! Whose turn it is to renew: one at a time.

use std::time::Duration;

use shared::time::UnixMillis;

use crate::view::JITTER;

/// The turns of one isolate.
#[derive(Debug, Default)]
pub struct Turns {
    given: u64,
    running: Option<Running>,
}

/// A turn that was given. Only who holds it can end it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a turn that is not ended keeps the others waiting"]
pub struct Turn(u64);

#[derive(Clone, Copy, Debug)]
struct Running {
    turn: u64,
    since: UnixMillis,
    limit: Duration,
}

impl Turns {
    /// Begins a turn, unless one is running. It counts as running for `limit` at most: whoever has it may be lost.
    pub fn begin(&mut self, now: UnixMillis, limit: Duration) -> Option<Turn> {
        if self.is_running(now) {
            return None;
        }
        self.given += 1;
        self.running = Some(Running {
            turn: self.given,
            since: now,
            limit,
        });
        Some(Turn(self.given))
    }

    /// Ends it. One that took longer than its limit leaves alone the turn that was given meanwhile.
    pub fn end(&mut self, turn: Turn) {
        self.running = self.running.filter(|running| running.turn != turn.0);
    }

    /// Whether one is running. One that began at a time still to come is none: the clock was put back.
    pub fn is_running(&self, now: UnixMillis) -> bool {
        self.running.is_some_and(|running| {
            now.since(running.since) < running.limit && running.since.since(now) <= JITTER
        })
    }
}

/// How long whoever has `waited` for another's turn waits until the next look whether it is over. Half as long as before, so
/// that a short turn costs little time and a long one few looks.
pub fn pause(waited: Duration) -> Duration {
    (waited / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_looks_seldom_and_learns_soon() {
        let (mut waited, mut looks) = (Duration::ZERO, 0);
        while waited < Duration::from_secs(5) {
            let next = pause(waited);
            let late = next.as_secs_f64() / (waited + next).as_secs_f64();
            assert!(late <= 0.34 || next == SHORTEST_PAUSE, "{waited:?}: {late}");
            waited += next;
            looks += 1;
        }
        assert!(looks <= 40, "{looks} looks");
    }

    const LIMIT: Duration = Duration::from_millis(4_000);

    fn at(millis: i64) -> UnixMillis {
        UnixMillis::from_millis(millis)
    }

    #[test]
    fn one_at_a_time_and_not_for_ever() {
        let mut turns = Turns::default();
        assert!(!turns.is_running(at(0)));
        let first = turns.begin(at(10_000), LIMIT).unwrap();
        assert!(turns.begin(at(13_999), LIMIT).is_none());
        turns.end(first);
        assert!(!turns.is_running(at(10_001)));
        let lost = turns.begin(at(20_000), LIMIT).unwrap();
        assert!(turns.is_running(at(23_999)) && !turns.is_running(at(24_000)));
        drop(lost);
        assert!(turns.begin(at(24_000), LIMIT).is_some());
    }

    #[test]
    fn who_comes_late_does_not_end_the_turn_of_another() {
        let mut turns = Turns::default();
        let slow = turns.begin(at(0), LIMIT).unwrap();
        let next = turns.begin(at(4_000), LIMIT).unwrap();
        turns.end(slow);
        assert!(turns.is_running(at(4_001)));
        turns.end(next);
        assert!(!turns.is_running(at(4_001)));
    }

    #[test]
    fn a_clock_that_is_put_back_blocks_nobody() {
        let mut turns = Turns::default();
        let before = turns.begin(at(60_000), LIMIT).unwrap();
        assert!(turns.is_running(at(59_000)), "no more than jitter");
        assert!(!turns.is_running(at(58_999)));
        let after = turns.begin(at(30_000), LIMIT).unwrap();
        turns.end(before);
        assert!(turns.is_running(at(30_001)));
        turns.end(after);
        assert!(!turns.is_running(at(30_001)));
    }
}
