//! People who sign in and out all the time, whatever breaks.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::time::timeout;

use super::Counts;
use crate::chance::Chance;
use crate::system::{ADA, BOB, Client, System};
use crate::watch::{Class, Verdict, Watch, Watched};

/// How many are signed in at once.
const SIZE: usize = 8;
/// How often somebody signs in or out.
const TURN: Duration = Duration::from_millis(500);
/// How long one call may take; after that it is made again.
const PATIENCE: Duration = Duration::from_secs(4);
/// Access tokens live a quarter of an hour. What has run out is refused for that, and proves nothing.
const MEMORY: Duration = Duration::from_secs(12 * 60);

#[derive(Debug)]
pub(super) struct Crowd<'a> {
    system: &'a System,
    watch: Watch,
    chance: Chance,
    present: VecDeque<Member>,
    /// Asked to be signed out, and not answered yet.
    leaving: VecDeque<Member>,
    gone: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    client: Client,
    watched: Watched,
    since: Instant,
}

impl<'a> Crowd<'a> {
    pub(super) const fn new(system: &'a System, watch: Watch, chance: Chance) -> Self {
        Self {
            system,
            watch,
            chance,
            present: VecDeque::new(),
            leaving: VecDeque::new(),
            gone: Vec::new(),
        }
    }

    /// All are there. Call it while nothing is broken: then nobody is turned away for as long as `patience`.
    ///
    /// # Errors
    /// Somebody was; it says why.
    pub(super) async fn gather(&mut self, counts: &mut Counts, patience: Duration) -> Result<()> {
        let (mut came_last, mut turns) = (Instant::now(), tokio::time::interval(TURN));
        while self.present.len() < SIZE {
            match self.sign_in(counts).await? {
                Ok(()) => came_last = Instant::now(),
                Err(reason) if came_last.elapsed() > patience => {
                    bail!("nobody can sign in for {patience:?}, and nothing is broken: {reason}");
                }
                Err(_) => drop(turns.tick().await),
            }
        }
        Ok(())
    }

    /// Signs in and out, for as long as it is let.
    pub(super) async fn come_and_go(&mut self, counts: &mut Counts) -> Result<()> {
        let mut turns = tokio::time::interval(TURN);
        loop {
            turns.tick().await;
            self.sign_out(counts).await?;
            if self.present.len() < SIZE {
                // Something is broken: the next turn tries again.
                let _ = self.sign_in(counts).await?;
            } else if let Some(member) = self.present.pop_front() {
                member.watched.ending();
                self.leaving.push_back(member);
            }
        }
    }

    /// Everybody who asked to leave has been answered.
    pub(super) async fn let_go(&mut self, counts: &mut Counts, deadline: Instant) -> Result<()> {
        while !self.leaving.is_empty() && Instant::now() < deadline {
            self.sign_out(counts).await?;
        }
        Ok(())
    }

    /// Asks once, somewhere. The inner result says whether somebody is here now, or why not.
    async fn sign_in(&mut self, counts: &mut Counts) -> Result<Result<(), String>> {
        let (addr, clock) = (self.anywhere(), self.system.clock().clone());
        let client = Client::new(addr, self.system.public_url(), clock)?;
        let account = self.chance.pick(&[ADA, BOB]).copied().unwrap_or(BOB);
        let since = Instant::now();
        match timeout(PATIENCE, client.sign_in(&account)).await {
            Ok(Ok(answer)) if answer.status() == 200 => {}
            Ok(Ok(answer)) => return Ok(Err(format!("{}: {}", answer.status(), answer.text()))),
            Ok(Err(error)) => return Ok(Err(format!("{error:#}"))),
            Err(_elapsed) => return Ok(Err(format!("no answer within {PATIENCE:?}"))),
        }
        counts.sessions += 1;
        self.present.push_back(Member {
            watched: self.watch.session(&client)?,
            client,
            since,
        });
        Ok(Ok(()))
    }

    /// Asks once more for each that was not answered. Who is being asked for stays in the list: this may be cancelled.
    async fn sign_out(&mut self, counts: &mut Counts) -> Result<()> {
        for _ in 0..self.leaving.len() {
            let addr = self.anywhere();
            let Some(member) = self.leaving.front() else {
                return Ok(());
            };
            let client = member.client.at(addr);
            let answer = timeout(PATIENCE, client.logout()).await;
            let answered = matches!(answer, Ok(Ok(answer)) if answer.status() == 204);
            self.leaving.rotate_left(1);
            if answered && let Some(member) = self.leaving.pop_back() {
                member.watched.ended();
                counts.logouts += 1;
                self.gone.push(member);
            }
        }
        Ok(())
    }

    /// An edge, or an issuer.
    fn anywhere(&mut self) -> SocketAddr {
        let (edges, issuers) = (&self.system.edges, &self.system.issuers);
        let place = self.chance.below(edges.len() + issuers.len());
        match edges.get(place) {
            Some(edge) => edge.addr(),
            None => issuers[place - edges.len()].addr(),
        }
    }

    /// At how many places, on routes of `class`, it is not so that since `moment` all who left are refused and all who are
    /// there let in.
    pub(super) fn open(&self, class: &Class, moment: Instant) -> usize {
        let open = |member: &Member, verdict: Verdict| {
            let seen = member.watched.seen().iter();
            seen.filter(|seen| seen.class == class)
                .filter(|seen| !seen.is(|trace| trace.ends_with(verdict, moment)))
                .count()
        };
        let gone = self.gone.iter();
        let gone = gone.map(|member| open(member, Verdict::Refused));
        let here = self.present.iter();
        let here = here.map(|member| open(member, Verdict::Accepted));
        gone.chain(here).sum()
    }

    /// Asks for everybody everywhere.
    pub(super) fn hurry(&self) {
        for member in self.present.iter().chain(&self.gone) {
            member.watched.hurry();
        }
    }

    /// Forgets those whose tokens run out soon, and counts what came for them.
    pub(super) fn forget_the_oldest(&mut self, counts: &mut Counts) {
        let old = |member: &mut Member| member.since.elapsed() > MEMORY;
        for member in self.gone.extract_if(.., old) {
            counts.add(member.watched.seen());
        }
        while self.present.front_mut().is_some_and(old) {
            if let Some(member) = self.present.pop_front() {
                counts.add(member.watched.seen());
            }
        }
    }

    /// Counts what came for everybody.
    pub(super) fn disperse(self, counts: &mut Counts) {
        for member in self.present.iter().chain(&self.leaving).chain(&self.gone) {
            counts.add(member.watched.seen());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::CLASSES;

    #[tokio::test]
    async fn whoever_waits_for_people_where_nobody_can_sign_in_is_told_so() -> Result<()> {
        let system = System::builder().edges(0).start().await?;
        system.issuers[0].stop().await?;
        let watch = Watch::new(&system, &CLASSES);
        let mut crowd = Crowd::new(&system, watch, Chance::new(1));
        let (mut counts, patience) = (Counts::default(), Duration::from_millis(100));
        let waited = crowd.gather(&mut counts, patience).await;
        let told = waited.unwrap_err().to_string();
        assert!(told.contains("nobody can sign in for 100ms"), "{told}");
        assert_eq!(counts.sessions, 0);
        system.issuers[0].restart().await?;
        crowd.gather(&mut counts, Duration::from_secs(20)).await?;
        assert_eq!(counts.sessions, SIZE as u64);
        Ok(())
    }
}
