//! The sessions on which open connections live, and for how long the issuer says that they stand.
//!
//! A request has a token that is young. A connection may outlive its token: then the issuer's word counts in its place,
//! which is asked for shortly before the token, or the last word, runs out; for all sessions together whose time is near.

use std::collections::HashMap;
use std::time::Duration;

use shared::claims::Claims;
use shared::id::SessionId;
use shared::time::UnixMillis;
use shared::wire::{MOST_SESSIONS, SessionStanding};

use crate::view::ago;

/// The longest time before the end at which the issuer is asked.
const LEAD: Duration = Duration::from_secs(30);

/// A session at which no connection has looked for so long has none any more: each looks twice a minute at least. Whoever
/// is cancelled cannot say so.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);

/// How long the issuer is left alone after it was asked.
const COOL_DOWN: Duration = Duration::from_secs(1);

/// The sessions of one isolate.
#[derive(Debug, Default)]
pub struct Sessions {
    held: HashMap<SessionId, Held>,
    swept_at: Option<UnixMillis>,
    asked_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    seen_at: UnixMillis,
    /// When the first of its connections needs the issuer's word.
    ends_at: UnixMillis,
    /// How long a token lives.
    life: Duration,
    /// When the issuer was asked, if it has not answered.
    asked_at: Option<UnixMillis>,
    said: Option<Said>,
}

/// What the issuer said last.
#[derive(Clone, Copy, Debug)]
enum Said {
    /// It stands.
    Stands {
        /// Until when that may be believed.
        until: UnixMillis,
        /// The version of the user's claims.
        ver: u32,
    },
    /// It has ended.
    Ended,
}

/// What is known of a connection's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Its token, or the issuer's word, holds; after so long the issuer is to be asked.
    Left(Duration),
    /// The same, and it is time to ask.
    RunsOut,
    /// Nothing holds any more. Whether the issuer was asked since it was time to.
    Over {
        /// It was.
        asked: bool,
    },
    /// The session has ended.
    Ended,
    /// The user's claims have changed.
    ClaimsStale,
}

impl Sessions {
    /// The time of a connection that was let in with a token of these claims, which is noted as open.
    pub fn look(&mut self, claims: &Claims, now: UnixMillis) -> Time {
        let life = claims.exp.since(claims.iat);
        let held = self.held.entry(claims.sid).or_insert(Held {
            seen_at: now,
            ends_at: claims.exp.into(),
            life,
            asked_at: None,
            said: None,
        });
        (held.seen_at, held.life) = (now, life);
        let time = held.time(claims, now);
        self.sweep(now);
        time
    }

    fn sweep(&mut self, now: UnixMillis) {
        if self
            .swept_at
            .is_none_or(|at| ago(at, now) >= FORGOTTEN_AFTER)
        {
            self.swept_at = Some(now);
            self.held
                .retain(|_, held| ago(held.seen_at, now) < FORGOTTEN_AFTER);
        }
    }

    /// The sessions to ask the issuer about at `now`: none if it was asked a moment ago. Of many the next call gives the
    /// others.
    pub fn begin_asking(&mut self, now: UnixMillis) -> Vec<SessionId> {
        if self.asked_at.is_some_and(|at| ago(at, now) < COOL_DOWN) {
            return Vec::new();
        }
        // Those whose last quarter has begun are asked for with the first that runs out.
        let is_near = |held: &Held| {
            ago(held.seen_at, now) < FORGOTTEN_AFTER
                && !matches!(held.said, Some(Said::Ended))
                && held.ends_at.minus(held.life / 4) <= now
        };
        let mut near: Vec<(UnixMillis, SessionId)> = self
            .held
            .iter()
            .filter(|(_, held)| is_near(held))
            .map(|(sid, held)| (held.ends_at, *sid))
            .collect();
        near.sort_unstable();
        near.truncate(MOST_SESSIONS);
        if !near.is_empty() {
            self.asked_at = Some(now);
        }
        for (_, sid) in &near {
            if let Some(held) = self.held.get_mut(sid) {
                held.asked_at = Some(now);
            }
        }
        near.into_iter().map(|(_, sid)| sid).collect()
    }

    /// When the issuer was asked last.
    pub const fn asked_at(&self) -> Option<UnixMillis> {
        self.asked_at
    }

    /// Takes the issuer's answer to what was asked at `asked_at` about `asked`: what it does not name has ended.
    pub fn answered(
        &mut self,
        asked: &[SessionId],
        standing: &[SessionStanding],
        asked_at: UnixMillis,
    ) {
        for sid in asked {
            let Some(held) = self.held.get_mut(sid) else {
                continue;
            };
            held.asked_at = None;
            let named = standing.iter().find(|standing| standing.sid == *sid);
            held.said = Some(named.map_or(Said::Ended, |standing| {
                let until = asked_at.plus(Duration::from_millis(standing.for_ms));
                held.ends_at = until;
                Said::Stands {
                    until,
                    ver: standing.ver,
                }
            }));
        }
        // More of them may wait.
        if asked.len() == MOST_SESSIONS {
            self.asked_at = None;
        }
    }
}

impl Held {
    fn time(&mut self, claims: &Claims, now: UnixMillis) -> Time {
        let own_end = UnixMillis::from(claims.exp);
        let end = match self.said {
            Some(Said::Ended) => return Time::Ended,
            Some(Said::Stands { ver, .. }) if ver > claims.ver => return Time::ClaimsStale,
            Some(Said::Stands { until, .. }) => own_end.max(until),
            None => own_end,
        };
        self.ends_at = self.ends_at.min(end);
        let ask_at = end.minus(lead(self.life));
        if now < ask_at {
            return Time::Left(ask_at.since(now));
        }
        if now < end {
            return Time::RunsOut;
        }
        let asked = self.asked_at.is_some_and(|at| (ask_at..=now).contains(&at));
        Time::Over { asked }
    }
}

/// How long before its end a token's successor is asked for.
fn lead(life: Duration) -> Duration {
    (life / 4).min(LEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, NOW};

    const MINUTES: fn(u64) -> Duration = |minutes| Duration::from_secs(60 * minutes);

    fn claims(number: u8, ver: u32) -> Claims {
        let (_, token) = fixtures::token(|claims| {
            claims.sid = SessionId::from_bytes([number; 16]);
            claims.ver = ver;
            claims.iat = NOW;
            claims.exp = NOW.plus(MINUTES(15));
        });
        token.claims().clone()
    }

    fn at(minutes: u64) -> UnixMillis {
        UnixMillis::from(NOW).plus(MINUTES(minutes))
    }

    fn stands(claims: &Claims, ver: u32) -> SessionStanding {
        SessionStanding {
            sid: claims.sid,
            ver,
            for_ms: 15 * 60_000,
        }
    }

    #[test]
    fn the_issuer_is_asked_before_the_token_runs_out_and_then_once_per_lifetime() {
        let (mut sessions, bob) = (Sessions::default(), claims(1, 1));
        let ask_in = MINUTES(15).checked_sub(LEAD).unwrap();
        assert_eq!(sessions.look(&bob, at(0)), Time::Left(ask_in));
        assert!(sessions.begin_asking(at(1)).is_empty(), "nobody's is near");
        let late = at(15).minus(LEAD);
        assert_eq!(sessions.look(&bob, late), Time::RunsOut);
        assert_eq!(sessions.begin_asking(late), [bob.sid]);
        sessions.answered(&[bob.sid], &[stands(&bob, 1)], late);
        assert_eq!(sessions.look(&bob, late), Time::Left(ask_in));
        assert_eq!(
            sessions.look(&bob, at(20)),
            Time::Left(ask_in - MINUTES(5) - LEAD)
        );
        assert_eq!(sessions.look(&bob, at(30)), Time::Over { asked: false });
    }

    #[test]
    fn all_that_are_near_are_asked_for_together_and_no_others() {
        let mut sessions = Sessions::default();
        let (old, other, young) = (claims(1, 1), claims(2, 1), claims(3, 1));
        for claims in [&old, &other] {
            sessions.look(claims, at(0));
        }
        sessions.look(
            &Claims {
                exp: NOW.plus(MINUTES(30)),
                iat: NOW.plus(MINUTES(15)),
                ..young
            },
            at(14),
        );
        for claims in [&old, &other] {
            sessions.look(claims, at(14));
        }
        let mut asked = sessions.begin_asking(at(14));
        asked.sort_unstable();
        assert_eq!(asked, [old.sid, other.sid]);
        assert!(sessions.begin_asking(at(14)).is_empty(), "a moment later");
    }

    #[test]
    fn what_the_issuer_does_not_name_has_ended_and_a_newer_version_makes_claims_stale() {
        let (mut sessions, bob, ada) = (Sessions::default(), claims(1, 1), claims(2, 1));
        for claims in [&bob, &ada] {
            sessions.look(claims, at(14));
        }
        let asked = sessions.begin_asking(at(14));
        sessions.answered(&asked, &[stands(&ada, 2)], at(14));
        assert_eq!(sessions.look(&bob, at(14)), Time::Ended);
        assert_eq!(sessions.look(&ada, at(14)), Time::ClaimsStale);
        assert!(matches!(
            sessions.look(&claims(2, 2), at(14)),
            Time::Left(_)
        ));
    }

    #[test]
    fn who_was_asked_in_vain_is_told_from_who_was_not_asked() {
        let (mut sessions, bob) = (Sessions::default(), claims(1, 1));
        sessions.look(&bob, at(0));
        assert_eq!(sessions.look(&bob, at(16)), Time::Over { asked: false });
        assert_eq!(sessions.begin_asking(at(16)), [bob.sid]);
        assert_eq!(sessions.look(&bob, at(16)), Time::Over { asked: true });
    }

    #[test]
    fn what_nobody_looks_at_is_forgotten() {
        let mut sessions = Sessions::default();
        for number in 0..100 {
            sessions.look(&claims(number, 1), at(0));
        }
        assert_eq!(sessions.held.len(), 100);
        let bob = claims(200, 1);
        sessions.look(&bob, at(14));
        assert_eq!(sessions.held.len(), 1);
        assert_eq!(sessions.begin_asking(at(14)), [bob.sid]);
    }
}
