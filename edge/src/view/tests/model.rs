//! Against a model of what issuers write: transactions that overlap, bases and heads over them, answers of the feed, and
//! leaders that write what they read long ago.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const TRANSACTIONS: u8 = 40;

/// Transaction `n` begins at second `n`, revokes session `n`, and commits so many seconds later.
#[derive(Clone, Debug)]
struct Postgres {
    open_for: Vec<u8>,
}

impl Postgres {
    fn committed_at(&self, transaction: u8) -> u8 {
        transaction + self.open_for[usize::from(transaction)]
    }

    /// What is committed at `second`.
    fn rows(&self, second: u8) -> BTreeSet<u8> {
        (1..=second)
            .filter(|transaction| self.committed_at(*transaction) <= second)
            .collect()
    }

    /// The oldest transaction that is open at `second`, or else the next one.
    fn number(&self, second: u8) -> u8 {
        (1..=second)
            .find(|transaction| self.committed_at(*transaction) > second)
            .unwrap_or(second + 1)
    }

    /// What an issuer writes at `second`.
    fn message(&self, second: u8, since: u8, base: Option<u8>, rows: BTreeSet<u8>) -> Update {
        update(
            u64::from(self.number(second)),
            u64::from(since),
            i64::from(second) * 1_000,
            base.and_then(|base| named(u64::from(base) + 1)),
            rows.into_iter().map(session).collect(),
        )
    }

    fn feed(&self, second: u8, after: u8) -> Update {
        let mut rows = self.rows(second);
        self.message(second, after, None, rows.split_off(&after))
    }

    fn base(&self, cut_at: u8) -> Update {
        self.message(cut_at, 0, Some(cut_at), self.rows(cut_at))
    }

    /// As the issuer's ledger makes it: what the base lacks, and all from `since` on.
    fn head(&self, second: u8, cut_at: u8, overlap: usize) -> Update {
        let (rows, in_base) = (self.rows(second), self.rows(cut_at));
        let end = in_base.last().map_or(0, |last| last + 1);
        let since = match overlap {
            0 => end,
            _ if rows.len() <= overlap => 0,
            _ => end.min(*rows.iter().nth_back(overlap - 1).unwrap()),
        };
        let told = |row: &u8| *row >= since || !in_base.contains(row);
        let rows = rows.into_iter().filter(told).collect();
        self.message(second, since, Some(cut_at), rows)
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// The issuer is asked and tells what it read at this second; some ask for less than they could.
    Feed { second: u8, less: u8 },
    /// KV shows a head of this second over a base that was cut earlier.
    Kv {
        second: u8,
        older: u8,
        overlap: usize,
    },
    /// A base arrives that nobody asked for now.
    Base { cut_at: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let second = 1..TRANSACTIONS;
    prop_oneof![
        2 => (second.clone(), 0u8..5).prop_map(|(second, less)| Step::Feed { second, less }),
        4 => (second.clone(), 0u8..12, prop_oneof![Just(0usize), Just(3), Just(100)])
            .prop_map(|(second, older, overlap)| Step::Kv { second, older, overlap }),
        1 => second.prop_map(|cut_at| Step::Base { cut_at }),
    ]
}

fn postgres() -> impl Strategy<Value = Postgres> {
    vec(
        prop_oneof![3 => Just(0u8), 1 => 0u8..9],
        usize::from(TRANSACTIONS),
    )
    .prop_map(|open_for| Postgres { open_for })
}

/// As `io/revocations` reads it: the head, and its base where that is lacking, and then the head fits.
fn read_kv(held: &mut Option<View>, head: &Update, base: &Update) {
    let source = Source::Kv(head.made_at);
    let mut taken = take(held, head, source);
    if let Taken::Lacks(name) = taken {
        assert_eq!(Some(name), base.base);
        take(held, base, source);
        taken = take(held, head, source);
    }
    assert!(matches!(taken, Taken::Newer | Taken::Known), "{taken:?}");
}

fn follow(held: &mut Option<View>, postgres: &Postgres, step: &Step) {
    match *step {
        Step::Feed { second, less } => {
            let number = held.as_ref().map_or(0, |view| view.number);
            let after = u8::try_from(number).unwrap().saturating_sub(less);
            let told = postgres.feed(second, after);
            let taken = take(held, &told, Source::Feed(told.made_at));
            assert!(matches!(taken, Taken::Newer | Taken::Known), "{taken:?}");
        }
        Step::Kv {
            second,
            older,
            overlap,
        } => {
            let cut_at = second.saturating_sub(older);
            let (head, base) = (
                postgres.head(second, cut_at, overlap),
                postgres.base(cut_at),
            );
            read_kv(held, &head, &base);
        }
        Step::Base { cut_at } => {
            let base = postgres.base(cut_at);
            take(held, &base, Source::Kv(base.made_at));
        }
    }
}

proptest! {
    /// Laws: whatever reaches an isolate in whatever order, it knows all that was committed before the time it claims, and
    /// all below its number; neither goes back; and whatever KV shows, head and base are enough to read it.
    #[test]
    fn a_view_knows_what_its_age_says(postgres in postgres(), steps in vec(step(), 1..30)) {
        let mut held: Option<View> = None;
        for step in steps {
            let (number, as_of) = held.as_ref().map_or((0, at(i64::MIN)), |view| (view.number, view.as_of));
            follow(&mut held, &postgres, &step);
            let Some(view) = &held else { continue };
            prop_assert!(view.number >= number && view.as_of >= as_of, "{step:?}");
            for transaction in 1..TRANSACTIONS {
                let told = i64::from(postgres.committed_at(transaction)) * 1_000 < view.as_of.millis();
                if told || u64::from(transaction) < view.number {
                    prop_assert!(knows(&held, transaction), "{transaction} after {step:?}: {view:?}");
                }
            }
        }
    }
}
