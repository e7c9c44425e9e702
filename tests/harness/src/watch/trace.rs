//! What came for one session at one edge on one class of route.

use std::time::{Duration, Instant};

use super::lane::Reply;
use super::{Life, Verdict};

/// The answers so far.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// All of them.
    pub answers: u64,
    /// When the last request was sent, and what came of it.
    pub last: Option<(Instant, Verdict)>,
    /// When the last request was sent that was still let in, from the moment on at which the end was answered.
    pub passed_for: Option<Duration>,
    /// What came of the first request that was sent after the end was answered.
    pub first_after: Option<Verdict>,
    /// How long after the last request that was let in, or after the end where that was later, the next one was sent:
    /// what lies between is not known.
    pub gap: Option<Duration>,
    /// How many were let in that were sent later than the bound after the end.
    pub past_bound: u64,
    /// When the request was sent from which on all were refused, after the end was asked for.
    pub refused_at: Option<Instant>,
    /// How many were refused while nobody had asked for the end.
    pub wrongly_refused: u64,
    /// The first of these.
    pub first_wrong: Option<String>,
    /// How many were told that the edge does not know enough.
    pub stale: u64,
    /// How many had no proper answer.
    pub unavailable: u64,
}

impl Trace {
    /// `life` is what was known when the answer had come.
    pub(super) fn note(&mut self, reply: Reply, life: Life, bound: Duration) {
        self.answers += 1;
        if let Life::Ended(at) = life {
            self.note_gap(&reply, at);
        }
        self.last = Some((reply.sent, reply.verdict));
        match (reply.verdict, life) {
            (Verdict::Accepted, Life::Ended(at)) => self.note_passed(reply.sent, at, bound),
            (Verdict::Accepted, Life::Alive | Life::Ending) => {}
            (Verdict::Refused, Life::Alive) => {
                self.wrongly_refused += 1;
                self.first_wrong = self.first_wrong.take().or(reply.text);
            }
            (Verdict::Refused, Life::Ending | Life::Ended(_)) => {
                self.refused_at.get_or_insert(reply.sent);
            }
            (Verdict::Stale, _) => self.stale += 1,
            (Verdict::Unavailable, _) => self.unavailable += 1,
        }
    }

    fn note_gap(&mut self, reply: &Reply, ended: Instant) {
        let Some(after) = reply.sent.checked_duration_since(ended) else {
            return;
        };
        self.first_after.get_or_insert(reply.verdict);
        if let Some((before, Verdict::Accepted)) = self.last {
            let before = before.saturating_duration_since(ended);
            self.gap = Some(after.saturating_sub(before));
        }
    }

    fn note_passed(&mut self, sent: Instant, ended: Instant, bound: Duration) {
        // One that was sent before is no surprise: its answer took longer than that of the sign-out.
        let Some(after) = sent.checked_duration_since(ended) else {
            return;
        };
        // Where it was refused before, it is watched closely again.
        self.refused_at = None;
        self.passed_for = Some(self.passed_for.unwrap_or_default().max(after));
        if after > bound {
            self.past_bound += 1;
        }
    }

    /// Whether a request that was sent after `moment` had the answer `verdict`, and no later one another.
    pub fn ends_with(&self, verdict: Verdict, moment: Instant) -> bool {
        self.last
            .is_some_and(|(sent, last)| sent > moment && last == verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(2);

    fn reply(sent: Instant, verdict: Verdict) -> Reply {
        let text = Some(format!("{verdict:?}"));
        Reply {
            sent,
            verdict,
            text,
        }
    }

    #[test]
    fn the_last_request_that_was_let_in_counts_and_none_past_the_bound() {
        let ended = Instant::now();
        let after = |millis| ended + Duration::from_millis(millis);
        let mut trace = Trace::default();
        let life = Life::Ended(ended);
        if let Some(before) = ended.checked_sub(BOUND) {
            trace.note(reply(before, Verdict::Accepted), life, BOUND);
        }
        assert_eq!(trace.passed_for, None);
        trace.note(reply(after(2000), Verdict::Accepted), life, BOUND);
        // Answers may come in another order than requests went out.
        trace.note(reply(after(1000), Verdict::Accepted), life, BOUND);
        assert_eq!(trace.passed_for, Some(BOUND));
        assert_eq!(trace.past_bound, 0);
        trace.note(reply(after(2001), Verdict::Accepted), life, BOUND);
        assert_eq!(trace.past_bound, 1);
    }

    #[test]
    fn what_lies_between_the_last_that_was_let_in_and_the_next_is_the_gap() {
        let ended = Instant::now();
        let life = Life::Ended(ended);
        let after = |millis| ended + Duration::from_millis(millis);
        let mut trace = Trace::default();
        if let Some(before) = ended.checked_sub(BOUND) {
            trace.note(reply(before, Verdict::Accepted), Life::Alive, BOUND);
        }
        assert_eq!((trace.first_after, trace.gap), (None, None));
        trace.note(reply(after(70), Verdict::Accepted), life, BOUND);
        assert_eq!(trace.gap, Some(Duration::from_millis(70)), "since the end");
        trace.note(reply(after(150), Verdict::Stale), life, BOUND);
        trace.note(reply(after(900), Verdict::Refused), life, BOUND);
        assert_eq!(trace.gap, Some(Duration::from_millis(80)));
        assert_eq!(trace.first_after, Some(Verdict::Accepted));
    }

    #[test]
    fn only_the_living_are_refused_wrongly() {
        let now = Instant::now();
        let mut trace = Trace::default();
        trace.note(reply(now, Verdict::Refused), Life::Ending, BOUND);
        trace.note(reply(now, Verdict::Stale), Life::Alive, BOUND);
        trace.note(reply(now, Verdict::Unavailable), Life::Alive, BOUND);
        assert_eq!((trace.wrongly_refused, trace.refused_at), (0, Some(now)));
        trace.note(reply(now, Verdict::Refused), Life::Alive, BOUND);
        assert_eq!(trace.wrongly_refused, 1);
        assert_eq!(trace.first_wrong.as_deref(), Some("Refused"));
        assert_eq!((trace.answers, trace.stale, trace.unavailable), (4, 1, 1));
    }

    #[test]
    fn the_last_answer_counts_only_if_it_was_asked_for_later() {
        let now = Instant::now();
        let mut trace = Trace::default();
        assert!(!trace.ends_with(Verdict::Refused, now));
        trace.note(reply(now, Verdict::Refused), Life::Ended(now), BOUND);
        assert!(!trace.ends_with(Verdict::Refused, now));
        let later = now + BOUND;
        trace.note(reply(later, Verdict::Refused), Life::Ended(now), BOUND);
        assert!(trace.ends_with(Verdict::Refused, now));
    }
}
