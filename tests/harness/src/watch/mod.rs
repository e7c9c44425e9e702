//! Asks every edge, for every session, on every class of route, over and over, and remembers what came.
//!
//! A session that was signed out is asked for more often until it is refused, and less often from then on; what was
//! still let in after that, and live ones that were not, can be read from its traces.
//!
//! Nothing asks in step: pauses are drawn anew each time, and a [`Steady`] load of live sessions comes at its own times.
//! Else the requests that follow a sign-out would themselves decide when an edge renews what it knows.

mod class;
mod lane;
mod steady;
mod trace;
mod verdict;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use shared::cookie;
use tokio::sync::watch;

use crate::chance::Chance;
use crate::system::background::Task;
use crate::system::{Client, System};
use lane::Lane;

pub use class::{CLASSES, Class, routes};
pub use steady::{Steady, gap};
pub use trace::Trace;
pub use verdict::Verdict;

/// What happened to a session, as far as whoever ends it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Nobody has asked for its end.
    #[default]
    Alive,
    /// Its end was asked for, and not yet answered: it may be let in or not.
    Ending,
    /// The answer that it has ended arrived then.
    Ended(Instant),
}

/// A view of every edge, or of some.
#[derive(Debug)]
pub struct Watch {
    places: Vec<Place>,
    authority: String,
    chance: Chance,
    /// How many draw from `chance` by now.
    drawers: AtomicU64,
}

/// An edge and a class of routes.
#[derive(Clone, Debug)]
struct Place {
    edge: usize,
    class: &'static Class,
    lane: Arc<Lane>,
}

/// A session that is being asked for, until this is dropped.
#[derive(Debug)]
pub struct Watched {
    state: watch::Sender<State>,
    traces: Vec<Seen>,
    _tasks: Vec<Task>,
}

/// What came at one edge, for one class.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which edge.
    pub edge: usize,
    /// Which class.
    pub class: &'static Class,
    trace: Arc<Mutex<Trace>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    life: Life,
    /// Changes when all are to be asked at once.
    hurry: u64,
}

impl Watch {
    /// Begins with no session, at every edge. The routes of the system are to be those of [`routes`].
    pub fn new(system: &System, classes: &'static [Class]) -> Self {
        Self::at(system, 0..system.edges.len(), classes, Chance::new(0))
    }

    /// The same for some of the edges; the times of requests follow from `chance`.
    pub fn at(
        system: &System,
        edges: Range<usize>,
        classes: &'static [Class],
        chance: Chance,
    ) -> Self {
        let chosen = system.edges.iter().enumerate();
        let chosen = chosen.filter(|(index, _)| edges.contains(index));
        let places = chosen.flat_map(|(edge, running)| {
            classes.iter().map(move |class| Place {
                edge,
                class,
                lane: Arc::new(Lane::new(running.addr())),
            })
        });
        let site = system.public_url();
        let authority = site.split_once("://").map_or(site, |(_, rest)| rest);
        Self {
            places: places.collect(),
            authority: authority.to_owned(),
            chance,
            drawers: AtomicU64::new(0),
        }
    }

    /// Asks for the session of `client` from now on, with the access token that it has now.
    ///
    /// # Errors
    /// It has none.
    pub fn session(&self, client: &Client) -> Result<Watched> {
        let (state, seen) = watch::channel(State::default());
        let (mut traces, mut tasks) = (Vec::new(), Vec::new());
        for place in &self.places {
            let trace = Seen::nothing(place);
            let asker = Asker {
                lane: place.lane.clone(),
                class: place.class,
                request: self.request(place.class, client)?,
                trace: trace.trace.clone(),
                chance: self.own_chance(),
            };
            traces.push(trace);
            tasks.push(Task::spawn(asker.run(seen.clone()))?);
        }
        Ok(Watched {
            state,
            traces,
            _tasks: tasks,
        })
    }

    fn request(&self, class: &Class, client: &Client) -> Result<String> {
        let access = client
            .cookie(cookie::ACCESS)
            .context("a client without an access token is not signed in")?;
        Ok(class.request(&self.authority, &access))
    }

    /// One that nobody else draws from.
    fn own_chance(&self) -> Chance {
        self.chance.of(self.drawers.fetch_add(1, Ordering::Relaxed))
    }
}

impl Watched {
    /// Its end is about to be asked for. Call it before the request goes out.
    pub fn ending(&self) {
        self.state.send_modify(|state| state.life = Life::Ending);
    }

    /// The answer that it has ended has arrived just now.
    pub fn ended(&self) -> Instant {
        let now = Instant::now();
        self.state
            .send_modify(|state| state.life = Life::Ended(now));
        now
    }

    /// Asks everywhere at once.
    pub fn hurry(&self) {
        self.state.send_modify(|state| state.hurry += 1);
    }

    /// What is known of it.
    pub fn life(&self) -> Life {
        self.state.borrow().life
    }

    /// What came so far, by edge and class.
    pub fn seen(&self) -> &[Seen] {
        &self.traces
    }
}

impl Seen {
    fn nothing(place: &Place) -> Self {
        Self {
            edge: place.edge,
            class: place.class,
            trace: Arc::default(),
        }
    }

    /// What came so far.
    pub fn trace(&self) -> Trace {
        self.lock().clone()
    }

    /// Asks what came so far, without a copy.
    pub fn is(&self, so: impl FnOnce(&Trace) -> bool) -> bool {
        so(&self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for one session at one edge on one class of route.
#[derive(Debug)]
struct Asker {
    lane: Arc<Lane>,
    class: &'static Class,
    request: String,
    trace: Arc<Mutex<Trace>>,
    chance: Chance,
}

impl Asker {
    async fn run(mut self, mut state: watch::Receiver<State>) {
        let mut pause = self.part_of(self.class.alive);
        loop {
            match tokio::time::timeout(pause, state.changed()).await {
                Ok(Err(_dropped)) => return,
                Ok(Ok(())) => tokio::time::sleep(self.part_of(self.class.until_refused)).await,
                Err(_elapsed) => {}
            }
            let reply = self.lane.ask(self.request.as_bytes()).await;
            let life = state.borrow().life;
            let longest = {
                let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
                trace.note(reply, life, self.class.bound);
                self.class.pause(life, &trace)
            };
            pause = longest / 2 + self.part_of(longest / 2);
        }
    }

    /// Any part of a time, so that nothing is asked in flocks, nor in step with what an edge does by itself.
    fn part_of(&mut self, time: Duration) -> Duration {
        self.chance.between(&(Duration::ZERO..=time))
    }
}
