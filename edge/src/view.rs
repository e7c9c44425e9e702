//! What an isolate knows of revocations, and how old that is.

use std::time::Duration;

use shared::revocation::{OpenSnapshot, RevocationSet};
use shared::time::UnixMillis;

/// A snapshot that was accepted.
#[derive(Clone, Debug)]
pub struct View {
    number: u64,
    made_at: UnixMillis,
    as_of: UnixMillis,
    set: RevocationSet,
}

/// What became of a snapshot.
#[derive(Debug)]
pub enum Offered {
    /// Take it.
    Newer(View),
    /// It says nothing that is not known.
    Known,
    /// Its number is below the one held: somebody shows an old state. The one held stays, and its age counts on.
    Older {
        /// The number held.
        held: u64,
        /// The number shown.
        shown: u64,
    },
}

impl View {
    /// Compares a snapshot whose MAC holds, asked for at `asked_at`, with the view held.
    pub fn offer(held: Option<&Self>, snapshot: OpenSnapshot, asked_at: UnixMillis) -> Offered {
        match held {
            Some(held) if snapshot.number < held.number => {
                return Offered::Older {
                    held: held.number,
                    shown: snapshot.number,
                };
            }
            // One number may be given to several snapshots; then the later one knows more.
            Some(held) if snapshot.number == held.number && snapshot.made_at <= held.made_at => {
                return Offered::Known;
            }
            _ => {}
        }
        Offered::Newer(Self {
            number: snapshot.number,
            made_at: snapshot.made_at,
            // It cannot know more than there was to know when it was asked for, whatever the issuer's clock says.
            as_of: snapshot.made_at.min(asked_at),
            set: snapshot.set,
        })
    }

    /// How old the knowledge is.
    pub fn age(&self, now: UnixMillis) -> Duration {
        now.since(self.as_of)
    }

    /// The revocations.
    pub const fn set(&self) -> &RevocationSet {
        &self.set
    }

    /// The snapshot's number.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(number: u64, made_at: i64) -> OpenSnapshot {
        OpenSnapshot {
            number,
            made_at: UnixMillis::from_millis(made_at),
            set: RevocationSet::default(),
        }
    }

    fn at(millis: i64) -> UnixMillis {
        UnixMillis::from_millis(millis)
    }

    fn view(number: u64, made_at: i64) -> View {
        match View::offer(None, snapshot(number, made_at), at(i64::MAX)) {
            Offered::Newer(view) => view,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_number_never_goes_back() {
        let held = view(7, 1_000);
        assert!(matches!(
            View::offer(Some(&held), snapshot(6, 9_000), at(9_000)),
            Offered::Older { held: 7, shown: 6 }
        ));
        assert!(matches!(
            View::offer(Some(&held), snapshot(7, 1_000), at(9_000)),
            Offered::Known
        ));
        assert!(matches!(
            View::offer(Some(&held), snapshot(7, 999), at(9_000)),
            Offered::Known
        ));
        assert!(matches!(
            View::offer(Some(&held), snapshot(7, 1_001), at(9_000)),
            Offered::Newer(_)
        ));
        assert!(matches!(
            View::offer(Some(&held), snapshot(8, 500), at(9_000)),
            Offered::Newer(_)
        ));
    }

    #[test]
    fn a_clock_that_runs_ahead_makes_nothing_younger() {
        let Offered::Newer(ahead) = View::offer(None, snapshot(1, 1_000_000), at(5_000)) else {
            panic!()
        };
        assert_eq!(ahead.age(at(8_000)), Duration::from_secs(3));
        // A copy made before it, but read after it, is not taken for newer.
        let copy = View::offer(Some(&ahead), snapshot(1, 999_000), at(9_000));
        assert!(matches!(copy, Offered::Known));
    }
}
