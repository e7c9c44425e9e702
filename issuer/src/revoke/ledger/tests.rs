//! Single cases of what is held and how it is divided.

use shared::id::Fingerprint;
use shared::revocation::{Entry, Revocation};
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;

use super::base::OVERLAP;
use super::*;
use crate::store::revocations::{Place, Tail};
use crate::time::Stopwatch;

pub(super) const NOW: UnixMillis = UnixMillis::from_millis(1_700_000_000_000);

pub(super) fn revocation(id: u64) -> Revocation {
    Revocation {
        entry: Entry::Session(Fingerprint(id)),
        expires: NOW.to_secs().plus(Duration::from_secs(900)),
    }
}

/// A ledger that holds `count` rows, each of a transaction of its own, 1 first.
fn held(count: u64) -> Held {
    let mut held = Held::default();
    let rows = (1..=count).map(|xid| (Place { xid, row: 0 }, revocation(xid)));
    let tail = Tail {
        number: count + 1,
        rows: rows.collect(),
    };
    let read = held.begin(NOW);
    held.apply(read, tail);
    held
}

fn add(held: &mut Held, xid: u64) {
    let read = held.begin(NOW);
    let tail = Tail {
        number: xid + 1,
        rows: vec![(Place { xid, row: 0 }, revocation(xid))],
    };
    assert!(held.apply(read, tail));
}

#[test]
fn a_small_set_stands_in_the_head_and_nobody_needs_a_base() {
    let held = held(2000);
    let (base, _) = held.cut(BaseName::from_random(1), NOW).unwrap();
    let head = held.head(&base, OVERLAP, NOW).unwrap();
    assert_eq!((head.since, head.entries.len()), (0, 2000));
}

#[test]
fn a_new_base_sends_nobody_to_fetch_it_who_looks_often_enough() {
    let mut held = held(10_000);
    let (old, _) = held.cut(BaseName::from_random(1), NOW).unwrap();
    let known = held.head(&old, OVERLAP, NOW).unwrap().number;
    for xid in 10_001..=12_000 {
        add(&mut held, xid);
    }
    let grown = held.head(&old, OVERLAP, NOW).unwrap();
    assert!(grown.since <= known && grown.entries.len() == 2000);
    let (new, _) = held.cut(BaseName::from_random(2), NOW).unwrap();
    let head = held.head(&new, OVERLAP, NOW).unwrap();
    assert!(head.since <= known && head.entries.len() == 2000);
    assert_eq!(head.base, Some(BaseName::from_random(2)));
}

#[test]
fn transactions_without_revocations_send_nobody_to_fetch_a_base() {
    // Every tenth transaction ends 1,500 sessions; the others do something else.
    let mut held = Held::default();
    let mut revoke = |xid: u64| {
        let read = held.begin(NOW);
        let row = |row: u64| {
            (
                Place {
                    xid,
                    row: row.cast_signed(),
                },
                revocation(xid * 1500 + row),
            )
        };
        let tail = Tail {
            number: xid + 1,
            rows: (0..1500).map(row).collect(),
        };
        held.apply(read, tail);
        held.number
    };
    let known = [10, 20].map(&mut revoke)[1];
    revoke(30);
    let (base, _) = held.cut(BaseName::from_random(1), NOW).unwrap();
    let head = held.head(&base, OVERLAP, NOW).unwrap();
    assert_eq!(head.entries.len(), 1500);
    assert!(head.since <= known, "{} and {known}", head.since);
}

#[test]
fn a_transaction_larger_than_the_overlap_stands_in_the_base_alone() {
    let mut held = Held::default();
    let rows = (0..5000).map(|row| (Place { xid: 7, row }, revocation(row.unsigned_abs())));
    let tail = Tail {
        number: 8,
        rows: rows.collect(),
    };
    let read = held.begin(NOW);
    held.apply(read, tail);
    let (base, _) = held.cut(BaseName::from_random(1), NOW).unwrap();
    let head = held.head(&base, OVERLAP, NOW).unwrap();
    assert_eq!((head.since, head.entries.len()), (8, 0));
}

#[test]
fn a_head_stays_small_while_a_transaction_is_held_open() {
    let mut held = Held::default();
    // Transaction 1 does not end; all the others have.
    let rows = (2..=9000).map(|xid| (Place { xid, row: 0 }, revocation(xid)));
    let tail = Tail {
        number: 1,
        rows: rows.collect(),
    };
    let read = held.begin(NOW);
    held.apply(read, tail);
    let (base, message) = held.cut(BaseName::from_random(1), NOW).unwrap();
    assert_eq!((message.number, message.entries.len()), (1, 8999));
    assert_eq!(held.head(&base, OVERLAP, NOW).unwrap().entries.len(), 2000);
}

#[test]
fn a_reader_who_knows_more_gets_a_number_that_says_so() {
    let held = held(3);
    let update = held.delta(9, NOW).unwrap();
    assert_eq!(
        (update.number, update.since, update.entries.len()),
        (4, 9, 0)
    );
    assert_eq!(Held::default().delta(0, NOW), None);
}

#[test]
fn the_age_is_that_of_the_last_read_to_begin() {
    let mut held = Held::default();
    let (first, second) = (
        held.begin(NOW),
        held.begin(NOW.plus(Duration::from_secs(1))),
    );
    let tail = Tail {
        number: 5,
        rows: vec![],
    };
    held.apply(second, tail.clone());
    held.apply(first, tail.clone());
    assert_eq!(held.as_of(), Some(second.as_of));
    // The clock is put back: what was read by then does not count as fresh for a minute.
    assert!(!held.is_fresh(NOW, NOW, MAX_AGE));
    let third = held.begin(NOW);
    held.apply(third, tail);
    assert_eq!(held.as_of(), Some(NOW));
    assert!(held.is_fresh(NOW.plus(MAX_AGE), NOW.plus(MAX_AGE), MAX_AGE));
    let late = NOW.plus(MAX_AGE + Duration::from_millis(1));
    assert!(!held.is_fresh(late, late, MAX_AGE));
}

#[test]
fn expired_rows_go_within_a_minute() {
    let mut held = held(3);
    let read_at = |held: &mut Held, secs| {
        let read = held.begin(NOW.plus(Duration::from_secs(secs)));
        let tail = Tail {
            number: 4,
            rows: vec![],
        };
        held.apply(read, tail);
        held.rows.len()
    };
    assert_eq!(read_at(&mut held, 899), 3);
    assert_eq!(read_at(&mut held, 901), 3, "looked at two seconds ago");
    assert_eq!(read_at(&mut held, 960), 0);
}

#[test]
fn after_a_restore_from_a_backup_everything_is_read_anew() {
    let mut held = held(100);
    let (base, _) = held.cut(BaseName::from_random(1), NOW).unwrap();
    let (before, slow) = (held.begin(NOW), held.begin(NOW));
    let restored = Tail {
        number: 50,
        rows: vec![],
    };
    assert!(held.apply(before, restored));
    assert_eq!((held.rows.len(), held.as_of()), (0, None));
    assert_eq!(held.begin(NOW).after, 0);
    // An answer to a question from before the restore.
    let old = Tail {
        number: 102,
        rows: vec![(Place { xid: 101, row: 0 }, revocation(101))],
    };
    assert!(!held.apply(slow, old));
    assert!(held.rows.is_empty());
    // Transactions have passed the old base, and still it is none of this history.
    let read = held.begin(NOW);
    let tail = Tail {
        number: 500,
        rows: vec![],
    };
    held.apply(read, tail);
    assert!(held.head(&base, OVERLAP, NOW).is_none());
}

#[tokio::test]
async fn all_who_ask_share_one_read_and_wait_for_it_a_second_at_most() {
    // A Postgres that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u:p@{}/none", silent.local_addr().unwrap());
    let pool = PgPoolOptions::new().connect_lazy(&url).unwrap();
    let ledger = Arc::new(Ledger::new(Store::from_pool(pool), Clock::system()));
    let asked = Stopwatch::start();
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let ledger = ledger.clone();
        asking.spawn(async move { ledger.freshen().await });
    }
    asking.join_all().await;
    assert!(asked.elapsed() < 2 * WAIT, "{:?}", asked.elapsed());
    assert!(silent.accept().await.is_ok());
    let second = timeout(Duration::from_millis(50), silent.accept()).await;
    assert!(second.is_err(), "one connection, one read");
}
