//! One fault: sessions are signed out one after the other while every edge is asked for all of them.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::Result;
use harness::chance::Chance;
use harness::system::{ADA, BOB, Client, System};
use harness::wait::until;
use harness::watch::{self, CLASSES, Seen, Verdict, Watch, Watched};
use shared::time::UnixMillis;
use shared::wire::kv;
use tokio::time::timeout;

use super::fault::Fault;
use super::report::{Class, Scenario};
use super::{EDGES, ISSUERS};

/// Sessions that nobody signs out.
const SURVIVORS: u32 = 6;
/// The time over which the logouts are spread.
const SPREAD: Duration = Duration::from_secs(30);
/// How long dead sessions are asked for beyond the longest bound.
const BEYOND: Duration = Duration::from_secs(6);
/// A cold edge has to fetch keys and revocations, and KV may be late with both.
const WARM_UP: Duration = Duration::from_secs(60);
/// When somebody who looks into KV every half minute happens to look after a logout.
const LOOKS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30);
/// How long one issuer may take; then another is asked.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A session.
struct Person {
    client: Client,
    watched: Watched,
}

/// The end of a session.
struct Logout {
    person: Person,
    asked_at: UnixMillis,
    answered_at: UnixMillis,
}

/// Runs it. Strict routes go first and alone: they keep an isolate's knowledge so fresh that the others, which share
/// it, would look as good.
///
/// # Errors
/// The stack does not come up, or a session cannot be signed out.
pub(super) async fn run(fault: Fault, logouts: u32, seed: u64) -> Result<Scenario> {
    let mut scenario = Scenario {
        fault,
        logouts: 0,
        kv_alone: Vec::new(),
        classes: Vec::new(),
    };
    let (strict, others) = CLASSES.split_at_checked(1).unwrap_or_default();
    for classes in [strict, others] {
        run_part(&mut scenario, classes, logouts.div_ceil(2), seed).await?;
    }
    Ok(scenario)
}

async fn run_part(
    scenario: &mut Scenario,
    classes: &'static [watch::Class],
    logouts: u32,
    seed: u64,
) -> Result<()> {
    let fault = scenario.fault;
    let system = System::builder()
        .edges(EDGES)
        .issuers(ISSUERS)
        .processes()
        .routes(watch::routes(classes))
        .kv_lag(fault.kv_lag(), seed)
        .setting("MAX_CONCURRENT_SESSIONS", "1000")
        .start()
        .await?;
    let mut people = sign_in(&system, classes, logouts + SURVIVORS).await?;
    let survivors = people.split_off(usize::try_from(logouts)?);
    let (begun, feed_before) = (Instant::now(), feed_requests(&system)?);
    let gone = tokio::select! {
        struck = fault.strike(&system) => {
            struck?;
            anyhow::bail!("{} is over too soon", fault.name())
        }
        gone = sign_out(&system, classes, people) => gone?,
    };
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
    let per_minute = |(after, before): (u64, u64)| (after - before) as f64 / minutes;
    let feed = feed_requests(&system)?.into_iter().zip(feed_before);
    let feed: Vec<f64> = feed.map(per_minute).collect();
    scenario.logouts += gone.len();
    scenario
        .kv_alone
        .extend(kv_alone(fault, &system, &gone, seed));
    for class in classes {
        let mut tally = tally(class, &gone, &survivors);
        tally.feed_per_minute.clone_from(&feed);
        scenario.classes.push(tally);
    }
    Ok(())
}

/// All are signed in, and every edge has let each of them in.
async fn sign_in(
    system: &System,
    classes: &'static [watch::Class],
    count: u32,
) -> Result<Vec<Person>> {
    let watch = Watch::new(system, classes);
    let mut people = Vec::new();
    for number in 0..count {
        let account = if number % 2 == 0 { ADA } else { BOB };
        let client = system.login(&account).await?;
        let watched = watch.session(&client)?;
        people.push(Person { client, watched });
    }
    let begun = Instant::now();
    until("every edge to know everybody", WARM_UP, async || {
        let mut seen = people.iter().flat_map(|person| person.watched.seen());
        seen.all(|seen| seen.is(|trace| trace.ends_with(Verdict::Accepted, begun)))
    })
    .await?;
    Ok(people)
}

/// One after the other; returns when the last one's longest bound is well over.
async fn sign_out(
    system: &System,
    classes: &[watch::Class],
    people: Vec<Person>,
) -> Result<Vec<Logout>> {
    let mut turns = tokio::time::interval(SPREAD / u32::try_from(people.len())?.max(1));
    let mut gone = Vec::new();
    for person in people {
        turns.tick().await;
        person.watched.ending();
        let asked_at = system.clock().now();
        log_out(system, &person.client).await?;
        person.watched.ended();
        gone.push(Logout {
            person,
            asked_at,
            answered_at: system.clock().now(),
        });
    }
    let longest = classes.iter().map(|class| class.bound).max();
    tokio::time::sleep(longest.unwrap_or_default() + BEYOND).await;
    Ok(gone)
}

/// At whichever issuer answers: edges may be cut off.
async fn log_out(system: &System, client: &Client) -> Result<()> {
    for _ in 0..10 {
        for issuer in &system.issuers {
            let answer = timeout(PATIENCE, client.at(issuer.addr()).logout()).await;
            if let Ok(Ok(answer)) = answer {
                answer.expect(204)?;
                return Ok(());
            }
        }
    }
    anyhow::bail!("no issuer signs anybody out")
}

fn feed_requests(system: &System) -> Result<Vec<u64>> {
    (0..EDGES).map(|edge| system.feed_requests(edge)).collect()
}

/// For each logout and location, when somebody there who looks into KV as often as it pays would have been told.
fn kv_alone(fault: Fault, system: &System, gone: &[Logout], seed: u64) -> Vec<Option<f64>> {
    let one = |logout: &Logout, location, mut chance: Chance| {
        if fault.leaves_nothing() {
            return None;
        }
        let first = logout.asked_at.plus(chance.between(&LOOKS));
        let told = system
            .kv
            .tells(location, kv::REVOCATIONS_HEAD, logout.asked_at, first)?;
        Some(told.since(logout.answered_at).as_secs_f64())
    };
    let all = gone
        .iter()
        .flat_map(|logout| (0..EDGES).map(move |location| (logout, location)));
    (0..)
        .zip(all)
        .map(|(number, (logout, location))| one(logout, location, Chance::new(seed).of(number)))
        .collect()
}

fn tally(class: &'static watch::Class, gone: &[Logout], survivors: &[Person]) -> Class {
    let mut tally = Class {
        name: class.name.to_owned(),
        bound: class.bound.as_secs_f64(),
        serves_stale: class.serves_stale,
        passed: Vec::new(),
        past_bound: 0,
        wrong_refusals: 0,
        stale: 0,
        unavailable: 0,
        answers: 0,
        feed_per_minute: Vec::new(),
    };
    let gone = gone.iter().map(|logout| (&logout.person, true));
    let all = gone.chain(survivors.iter().map(|person| (person, false)));
    for (person, is_gone) in all {
        let seen = person.watched.seen().iter();
        for trace in seen.filter(|seen| seen.class == class).map(Seen::trace) {
            if is_gone {
                let passed = trace.passed_for.unwrap_or_default();
                tally.passed.push(passed.as_secs_f64());
            }
            tally.past_bound += trace.past_bound;
            tally.wrong_refusals += trace.wrongly_refused;
            tally.stale += trace.stale;
            tally.unavailable += trace.unavailable;
            tally.answers += trace.answers;
            if let Some(wrong) = trace.first_wrong {
                eprintln!("{}: a wrong refusal:\n{wrong}", class.name);
            }
        }
    }
    tally
}
