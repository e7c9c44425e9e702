use std::sync::LazyLock;

use proptest::prelude::*;
use shared::claims::Claims;
use shared::id::{Fingerprint, SessionId};
use shared::revocation::{Entry, Revocation, Update};
use shared::secret::RootSecret;
use shared::time::UnixTime;

use super::*;
use crate::fixtures;

mod model;

/// Later than all that is told here, and earlier than anything expires.
const NOW: UnixMillis = UnixMillis::from_millis(9_000_000);

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
    take_at(held, update, source, NOW)
}

fn take_at(held: &mut Option<View>, update: &Update, source: Source, now: UnixMillis) -> Taken {
    let (bytes, secrets) = (update.encode(&secret()), [secret()]);
    let update = OpenUpdate::open(&bytes, &secrets).unwrap();
    View::take(held, update, source, now)
}

fn knows(held: &Option<View>, byte: u8) -> bool {
    // Signed once: a property test asks many thousand times.
    static TOKENS: LazyLock<Vec<Verified<Claims>>> = LazyLock::new(|| {
        let of = |byte| fixtures::token(|claims| claims.sid = SessionId::from_bytes([byte; 16])).1;
        (0..64).map(of).collect()
    });
    held.as_ref().unwrap().standing(&TOKENS[usize::from(byte)]) == Standing::Revoked
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

#[test]
fn the_clock_of_another_isolate_counts_only_against_us() {
    let (sought_at, now) = (at(60_000), at(60_100));
    let age = |asked_at: i64, at_most_ago: u64, known_for: i64| {
        let sent = Update {
            sent_at: at(59_000),
            ..update(1, 0, 59_000 - known_for, None, vec![])
        };
        let source = Source::Shared {
            asked_at: at(asked_at),
            sought_at,
            at_most_ago: Duration::from_millis(at_most_ago),
        };
        let mut held = None;
        match take_at(&mut held, &sent, source, now) {
            Taken::Newer => Ok(held.unwrap().age(now).as_millis()),
            other => Err(other),
        }
    };
    for (asked_at, at_most_ago, known_for, expected) in [
        // Its clock is right, or 2 s or 5 s ahead: none of this makes the answer younger than it can be.
        (59_000, 1_200, 0, 1_300),
        (61_000, 1_200, 0, 1_300),
        (64_000, 1_200, 0, 1_300),
        // It is behind, or the answer was kept for longer than it should have been: nobody can say which.
        (58_000, 1_200, 0, 2_100),
        (54_000, 1_200, 0, 6_100),
        (0, 1_200, 0, 60_100),
        // What the issuer had known for a while, and what was long under way.
        (64_000, 1_200, 150, 1_450),
        (64_000, 3_100, 0, 3_200),
    ] {
        assert_eq!(
            age(asked_at, at_most_ago, known_for),
            Ok(expected),
            "{asked_at} {at_most_ago} {known_for}"
        );
    }
}

#[test]
fn what_was_shared_is_as_old_as_the_issuer_signed() {
    let shared = |sent_at: i64| {
        let source = Source::Shared {
            asked_at: at(60_000),
            sought_at: at(60_000),
            at_most_ago: Duration::from_secs(1),
        };
        take(&mut None, &update(1, 0, sent_at, None, vec![]), source)
    };
    let apart = |millis| Taken::ClocksDiffer(Duration::from_millis(millis));
    for (sent_at, expected) in [
        (65_000, Taken::Newer),
        (65_001, apart(5_001)),
        (54_000, Taken::Newer),
        (53_999, apart(5_001)),
    ] {
        assert_eq!(shared(sent_at), expected, "{sent_at}");
    }
}

#[test]
fn nothing_is_young_while_the_clock_is_behind_what_it_said_before() {
    let mut held = None;
    let told = update(7, 0, 60_000, None, vec![session(1)]);
    let feed = Source::Feed(at(60_000));
    assert_eq!(take_at(&mut held, &told, feed, at(60_100)), Taken::Newer);
    let age = |held: &Option<View>, now: i64| held.as_ref().unwrap().age(at(now));
    assert_eq!(age(&held, 60_100), Duration::from_millis(100));
    // The clock is put back by four seconds.
    assert_eq!(age(&held, 56_100), Duration::MAX);
    assert_eq!(age(&held, 59_999), Duration::MAX);
    // The next answer counts as if nothing had been known, although it is older by the old time.
    let again = update(7, 0, 60_100, None, vec![]);
    let feed = Source::Feed(at(56_100));
    assert_eq!(take_at(&mut held, &again, feed, at(56_200)), Taken::Newer);
    assert_eq!(age(&held, 56_200), Duration::from_millis(100));
    assert!(knows(&held, 1));
}

#[test]
fn a_step_back_that_is_shorter_than_an_age_is_noticed_all_the_same() {
    let mut latest = Latest::default();
    for (now, expected) in [
        (60_000, false),
        (59_000, false),
        (60_001, false),
        (59_000, true),
        (59_000, false),
        (59_500, false),
        (0, true),
        (0, false),
    ] {
        assert_eq!(latest.is_put_back(at(now)), expected, "{now}");
    }
}

#[test]
fn an_answer_across_which_a_clock_was_put_back_has_no_age() {
    let mut held = None;
    // The issuer's, between reading and sending.
    let update = Update {
        sent_at: at(59_999),
        ..update(1, 0, 60_000, None, vec![])
    };
    let shared = Source::Shared {
        asked_at: at(60_000),
        sought_at: at(60_000),
        at_most_ago: Duration::ZERO,
    };
    for source in [Source::Feed(at(60_000)), Source::Kv(at(60_000)), shared] {
        assert_eq!(take(&mut held, &update, source), Taken::ClockPutBack);
    }
    // This one, between asking and hearing.
    let update = Update {
        sent_at: at(60_000),
        ..update
    };
    let feed = Source::Feed(at(60_000));
    let now = at(59_999);
    assert_eq!(take_at(&mut held, &update, feed, now), Taken::ClockPutBack);
    assert!(held.is_none());
}

/// A base was cut while transaction 40 was open, after 41 and 42 had committed; then the issuer's feed was asked, which
/// knew more; then so much was committed that the head holds only what its base lacks.
#[test]
fn a_base_below_the_number_still_lets_its_head_fit() {
    let mut held = None;
    let feed = update(42, 0, 20_000, None, vec![session(42)]);
    take(&mut held, &feed, Source::Feed(at(20_000)));
    let head = update(50, 43, 30_000, named(1), vec![session(45)]);
    let read_at = Source::Kv(at(30_000));
    let lacks = Taken::Lacks(BaseName::from_random(1));
    assert_eq!(take(&mut held, &head, read_at), lacks);
    let base = update(40, 0, 10_000, named(1), vec![session(41), session(42)]);
    assert_eq!(take(&mut held, &base, read_at), Taken::Known);
    let view = held.as_ref().unwrap();
    assert_eq!((view.number, view.as_of), (42, at(20_000)));
    assert!(knows(&held, 41) && knows(&held, 42) && !knows(&held, 45));
    assert_eq!(take(&mut held, &head, read_at), Taken::Newer);
    assert!(knows(&held, 41) && knows(&held, 45));
    // One of the same number, and no younger, is as good.
    let base = update(50, 0, 9_000, named(2), vec![session(46)]);
    assert_eq!(take(&mut held, &base, read_at), Taken::Known);
    let head = update(60, 55, 40_000, named(2), vec![]);
    assert_eq!(take(&mut held, &head, Source::Kv(at(40_000))), Taken::Newer);
    assert!(knows(&held, 46));
}

proptest! {
    #[test]
    fn fingerprints_of_others_say_nothing(fingerprint: u64) {
        let mut held = None;
        let other = Revocation { entry: Entry::Session(Fingerprint(fingerprint)), expires: UnixTime::from_secs(9) };
        take(&mut held, &update(1, 0, 0, None, vec![other]), Source::Feed(at(0)));
        prop_assume!(SessionId::from_bytes([1; 16]).fingerprint() != Fingerprint(fingerprint));
        prop_assert!(!knows(&held, 1));
    }
}
