//! What an isolate knows of revocations, and how old that is.
//!
//! A view only grows: an update is a union, so nothing that arrives late, twice or out of order can take a revocation
//! away, and what an older update says is known already.

use std::time::Duration;

use shared::claims::Claims;
use shared::revocation::{BaseName, OpenUpdate, RevocationSet, Standing};
use shared::time::UnixMillis;
use shared::token::Verified;

/// How far the clocks of issuer and edge may be apart. It counts against us: see [`Source`].
pub const SKEW: Duration = Duration::from_secs(5);

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
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// More is known now, or the same is known to be younger.
    Newer,
    /// It says nothing that is not known.
    Known,
    /// This base, or an answer of the issuer, is needed first.
    Lacks(BaseName),
    /// It continues something that is not held.
    Misfit,
    /// The issuer's clock is so far from this one that no age can be told.
    ClocksDiffer(Duration),
}

impl View {
    /// Adds an update whose MAC holds to the view `held`, and forgets at `now` a part of what has expired.
    ///
    /// A lower number than the one held is an older state: nothing of it is taken.
    pub fn take(
        held: &mut Option<Self>,
        update: OpenUpdate<'_>,
        source: Source,
        now: UnixMillis,
    ) -> Taken {
        let as_of = match as_of(&update, source) {
            Ok(as_of) => as_of,
            Err(apart) => return Taken::ClocksDiffer(apart),
        };
        let (number, base) = held
            .as_ref()
            .map_or((0, None), |view| (view.number, view.base));
        if update.number < number
            || (held
                .as_ref()
                .is_some_and(|view| update.number == number && as_of <= view.as_of))
        {
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
        view.number = update.number;
        view.as_of = view.as_of.max(as_of);
        view.base = update.base.or(view.base);
        view.set.extend(update.entries);
        view.set.drop_expired(now.to_secs(), view.part);
        view.part = (view.part + 1) % RevocationSet::PARTS;
        Taken::Newer
    }

    /// How old the knowledge is: what was committed longer ago than this is in it.
    pub fn age(&self, now: UnixMillis) -> Duration {
        now.since(self.as_of)
    }

    /// The standing of a token.
    pub fn standing(&self, token: &Verified<Claims>) -> Standing {
        self.set.standing(token)
    }

    /// Up to where the issuer's feed need not repeat itself.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// The time, by this clock, before which everything committed is in the update.
fn as_of(update: &OpenUpdate<'_>, source: Source) -> Result<UnixMillis, Duration> {
    match source {
        Source::Kv(read_at) => {
            let ahead = update.made_at.since(read_at);
            if ahead > SKEW {
                return Err(ahead);
            }
            Ok(update.made_at.min(read_at).minus(SKEW))
        }
        Source::Feed(asked_at) => {
            // Also what keeps an old answer from passing for a new one.
            let apart = update
                .sent_at
                .since(asked_at)
                .max(asked_at.since(update.sent_at));
            if apart > SKEW {
                return Err(apart);
            }
            Ok(asked_at.minus(update.sent_at.since(update.made_at)))
        }
    }
}

#[cfg(test)]
mod tests;
