use proptest::collection::vec;
use proptest::prelude::*;
use shared::id::{Fingerprint, SessionId};
use shared::revocation::{Entry, Revocation, Update};
use shared::secret::RootSecret;
use shared::time::UnixTime;

use super::*;
use crate::fixtures;

fn secret() -> RootSecret {
    RootSecret::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap()
}

fn at(millis: i64) -> UnixMillis {
    UnixMillis::from_millis(millis)
}

fn named(bits: u64) -> Option<BaseName> {
    Some(BaseName::from_random(bits))
}

fn session(byte: u8) -> Revocation {
    Revocation {
        entry: Entry::Session(SessionId::from_bytes([byte; 16]).fingerprint()),
        expires: UnixTime::from_secs(10_000),
    }
}

/// An update that was read and sent at `made_at`.
fn update(
    number: u64,
    since: u64,
    made_at: i64,
    base: Option<BaseName>,
    entries: Vec<Revocation>,
) -> Update {
    Update {
        number,
        since,
        made_at: at(made_at),
        sent_at: at(made_at),
        base,
        entries,
    }
}

fn take(held: &mut Option<View>, update: &Update, source: Source) -> Taken {
    let (bytes, secrets) = (update.encode(&secret()), [secret()]);
    View::take(
        held,
        OpenUpdate::open(&bytes, &secrets).unwrap(),
        source,
        at(0),
    )
}

fn knows(held: &Option<View>, byte: u8) -> bool {
    let (_, token) = fixtures::token(|claims| claims.sid = SessionId::from_bytes([byte; 16]));
    held.as_ref().unwrap().standing(&token) == Standing::Revoked
}

#[test]
fn a_cold_isolate_needs_the_base_and_a_warm_one_does_not() {
    let mut held = None;
    let read_at = Source::Kv(at(20_000));
    let head = update(9, 7, 20_000, named(1), vec![session(2)]);
    assert_eq!(
        take(&mut held, &head, read_at),
        Taken::Lacks(BaseName::from_random(1))
    );
    assert!(held.is_none());
    let base = update(7, 0, 10_000, named(1), vec![session(1)]);
    assert_eq!(take(&mut held, &base, read_at), Taken::Newer);
    assert_eq!(take(&mut held, &head, read_at), Taken::Newer);
    assert!(knows(&held, 1) && knows(&held, 2) && !knows(&held, 3));
    // Another base was cut meanwhile: who knows what it holds goes on without it.
    let next = update(12, 9, 30_000, named(2), vec![session(3)]);
    assert_eq!(take(&mut held, &next, Source::Kv(at(30_000))), Taken::Newer);
    assert!(knows(&held, 1) && knows(&held, 3));
    // And who missed too much reads it.
    let far = update(40, 20, 31_000, named(3), vec![]);
    assert_eq!(
        take(&mut held, &far, Source::Kv(at(31_000))),
        Taken::Lacks(BaseName::from_random(3))
    );
    // A transaction was open while the base was cut: it reaches further than its number, and its name says so.
    let open = update(12, 40, 32_000, named(2), vec![session(4)]);
    assert_eq!(take(&mut held, &open, Source::Kv(at(32_000))), Taken::Newer);
}

#[test]
fn a_feed_that_continues_something_else_is_not_taken() {
    let mut held = None;
    assert_eq!(
        take(
            &mut held,
            &update(9, 3, 0, None, vec![]),
            Source::Feed(at(0))
        ),
        Taken::Misfit
    );
    assert!(held.is_none());
}

#[test]
fn the_number_never_goes_back() {
    let mut held = None;
    let feed = |number, made_at: i64| {
        (
            update(number, 0, made_at, None, vec![session(number as u8)]),
            Source::Feed(at(made_at)),
        )
    };
    for (number, made_at, expected) in [
        (7, 1_000, Taken::Newer),
        (6, 4_000, Taken::Known),
        (7, 1_000, Taken::Known),
        (7, 999, Taken::Known),
        (7, 1_001, Taken::Newer),
        (8, 500, Taken::Newer),
    ] {
        let (update, source) = feed(number, made_at);
        assert_eq!(
            take(&mut held, &update, source),
            expected,
            "{number} {made_at}"
        );
    }
    assert!(!knows(&held, 6));
    // Who knows that much later knows no less.
    assert_eq!(held.unwrap().as_of, at(1_001));
}

#[test]
fn skew_counts_against_us_in_kv_and_not_at_all_in_the_feed() {
    let age = |made_at: i64, source: Source, now: i64| {
        let mut held = None;
        match take(&mut held, &update(1, 0, made_at, None, vec![]), source) {
            Taken::Newer => Ok(held.unwrap().age(at(now)).as_millis()),
            other => Err(other),
        }
    };
    assert_eq!(age(10_000, Source::Kv(at(12_000)), 13_000), Ok(8_000));
    // The issuer's clock runs ahead: what was read cannot be younger than the reading.
    assert_eq!(age(14_000, Source::Kv(at(12_000)), 13_000), Ok(6_000));
    let apart = Err(Taken::ClocksDiffer(Duration::from_secs(6)));
    assert_eq!(age(18_000, Source::Kv(at(12_000)), 13_000), apart);
    assert_eq!(age(14_000, Source::Feed(at(12_000)), 13_000), Ok(1_000));
    assert_eq!(age(10_000, Source::Feed(at(12_000)), 13_000), Ok(1_000));
    assert_eq!(age(18_000, Source::Feed(at(12_000)), 13_000), apart);
    assert_eq!(age(6_000, Source::Feed(at(12_000)), 13_000), apart);
}

#[test]
fn what_the_issuer_knew_for_a_while_is_so_much_older() {
    let mut held = None;
    let remembered = Update {
        sent_at: at(50_700),
        ..update(1, 0, 50_000, None, vec![])
    };
    take(&mut held, &remembered, Source::Feed(at(51_000)));
    assert_eq!(held.unwrap().age(at(51_100)), Duration::from_millis(800));
}

/// What happened at the issuer: revocation `n` was committed at second `n`, with number `n`.
fn history(until: u8) -> Vec<Revocation> {
    (1..=until).map(session).collect()
}

proptest! {
    /// Law: whatever reaches an isolate in whatever order, it knows all that was committed before the time it claims.
    #[test]
    fn a_view_knows_what_its_age_says(
        messages in vec((1u8..40, 0u8..40, any::<bool>(), any::<bool>()), 1..30),
    ) {
        let mut held = None;
        for (until, since, from_kv, is_base) in messages {
            let since = if is_base { 0 } else { since.min(until) };
            let entries = history(until).split_off(usize::from(since));
            let made_at = i64::from(until) * 1_000;
            let base = (from_kv || is_base).then(|| BaseName::from_random(u64::from(since) + 1));
            let number = u64::from(until);
            let source = if from_kv { Source::Kv(at(made_at)) } else { Source::Feed(at(made_at)) };
            take(&mut held, &update(number, u64::from(since), made_at, base.filter(|_| is_base), entries), source);
            if let Some(view) = &held {
                for committed in (1..40u8).filter(|second| i64::from(*second) * 1_000 < view.as_of.millis()) {
                    prop_assert!(knows(&held, committed), "{committed} at {:?}", view.as_of);
                }
            }
        }
    }

    #[test]
    fn fingerprints_of_others_say_nothing(fingerprint: u64) {
        let mut held = None;
        let other = Revocation { entry: Entry::Session(Fingerprint(fingerprint)), expires: UnixTime::from_secs(9) };
        take(&mut held, &update(1, 0, 0, None, vec![other]), Source::Feed(at(0)));
        prop_assume!(SessionId::from_bytes([1; 16]).fingerprint() != Fingerprint(fingerprint));
        prop_assert!(!knows(&held, 1));
    }
}
