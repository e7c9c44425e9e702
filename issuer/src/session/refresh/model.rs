//! The laws of rotation over whole histories: what holds for one session, for a browser that behaves, and for a copied
//! token.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::policy::EDGE_GRACE;
use super::super::policy::tests::POLICY;
use super::super::tests::fresh;
use super::super::{EndReason, Requester};
use super::*;

const START: UnixMillis = UnixMillis::from_millis(1_700_000_000_123);

/// A session in Postgres, as the issuer changes it.
struct Issuer {
    session: Session,
    now: UnixMillis,
}

impl Issuer {
    fn new() -> Self {
        Self {
            session: fresh(START),
            now: START,
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(Duration::from_millis(ms));
    }

    /// Decides, and carries the decision out as the compare-and-swap in the store does.
    fn present(&mut self, generation: u32, requester: Requester) -> Decision {
        let presented = Presented {
            generation,
            secret_hash: self.session.secret_hash,
        };
        let decision = decide(&self.session, presented, &POLICY, self.now);
        let session = &mut self.session;
        let by_edge = requester == Requester::Edge;
        match decision {
            Decision::Rotate { to } => {
                session.generation = to;
                session.rotated_at = self.now;
                session.renewed_by = requester;
                session.last_seen_at = self.now;
            }
            Decision::Reissue => {
                if by_edge {
                    session.renewed_by = requester;
                }
                session.last_seen_at = self.now;
            }
            Decision::Reused => self.end(EndReason::RefreshReused),
            Decision::Lapsed(reason) => self.end(reason),
            Decision::Ended => {}
        }
        decision
    }

    fn end(&mut self, reason: EndReason) {
        self.session.state = State::Ended {
            at: self.now,
            reason,
        };
    }

    fn is_live(&self) -> bool {
        self.session.state == State::Live
    }
}

fn requesters() -> impl Strategy<Value = Requester> {
    prop_oneof![Just(Requester::Client), Just(Requester::Edge)]
}

#[derive(Clone, Debug)]
enum Step {
    Present { back: u32, requester: Requester },
    Wait { ms: u64 },
    Logout,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0u32..4, requesters()).prop_map(|(back, requester)| Step::Present { back, requester }),
        4 => (0u64..15_000).prop_map(|ms| Step::Wait { ms }),
        2 => (0u64..150_000).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Wait { ms: 90_000_000 }),
        1 => Just(Step::Logout),
    ];
    proptest::collection::vec(step, 1..60)
}

/// What a browser does whose requests an edge renews.
#[derive(Clone, Debug)]
enum Move {
    /// A request with what the browser holds. The answer arrives after so many ms, or never.
    Request {
        slow: Option<u64>,
    },
    /// `POST /auth/refresh`, answered at once.
    Refresh,
    Wait {
        ms: u64,
    },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let slowest = EDGE_GRACE.as_millis() as u64;
    let step = prop_oneof![
        6 => proptest::option::weighted(0.8, 0..=slowest).prop_map(|slow| Move::Request { slow }),
        1 => Just(Move::Refresh),
        4 => (0u64..30_000).prop_map(|ms| Move::Wait { ms }),
        1 => (0u64..900_000).prop_map(|ms| Move::Wait { ms }),
    ];
    proptest::collection::vec(step, 1..80)
}

/// A browser, and the answers on their way to it.
struct Browser {
    holds: u32,
    /// Generations by their time of arrival.
    coming: BTreeMap<UnixMillis, u32>,
}

impl Browser {
    /// Takes what has arrived by now. The edge has asked the issuer first whether it is still the present generation.
    fn take_arrived(&mut self, issuer: &Issuer) {
        let later = self
            .coming
            .split_off(&issuer.now.plus(Duration::from_millis(1)));
        for (_, generation) in std::mem::replace(&mut self.coming, later) {
            if generation == issuer.session.generation {
                self.holds = generation;
            }
        }
    }

    /// Whether the answer that held the successor was lost, and the browser has not tried again in time.
    fn has_given_up(&self, issuer: &Issuer) -> bool {
        let window = POLICY.grace_of(issuer.session.renewed_by);
        self.holds != issuer.session.generation
            && issuer.now > issuer.session.rotated_at.plus(window)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Owner,
    Thief,
}

proptest! {
    /// Whatever order tokens come in: one live successor at a time, depth one, a window that does not slide, and an end
    /// that is final.
    #[test]
    fn laws_of_rotation(steps in steps()) {
        let mut issuer = Issuer::new();
        for step in steps {
            let before = issuer.session.clone();
            match step {
                Step::Wait { ms } => issuer.wait(ms),
                Step::Logout => issuer.end(EndReason::Logout),
                Step::Present { back, requester } => {
                    let generation = before.generation.saturating_sub(back);
                    match issuer.present(generation, requester) {
                        Decision::Rotate { to } => {
                            prop_assert_eq!(generation, before.generation);
                            prop_assert_eq!(to, before.generation + 1);
                            // The loser of the race, presenting the same token a moment later, gets the same one.
                            prop_assert_eq!(issuer.present(generation, requester), Decision::Reissue);
                        }
                        Decision::Reissue => {
                            prop_assert_eq!(issuer.session.generation, before.generation, "no second successor");
                            prop_assert_eq!(issuer.session.rotated_at, before.rotated_at, "the window does not slide");
                            prop_assert_eq!(generation + 1, before.generation, "depth one");
                            let window = if before.renewed_by == Requester::Edge { 120 } else { 10 };
                            prop_assert!(issuer.now <= before.rotated_at.plus(Duration::from_secs(window)));
                        }
                        Decision::Reused | Decision::Lapsed(_) => prop_assert!(!issuer.is_live()),
                        Decision::Ended => prop_assert_ne!(before.state, State::Live),
                    }
                }
            }
            if before.state != State::Live {
                prop_assert!(!issuer.is_live(), "nothing revives a session");
                prop_assert_eq!(issuer.session.generation, before.generation);
            }
        }
    }

    /// A browser loses no session because answers take up to two minutes, overtake each other, or are lost and asked for
    /// again within two minutes.
    #[test]
    fn a_browser_that_behaves_is_no_thief(moves in moves()) {
        let mut issuer = Issuer::new();
        let mut browser = Browser { holds: 0, coming: BTreeMap::new() };
        for step in moves {
            browser.take_arrived(&issuer);
            let decision = match step {
                Move::Wait { ms } => {
                    issuer.wait(ms);
                    continue;
                }
                _ if browser.has_given_up(&issuer) => return Ok(()),
                Move::Request { slow } => {
                    let decision = issuer.present(browser.holds, Requester::Edge);
                    if let Some(ms) = slow {
                        let arrival = issuer.now.plus(Duration::from_millis(ms));
                        browser.coming.insert(arrival, issuer.session.generation);
                    }
                    decision
                }
                Move::Refresh => {
                    let decision = issuer.present(browser.holds, Requester::Client);
                    browser.holds = issuer.session.generation;
                    decision
                }
            };
            prop_assert!(matches!(decision, Decision::Rotate { .. } | Decision::Reissue), "{:?}", decision);
        }
    }

    /// Owner and thief hold the same token, from some moment on. Each generation is accepted within one window and before
    /// the next one is presented; the first use outside of that ends the session for both.
    #[test]
    fn a_copied_token_is_found_at_the_first_use_that_comes_late(
        uses in proptest::collection::vec((prop_oneof![Just(Who::Owner), Just(Who::Thief)], requesters(), 0u64..200_000), 1..60)
    ) {
        let mut issuer = Issuer::new();
        let mut holds = [0u32; 2];
        // When a generation was accepted first, and until when it may be accepted again.
        let mut accepted: BTreeMap<u32, UnixMillis> = BTreeMap::new();
        for (who, requester, pause) in uses {
            issuer.wait(pause);
            let generation = holds[who as usize];
            let first = accepted.get(&generation).copied();
            let is_late = accepted.contains_key(&(generation + 1))
                || first.is_some_and(|first| issuer.now > first.plus(EDGE_GRACE));
            let decision = issuer.present(generation, requester);
            if is_late {
                prop_assert_eq!(decision, Decision::Reused);
            }
            match decision {
                Decision::Rotate { .. } | Decision::Reissue => {
                    accepted.entry(generation).or_insert(issuer.now);
                    holds[who as usize] = issuer.session.generation;
                }
                Decision::Reused => {
                    for held in holds {
                        prop_assert_eq!(issuer.present(held, requester), Decision::Ended, "for both");
                    }
                    return Ok(());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
