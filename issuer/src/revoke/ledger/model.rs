//! Against a model of Postgres: transactions that begin, write, commit and roll back in any order, and reads that overlap.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shared::revocation::{BaseName, Entry, OpenUpdate, Update};
use shared::secret::RootSecret;

use super::base::Base;
use super::held::{Held, Read};
use super::tests::{NOW, revocation};
use crate::store::revocations::{Place, Tail};

/// What Postgres keeps, and what it shows.
#[derive(Default)]
struct Model {
    next_xid: u64,
    next_row: i64,
    open: BTreeMap<u64, Vec<Place>>,
    committed: BTreeSet<Place>,
}

impl Model {
    fn begin(&mut self) {
        self.next_xid += 1;
        self.open.insert(self.next_xid, vec![]);
    }

    /// The open transaction that `pick` falls on.
    fn pick(&self, pick: usize) -> Option<u64> {
        let open = self.open.keys().nth(pick % self.open.len().max(1));
        open.copied()
    }

    fn insert(&mut self, pick: usize) {
        if let Some(xid) = self.pick(pick) {
            self.next_row += 1;
            let row = self.next_row;
            self.open.entry(xid).or_default().push(Place { xid, row });
        }
    }

    fn end(&mut self, pick: usize, commit: bool) {
        if let Some(rows) = self.pick(pick).and_then(|xid| self.open.remove(&xid))
            && commit
        {
            self.committed.extend(rows);
        }
    }

    fn tail(&self, after: u64) -> Tail {
        let oldest = self.open.keys().next();
        Tail {
            number: oldest.copied().unwrap_or(self.next_xid + 1),
            rows: self
                .committed
                .iter()
                .filter(|place| place.xid >= after)
                .map(|place| (*place, revocation(place.row.unsigned_abs())))
                .collect(),
        }
    }

    fn all(&self) -> BTreeSet<Entry> {
        let entry = |place: &Place| revocation(place.row.unsigned_abs()).entry;
        self.committed.iter().map(entry).collect()
    }
}

const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

/// Whoever is told, in bytes: an edge.
struct Reader {
    number: u64,
    base: Option<BaseName>,
    entries: BTreeSet<Entry>,
    secrets: [RootSecret; 1],
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            number: 0,
            base: None,
            entries: BTreeSet::new(),
            secrets: [RootSecret::parse(SECRET).unwrap()],
        }
    }
}

impl Reader {
    /// Takes what is sent, if it fits.
    fn take(&mut self, update: &Update) -> bool {
        let bytes = update.encode(&self.secrets[0]);
        let open = OpenUpdate::open(&bytes, &self.secrets).unwrap();
        let fits = open.fits(self.number, self.base);
        if fits {
            self.number = self.number.max(open.number);
            self.base = open.base.or(self.base);
            self.entries
                .extend(open.entries.map(|revocation| revocation.entry));
        }
        fits
    }

    fn take_head(&mut self, head: &Update, base: &Update) {
        if !self.take(head) {
            assert!(self.take(base), "a base fits everybody");
            assert!(self.take(head), "a head fits over its base");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    Insert(usize),
    Commit(usize),
    RollBack(usize),
    /// A read is begun; Postgres answers at once.
    Ask,
    /// The answer to one of them arrives.
    Arrive(usize),
    Cut,
    FollowFeed,
    FollowHead,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Begin),
        8 => (0usize..9).prop_map(Step::Insert),
        4 => (0usize..9).prop_map(Step::Commit),
        1 => (0usize..9).prop_map(Step::RollBack),
        4 => Just(Step::Ask),
        4 => (0usize..4).prop_map(Step::Arrive),
        1 => Just(Step::Cut),
        2 => Just(Step::FollowFeed),
        2 => Just(Step::FollowHead),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A ledger's pure part with the two readers that follow it.
#[derive(Default)]
struct Scene {
    held: Held,
    postgres: Model,
    under_way: Vec<(Read, Tail)>,
    /// Committed when an answer was given that has arrived.
    told: BTreeSet<Entry>,
    base: Option<(Base, Update)>,
    cuts: u64,
    by_feed: Reader,
    by_head: Reader,
}

impl Scene {
    fn step(&mut self, step: Step) {
        match step {
            Step::Begin => self.postgres.begin(),
            Step::Insert(pick) => self.postgres.insert(pick),
            Step::Commit(pick) => self.postgres.end(pick, true),
            Step::RollBack(pick) => self.postgres.end(pick, false),
            Step::Ask => {
                let read = self.held.begin(NOW);
                self.under_way.push((read, self.postgres.tail(read.after)));
            }
            Step::Arrive(pick) if !self.under_way.is_empty() => {
                let (read, tail) = self.under_way.remove(pick % self.under_way.len());
                self.told.extend(tail.rows.iter().map(|(_, row)| row.entry));
                self.held.apply(read, tail);
            }
            Step::Cut => {
                self.cuts += 1;
                self.base = self.held.cut(BaseName::from_random(self.cuts), NOW);
            }
            Step::FollowFeed => {
                if let Some(update) = self.held.delta(self.by_feed.number, NOW) {
                    assert!(self.by_feed.take(&update), "an answer fits who asked");
                }
            }
            Step::FollowHead => {
                if let Some((base, message)) = &self.base {
                    let head = self.held.head(base, 3, NOW).unwrap();
                    self.by_head.take_head(&head, message);
                    assert_eq!(self.by_head.entries, self.told, "by head and base");
                }
            }
            Step::Arrive(_) => {}
        }
    }

    /// Every transaction ends, and everything that was asked is answered.
    fn finish(&mut self) {
        while !self.postgres.open.is_empty() {
            self.postgres.end(0, true);
        }
        self.step(Step::Ask);
        while !self.under_way.is_empty() {
            self.step(Step::Arrive(0));
        }
    }
}

proptest! {
    /// Whatever overlaps: who follows the feed, or head and base, knows exactly what the reads so far have brought, and
    /// in the end exactly what was committed.
    #[test]
    fn nothing_is_skipped_and_nothing_is_invented(steps in steps()) {
        let mut scene = Scene::default();
        for step in steps {
            scene.step(step);
            let held: BTreeSet<Entry> = scene.held.rows.values().map(|row| row.entry).collect();
            prop_assert_eq!(&held, &scene.told);
        }
        scene.finish();
        scene.step(Step::FollowFeed);
        prop_assert_eq!(&scene.by_feed.entries, &scene.postgres.all(), "by the feed");
        // Both: over the base that is out, and over a new one.
        scene.step(Step::FollowHead);
        scene.step(Step::Cut);
        scene.step(Step::FollowHead);
        prop_assert_eq!(&scene.by_head.entries, &scene.postgres.all(), "by head and base");
    }
}
