//! What happened in a run, in numbers.

use std::fmt;
use std::time::Duration;

use super::Plan;
use super::episode::Blow;
use crate::watch::Seen;

/// The numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What the run followed from.
    pub seed: u64,
    /// How long it took.
    pub time: Duration,
    /// How often somebody signed in.
    pub sessions: u64,
    /// How many sign-outs were answered with success.
    pub logouts: u64,
    /// `kill -9`, issuers and edges together.
    pub kills: u64,
    /// SIGSTOP.
    pub freezes: u64,
    /// Links that were cut.
    pub cuts: u64,
    /// Links that were stalled.
    pub stalls: u64,
    /// Answers of edges.
    pub answers: u64,
    /// Of these, those that said that the edge does not know enough.
    pub stale: u64,
    /// Of these, those that said that something is down, or nothing.
    pub unavailable: u64,
    /// Requests for a session that was signed out, let in later than the bound after it.
    pub past_bound: u64,
    /// Sessions, edges and classes that were not as they should be in time after everything was mended.
    pub unsettled: usize,
    /// Requests for a session that nobody had signed out, refused.
    pub wrong_refusals: u64,
    /// The first of these.
    pub first_wrong: Option<String>,
}

impl Counts {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            seed: plan.seed,
            ..Self::default()
        }
    }

    /// Whether all is as it should be.
    pub const fn is_good(&self) -> bool {
        self.lost() == 0 && self.wrong_refusals == 0
    }

    /// What should have been refused and was not.
    pub const fn lost(&self) -> u64 {
        self.past_bound + self.unsettled as u64
    }

    pub(super) const fn count(&mut self, blow: Blow) {
        match blow {
            Blow::Cut(..) => self.cuts += 1,
            Blow::Stall(..) => self.stalls += 1,
            Blow::FreezeIssuer(_) => self.freezes += 1,
            Blow::KillIssuer(_) | Blow::KillEdge(_) => self.kills += 1,
        }
    }

    pub(super) fn add(&mut self, seen: &[Seen]) {
        for trace in seen.iter().map(Seen::trace) {
            self.answers += trace.answers;
            self.stale += trace.stale;
            self.unavailable += trace.unavailable;
            self.past_bound += trace.past_bound;
            self.wrong_refusals += trace.wrongly_refused;
            self.first_wrong = self.first_wrong.take().or(trace.first_wrong);
        }
    }

    /// What was counted apart because it happened at the same time.
    pub(super) const fn add_up(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.logouts += other.logouts;
        self.kills += other.kills;
        self.freezes += other.freezes;
        self.cuts += other.cuts;
        self.stalls += other.stalls;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            text,
            "faults: seed {}, {} s, {} sign-ins, {} logouts, {} kills, {} freezes, {} cuts, {} stalls, {} answers \
             ({} stale, {} unavailable), lost {}, wrong refusals {}",
            self.seed,
            self.time.as_secs(),
            self.sessions,
            self.logouts,
            self.kills,
            self.freezes,
            self.cuts,
            self.stalls,
            self.answers,
            self.stale,
            self.unavailable,
            self.lost(),
            self.wrong_refusals,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Link;

    #[test]
    fn what_happened_at_the_same_time_adds_up_to_one_line() {
        let (mut all, mut blows) = (Counts::default(), Counts::default());
        blows.count(Blow::Cut(Link::EdgeKv, None));
        blows.count(Blow::Stall(Link::EdgeKv, Some(1)));
        blows.count(Blow::KillEdge(0));
        blows.count(Blow::KillIssuer(0));
        blows.count(Blow::FreezeIssuer(0));
        all.add_up(&blows);
        let line = all.to_string();
        assert!(
            line.contains("2 kills, 1 freezes, 1 cuts, 1 stalls"),
            "{line}"
        );
        assert!(all.is_good());
        all.unsettled = 1;
        assert!(!all.is_good() && all.to_string().contains("lost 1"));
    }
}
