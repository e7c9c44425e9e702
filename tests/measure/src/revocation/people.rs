//! Those who are signed in and signed out, and are asked for at every edge meanwhile.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use harness::chance::Chance;
use harness::system::{ADA, BOB, Client, System};
use harness::wait::until;
use harness::watch::{Class, Seen, Verdict, Watch, Watched, gap};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::open::Open;

/// So many sign in at once: an issuer hashes as many passwords at a time as there are processors.
const AT_ONCE: usize = 4;
/// A cold edge has to fetch keys and revocations, and KV may be late with both.
const WARM_UP: Duration = Duration::from_secs(90);
/// How long one issuer may take to sign somebody out; then another is asked, and its answer counts. Long enough that only a
/// frozen one takes longer: one that is slow has done it before it is asked again, and the dead would seem to pass for less.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often all issuers are asked in vain before that is an error.
const TRIES: usize = 10;
/// Where everybody was asked for and not all were answered as they should be, they are asked for again after this.
const AGAIN: Duration = Duration::from_secs(3);

/// A session, and what came for it at the edges of each group.
#[derive(Debug)]
pub(super) struct Person {
    client: Client,
    watched: Vec<Watched>,
    pub(super) open: Vec<Open>,
}

/// A session that was signed out.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) person: Person,
    /// When that was asked for.
    pub(super) asked_at: Instant,
    /// When it was answered with success.
    pub(super) answered_at: Instant,
}

impl Person {
    /// What came for the session so far.
    pub(super) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.watched.iter().flat_map(Watched::seen)
    }

    /// What the session is asked for with.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    fn gone_since(self, asked_at: Instant) -> Gone {
        for watched in &self.watched {
            watched.ended();
        }
        Gone {
            person: self,
            asked_at,
            answered_at: Instant::now(),
        }
    }

    fn hurry(&self) {
        self.watched.iter().for_each(Watched::hurry);
    }
}

/// So many sign in, and every edge has let each of them in.
///
/// # Errors
/// It has not in time.
pub(super) async fn sign_in(
    system: &System,
    watches: &[Watch],
    count: usize,
) -> Result<Vec<Person>> {
    let (mut under_way, mut people) = (JoinSet::new(), Vec::new());
    for number in 0..count {
        if number >= AT_ONCE {
            people.extend(arrived(&mut under_way, watches).await?);
        }
        let account = if number % 2 == 0 { ADA } else { BOB };
        let client = system.client_of(number % system.edges.len())?;
        under_way.spawn(async move {
            client.sign_in(&account).await?.expect(200)?;
            anyhow::Ok(client)
        });
    }
    while let Some(person) = arrived(&mut under_way, watches).await? {
        people.push(person);
    }
    let begun = Instant::now();
    let accepted = Verdict::Accepted;
    await_verdict(&people, accepted, begun, WARM_UP, |_| true).await;
    let known = people
        .iter()
        .flat_map(Person::seen)
        .all(|seen| seen.is(|trace| trace.ends_with(accepted, begun)));
    anyhow::ensure!(
        known,
        "not every edge lets in everybody within {WARM_UP:?}, and nothing is broken"
    );
    Ok(people)
}

async fn arrived(
    under_way: &mut JoinSet<Result<Client>>,
    watches: &[Watch],
) -> Result<Option<Person>> {
    let Some(client) = under_way.join_next().await else {
        return Ok(None);
    };
    let client = client.context("a sign-in has panicked")??;
    let watched = watches.iter().map(|watch| watch.session(&client));
    Ok(Some(Person {
        watched: watched.collect::<Result<_>>()?,
        client,
        open: Vec::new(),
    }))
}

/// Asks for `people` everywhere until, on routes of the classes that `counts` names, every edge has given the answer
/// `verdict` to a request that was sent after `since`; or until `limit` is over. See [`open`] for what came of it.
pub(super) async fn await_verdict<'a>(
    people: impl IntoIterator<Item = &'a Person> + Clone,
    verdict: Verdict,
    since: Instant,
    limit: Duration,
    counts: impl Fn(&Class) -> bool,
) {
    let is_open = |person: &Person| {
        let mut seen = person.seen().filter(|seen| counts(seen.class));
        seen.any(|seen| !seen.is(|trace| trace.ends_with(verdict, since)))
    };
    let mut asked = None::<Instant>;
    let awaited = until("the right answers", limit, || {
        let mut open = people.clone().into_iter().filter(|person| is_open(person));
        if asked.is_some_and(|at| at.elapsed() < AGAIN) {
            return std::future::ready(open.next().is_none());
        }
        asked = Some(Instant::now());
        std::future::ready(open.map(Person::hurry).count() == 0)
    });
    // Who is still missing can be counted.
    let _ = awaited.await;
}

/// In how many places, on routes of `class`, the last answer to a request that was sent after `since` was not `verdict`.
pub(super) fn open<'a>(
    people: impl IntoIterator<Item = &'a Person>,
    verdict: Verdict,
    since: Instant,
    class: &Class,
) -> usize {
    let seen = people.into_iter().flat_map(Person::seen);
    seen.filter(|seen| seen.class == class)
        .filter(|seen| !seen.is(|trace| trace.ends_with(verdict, since)))
        .count()
}

/// They are signed out one by one, at random moments `mean` apart on average, whether or not the one before was answered.
///
/// # Errors
/// No issuer does it.
pub(super) async fn sign_out(
    system: &System,
    people: Vec<Person>,
    mean: Duration,
    mut chance: Chance,
) -> Result<Vec<Gone>> {
    let issuers: Vec<SocketAddr> = system.issuers.iter().map(|issuer| issuer.addr()).collect();
    let (mut under_way, mut next) = (JoinSet::new(), Instant::now());
    for person in people {
        next += gap(&mut chance, mean);
        tokio::time::sleep_until(next.into()).await;
        let mut issuers = issuers.clone();
        let first = chance.below(issuers.len());
        issuers.rotate_left(first);
        under_way.spawn(leave(person, issuers));
    }
    let mut gone = Vec::new();
    while let Some(left) = under_way.join_next().await {
        gone.push(left.context("a sign-out has panicked")??);
    }
    Ok(gone)
}

/// At whichever issuer answers: edges may be cut off, and learn nothing by being asked.
async fn leave(person: Person, issuers: Vec<SocketAddr>) -> Result<Gone> {
    let asked_at = Instant::now();
    person.watched.iter().for_each(Watched::ending);
    let mut last = String::new();
    for issuer in issuers.iter().cycle().take(issuers.len() * TRIES) {
        match timeout(PATIENCE, person.client.at(*issuer).logout()).await {
            Ok(Ok(answer)) if answer.status() == 204 => return Ok(person.gone_since(asked_at)),
            Ok(Ok(answer)) => last = answer.to_string(),
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_elapsed) => last = format!("no answer within {PATIENCE:?}"),
        }
    }
    anyhow::bail!("no issuer signs anybody out; the last said: {last}")
}
