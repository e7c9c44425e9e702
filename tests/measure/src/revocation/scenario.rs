//! One fault: sessions are signed out at random moments while every edge is under load, and is asked for all of them.

use std::ops::{Range, RangeInclusive};
use std::time::{Duration, Instant};

use anyhow::Result;
use harness::chance::Chance;
use harness::system::{Client, System};
use harness::watch::{CLASSES, Class, Seen, Steady, Verdict, Watch};
use shared::wire::kv;

use super::fault::{Ends, Fault, Striker};
use super::open;
use super::people::{self, Gone, Person};
use super::report::{Scenario, TAKEOVER};
use super::tally::{self, Gauge, Period, Samples, Totals};
use super::{EDGES, ISSUERS};
use crate::cpu;

/// Sessions that nobody signs out: the steady load is theirs.
const SURVIVORS: usize = 16;
/// Requests a second that each edge gets whatever happens to sessions, on average: see [`Watch::steady`].
pub(super) const LOAD: f64 = 10.0;
/// How long the load is on before the first session is signed out: longer than strict routes take to find their rhythm.
const RUN_IN: Duration = Duration::from_secs(10);
/// The time between one sign-out and the next, on average.
const MEAN_GAP: Duration = Duration::from_millis(450);
/// How long dead sessions are asked for beyond the longest bound.
const BEYOND: Duration = Duration::from_secs(30);
/// After all is mended an edge may take the bound to hear of it, and this more: to give up a call that hangs, to leave a
/// failed issuer alone, to wait for a leader.
const SLACK: Duration = Duration::from_secs(10);
/// So long may it take until all edges have answered for those who are still signed in.
const ROLL_CALL: Duration = Duration::from_secs(15);
/// Bounds from here on can be kept by KV alone: its head is written every half minute.
const KV_HELPS: Duration = Duration::from_secs(30);
/// When somebody who looks into KV every half minute happens to look after a sign-out.
const LOOKS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30);

/// Nobody who is signed in or out for good is asked for often: that is what the load is for.
const SELDOM: Duration = Duration::from_secs(60);

static STRICT: [Class; 1] = [Class {
    until_refused: Duration::from_millis(100),
    alive: SELDOM,
    ..CLASSES[0]
}];
static OTHERS: [Class; 2] = [
    Class {
        until_refused: Duration::from_secs(1),
        alive: SELDOM,
        ..CLASSES[1]
    },
    Class {
        until_refused: Duration::from_secs(2),
        alive: SELDOM,
        ..CLASSES[2]
    },
];

/// Classes of routes that share edges. Strict ones have edges of their own: they keep an isolate's knowledge so fresh that
/// the others would look as good.
struct Group {
    classes: &'static [Class],
    edges: Range<usize>,
}

static GROUPS: [Group; 2] = [
    Group {
        classes: &STRICT,
        edges: 0..EDGES,
    },
    Group {
        classes: &OTHERS,
        edges: EDGES..2 * EDGES,
    },
];

/// Runs it, for all classes at once.
///
/// # Errors
/// The stack does not come up, or a session cannot be signed out.
pub(super) async fn run(fault: Fault, logouts: usize, seed: u64) -> Result<Scenario> {
    let begun = Instant::now();
    let system = System::builder()
        .edges(2 * EDGES)
        .issuers(ISSUERS)
        .processes()
        .routes(open::routes(&CLASSES))
        .kv_lag(fault.kv_lag(), seed)
        // Nobody is to be signed out but by us; so few accounts can have so many sessions.
        .setting("MAX_CONCURRENT_SESSIONS", "1000")
        .start()
        .await?;
    let chance = Chance::new(seed).of(fault as u64);
    let watches = (0..).zip(&GROUPS).map(|(number, group)| {
        Watch::at(
            &system,
            group.edges.clone(),
            group.classes,
            chance.of(number),
        )
    });
    let watches: Vec<Watch> = watches.collect();
    let mut people = people::sign_in(&system, &watches, logouts + SURVIVORS).await?;
    let mut survivors = people.split_off(logouts);
    for (number, person) in people.iter_mut().chain(&mut survivors).enumerate() {
        for (group, class) in all_classes() {
            let edge = group.edges.start + number % EDGES;
            person
                .open
                .push(open::start(&system, person.client(), class, edge)?);
        }
    }
    let clients: Vec<Client> = survivors.iter().map(Person::client).collect();
    let load = watches.iter().map(|watch| watch.steady(&clients, LOAD));
    let load: Vec<Steady> = load.collect::<Result<_>>()?;
    tokio::time::sleep(RUN_IN).await;
    let stage = Stage {
        fault,
        system: &system,
        load: &load,
        survivors: &survivors,
        chance: chance.of(100),
    };
    let mut scenario = stage.play(people).await?;
    scenario.took = begun.elapsed().as_secs_f64().round();
    Ok(scenario)
}

/// What stands when the first session is signed out.
struct Stage<'a> {
    fault: Fault,
    system: &'a System,
    load: &'a [Steady],
    survivors: &'a [Person],
    chance: Chance,
}

impl Stage<'_> {
    async fn play(&self, people: Vec<Person>) -> Result<Scenario> {
        let ends = Ends {
            by_turns: GROUPS[0].edges.clone(),
            for_good: GROUPS[1].edges.clone(),
        };
        let mut striker = Striker::new(self.system, ends, self.chance.of(0));
        let before = self.gauge(&people)?;
        let gone = tokio::select! {
            struck = striker.strike(self.fault) => {
                struck?;
                anyhow::bail!("{} is over too soon", self.fault.name())
            }
            gone = self.sign_out(people) => gone?,
        };
        striker.stop(TAKEOVER);
        let after = self.gauge(gone.iter().map(|gone| &gone.person))?;
        tally::show_wrong(self.seen(gone.iter().map(|gone| &gone.person)));
        let lost = self.roll_call().await;
        let kv_alone = self.kv_alone(&gone);
        let samples: Vec<Samples> = all_classes()
            .map(|(_, class)| Samples::of(class, &gone))
            .collect();
        let mut closings: Vec<open::Closings> = all_classes()
            .map(|(_, class)| open::Closings::of(class, &gone, self.survivors))
            .collect();
        striker.mend().await?;
        let unrecovered = self.recover(&gone).await;
        let classes = all_classes().zip(samples).enumerate();
        let classes = classes.map(|(index, ((group, class), samples))| {
            let period = Period::between(&before, &after, index, &group.edges);
            let mut class = samples.into_class(class, period, lost[index], unrecovered[index]);
            let closings = &mut closings[index];
            class.closed = std::mem::take(&mut closings.closed);
            (class.left_open, class.wrongly_closed) = (closings.left_open, closings.wrong);
            class
        });
        Ok(Scenario {
            fault: self.fault,
            logouts: gone.len(),
            took: 0.0,
            busy: before.busy_until(&after),
            classes: classes.collect(),
            takeovers: striker.takeovers,
            kv_alone,
        })
    }

    /// Returns when the last one's longest bound is well over.
    async fn sign_out(&self, people: Vec<Person>) -> Result<Vec<Gone>> {
        let gone = people::sign_out(self.system, people, MEAN_GAP, self.chance.of(1)).await?;
        let longest = all_classes().map(|(_, class)| class.bound).max();
        tokio::time::sleep(longest.unwrap_or_default() + BEYOND).await;
        Ok(gone)
    }

    /// For each class in how many places somebody who is signed in is not let in, although there is a way to know that
    /// they should be.
    async fn roll_call(&self) -> Vec<usize> {
        let now = Instant::now();
        let lets_in = |class: &Class| {
            class.serves_stale
                || self.fault.leaves_the_issuer()
                || (class.bound >= KV_HELPS && !self.fault.leaves_nothing())
        };
        let (limit, verdict) = (ROLL_CALL, Verdict::Accepted);
        people::await_verdict(self.survivors, verdict, now, limit, lets_in).await;
        let open = |class: &Class| people::open(self.survivors, verdict, now, class);
        let lost = all_classes().map(|(_, class)| if lets_in(class) { open(class) } else { 0 });
        lost.collect()
    }

    /// After all was mended: for each class in how many places it was not in time as it should be.
    async fn recover(&self, gone: &[Gone]) -> Vec<usize> {
        let mended = Instant::now();
        let gone = || gone.iter().map(|gone| &gone.person);
        let mut unrecovered = Vec::new();
        for (_, class) in all_classes() {
            let left = || (class.bound + SLACK).saturating_sub(mended.elapsed());
            let this = |other: &Class| other == class;
            let (refused, accepted) = (Verdict::Refused, Verdict::Accepted);
            people::await_verdict(gone(), refused, mended, left(), this).await;
            people::await_verdict(self.survivors, accepted, mended, left(), this).await;
            unrecovered.push(
                people::open(gone(), refused, mended, class)
                    + people::open(self.survivors, accepted, mended, class),
            );
        }
        unrecovered
    }

    /// What came for `people`, for those who stay, and for the load.
    fn seen<'p>(
        &'p self,
        people: impl IntoIterator<Item = &'p Person>,
    ) -> impl Iterator<Item = &'p Seen> {
        let people = people.into_iter().chain(self.survivors);
        let load = self.load.iter().flat_map(Steady::seen);
        people.flat_map(Person::seen).chain(load)
    }

    fn gauge<'p>(&'p self, people: impl IntoIterator<Item = &'p Person> + Clone) -> Result<Gauge> {
        let totals = all_classes().map(|(_, class)| Totals::of(class, self.seen(people.clone())));
        let feed = (0..2 * EDGES).map(|edge| self.system.feed_requests(edge));
        Ok(Gauge {
            at: Instant::now(),
            cpu: cpu::machine()?,
            feed: feed.collect::<Result<_>>()?,
            totals: totals.collect(),
        })
    }

    /// For each sign-out and location, when somebody there who looks into KV as often as it pays would have been told.
    fn kv_alone(&self, gone: &[Gone]) -> Vec<Option<f64>> {
        let clock = self.system.clock().now();
        let kv = &self.system.kv;
        let one = |gone: &Gone, location, mut chance: Chance| {
            if self.fault.leaves_nothing() {
                return None;
            }
            let asked_at = clock.minus(gone.asked_at.elapsed());
            let first = asked_at.plus(chance.between(&LOOKS));
            let told = kv.tells(location, kv::REVOCATIONS_HEAD, asked_at, first)?;
            let answered_at = clock.minus(gone.answered_at.elapsed());
            Some(tally::rounded(told.since(answered_at)))
        };
        let all = gone
            .iter()
            .flat_map(|gone| (0..EDGES).map(move |location| (gone, location)));
        let draws = (0..).map(|number| self.chance.of(2).of(number));
        all.zip(draws)
            .map(|((gone, location), chance)| one(gone, location, chance))
            .collect()
    }
}

/// In the order of the report.
fn all_classes() -> impl Iterator<Item = (&'static Group, &'static Class)> {
    let classes = |group: &'static Group| group.classes.iter().map(move |class| (group, class));
    GROUPS.iter().flat_map(classes)
}
