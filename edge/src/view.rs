//! What an isolate knows of revocations, and how old that is.
//!
//! A view only grows: an update is a union, so nothing that arrives late, twice or out of order can take a revocation
//! away, and what an older update says is known already.

use std::time::Duration;

use shared::claims::AccessClaims;
use shared::revocation::{BaseName, OpenUpdate, RevocationSet, Standing};
use shared::time::UnixMillis;
use shared::token::{Holder, Verified};

/// How far the clocks of issuer and edge may be apart. It counts against us: see [`Source`].
pub const SKEW: Duration = Duration::from_secs(5);

/// How much earlier than another request's time one's own may be without the clock having been put back: each sees the
/// time of what it last waited for.
pub const JITTER: Duration = Duration::from_secs(1);

/// The revocations that are known.
#[derive(Clone, Debug)]
pub struct View {
    number: u64,
    as_of: UnixMillis,
    base: Option<BaseName>,
    set: RevocationSet,
    part: usize,
}

/// Where an update comes from, and what that says of its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// KV, asked at this time. When the publisher read Postgres is told by its clock, so [`SKEW`] is added to the age.
    Kv(UnixMillis),
    /// The issuer, asked at this time. It says how long it had known then, so only this clock counts.
    Feed(UnixMillis),
    /// The issuer, asked by another isolate. When that was is told by another clock, which may be ahead of this one: so
    /// how long ago it can have been at most counts, if that is worse.
    Shared {
        /// When the issuer was asked, by the clock of the isolate that asked.
        asked_at: UnixMillis,
        /// When the answer was looked for, by this clock.
        sought_at: UnixMillis,
        /// How long before that the issuer was asked at most. The two parts of it, until the answer was shared and from
        /// then on, are each measured by a clock of their own.
        at_most_ago: Duration,
    },
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// More is known now, or the same is known to be younger.
    Newer,
    /// It is no younger than what is known.
    Known,
    /// This base, or an answer of the issuer, is needed first.
    Lacks(BaseName),
    /// It continues something that is not held.
    Misfit,
    /// The issuer's clock is so far from this one that no age can be told.
    ClocksDiffer(Duration),
    /// One of the two was put back meanwhile, so that no age can be told either.
    ClockPutBack,
}

impl View {
    /// Adds an update whose MAC holds to the view `held`, and forgets at `now` a part of what has expired.
    ///
    /// A lower number than the one held is an older state, and nothing of it is taken, unless it is a base: a head may
    /// continue it, so its content is added and its name remembered, and number and age stay as they are.
    pub fn take(
        held: &mut Option<Self>,
        update: OpenUpdate<'_>,
        source: Source,
        now: UnixMillis,
    ) -> Taken {
        let as_of = match as_of(&update, source) {
            Ok(as_of) if as_of <= now => as_of,
            Ok(_) => return Taken::ClockPutBack,
            Err(undated) => return undated,
        };
        let (number, base) = held
            .as_ref()
            .map_or((0, None), |view| (view.number, view.base));
        let is_known = held.as_ref().is_some_and(|view| {
            update.number < number || (update.number == number && as_of <= view.as_of(now))
        });
        if is_known && !update.is_whole() {
            return Taken::Known;
        }
        if !update.fits(number, base) {
            return update.base.map_or(Taken::Misfit, Taken::Lacks);
        }
        let view = held.get_or_insert_with(|| Self {
            number: 0,
            as_of,
            base: None,
            set: RevocationSet::default(),
            part: 0,
        });
        view.base = update.base.or(view.base);
        view.set.extend(update.entries);
        view.set.drop_expired(now.to_secs(), view.part);
        view.part = (view.part + 1) % RevocationSet::PARTS;
        if is_known {
            return Taken::Known;
        }
        view.number = update.number;
        view.as_of = view.as_of(now).max(as_of);
        Taken::Newer
    }

    /// How old the knowledge is: what was committed longer ago than this is in it. [`Duration::MAX`] where the clock was
    /// put back since, so that nothing can be said.
    pub fn age(&self, now: UnixMillis) -> Duration {
        ago(self.as_of, now)
    }

    /// The time from which the age counts; one that is still to come says nothing.
    fn as_of(&self, now: UnixMillis) -> UnixMillis {
        if self.as_of <= now {
            self.as_of
        } else {
            UnixMillis::from_millis(i64::MIN)
        }
    }

    /// The standing of a token.
    pub fn standing<T: AccessClaims>(&self, token: &Verified<T>) -> Standing {
        self.set.standing(token)
    }

    /// The same, whoever holds the token.
    pub fn standing_of(&self, token: &Holder) -> Standing {
        match token {
            Holder::User(token) => self.standing(token),
            Holder::Service(token) => self.standing(token),
        }
    }

    /// Up to where the issuer's feed need not repeat itself.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// The latest time that was seen. A step back by less than an age would not show in it: it would only be too low.
#[derive(Debug)]
pub struct Latest(UnixMillis);

impl Default for Latest {
    fn default() -> Self {
        Self(UnixMillis::from_millis(i64::MIN))
    }
}

impl Latest {
    /// Whether the clock was put back before `now`, by more than [`JITTER`]. Says so once.
    pub fn is_put_back(&mut self, now: UnixMillis) -> bool {
        let is_back = self.0.since(now) > JITTER;
        self.0 = if is_back { now } else { self.0.max(now) };
        is_back
    }
}

/// How long ago `moment` was. A moment that is still to come was noted before the clock was put back: nobody knows how
/// long ago that was, so it is as if it had never been, [`Duration::MAX`].
pub fn ago(moment: UnixMillis, now: UnixMillis) -> Duration {
    if moment <= now {
        now.since(moment)
    } else {
        Duration::MAX
    }
}

/// The time, by this clock, before which everything committed is in the update; or why there is none.
fn as_of(update: &OpenUpdate<'_>, source: Source) -> Result<UnixMillis, Taken> {
    if update.sent_at < update.made_at {
        return Err(Taken::ClockPutBack);
    }
    let known_for = update.sent_at.since(update.made_at);
    match source {
        Source::Kv(read_at) => {
            within_skew(update.made_at.since(read_at))?;
            Ok(update.made_at.min(read_at).minus(SKEW))
        }
        // That it was sent when it was asked for is also what keeps an old answer from passing for a new one.
        Source::Feed(asked_at) => {
            within_skew(apart(update.sent_at, asked_at, asked_at))?;
            Ok(asked_at.minus(known_for))
        }
        Source::Shared {
            asked_at,
            sought_at,
            at_most_ago,
        } => {
            let earliest = sought_at.minus(at_most_ago);
            within_skew(apart(update.sent_at, earliest, sought_at))?;
            Ok(asked_at.min(earliest).minus(known_for))
        }
    }
}

/// How far `moment` lies outside of the time from `first` to `last`.
fn apart(moment: UnixMillis, first: UnixMillis, last: UnixMillis) -> Duration {
    moment.since(last).max(first.since(moment))
}

fn within_skew(apart: Duration) -> Result<(), Taken> {
    if apart > SKEW {
        return Err(Taken::ClocksDiffer(apart));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
