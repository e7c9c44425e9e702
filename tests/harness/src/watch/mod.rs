//! Asks every edge, for every session, on every class of route, over and over, and remembers what came.
//!
//! A session that was signed out is asked for more often until it is refused, and less often from then on; what was
//! still let in after that, and live ones that were not, can be read from its traces.

mod class;
mod lane;
mod trace;
mod verdict;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use shared::cookie;
use tokio::sync::watch;

use crate::system::background::Task;
use crate::system::{Client, System};
use lane::Lane;

pub use class::{CLASSES, Class, routes};
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

/// A view of every edge.
#[derive(Debug)]
pub struct Watch {
    lanes: Vec<Arc<Lane>>,
    classes: &'static [Class],
    authority: String,
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
    /// Begins with no session. The routes of the system are to be those of [`routes`].
    pub fn new(system: &System, classes: &'static [Class]) -> Self {
        let lanes = system.edges.iter().flat_map(|edge| {
            classes
                .iter()
                .map(|_| Arc::new(Lane::new(edge.addr())))
                .collect::<Vec<_>>()
        });
        let site = system.public_url();
        let authority = site.split_once("://").map_or(site, |(_, rest)| rest);
        Self {
            lanes: lanes.collect(),
            classes,
            authority: authority.to_owned(),
        }
    }

    /// Asks for the session of `client` from now on, with the access token that it has now.
    ///
    /// # Errors
    /// It has none.
    pub fn session(&self, client: &Client) -> Result<Watched> {
        let access = client
            .cookie(cookie::ACCESS)
            .context("a client without an access token is not signed in")?;
        let (state, seen) = watch::channel(State::default());
        let (mut traces, mut tasks) = (Vec::new(), Vec::new());
        for (index, lane) in self.lanes.iter().enumerate() {
            let (edge, place) = (index / self.classes.len(), index % self.classes.len());
            let class = self.classes.get(place).context("a lane without a class")?;
            let request = class.request(&self.authority, &access);
            let trace = Arc::new(Mutex::new(Trace::default()));
            traces.push(Seen {
                edge,
                class,
                trace: trace.clone(),
            });
            let asker = Asker {
                lane: lane.clone(),
                class,
                request,
                trace,
                share: (index, self.lanes.len()),
            };
            tasks.push(Task::spawn(asker.run(seen.clone()))?);
        }
        Ok(Watched {
            state,
            traces,
            _tasks: tasks,
        })
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
    /// Which of how many this is.
    share: (usize, usize),
}

impl Asker {
    async fn run(self, mut state: watch::Receiver<State>) {
        let mut pause = self.staggered(self.class.alive);
        loop {
            match tokio::time::timeout(pause, state.changed()).await {
                Ok(Err(_dropped)) => return,
                Ok(Ok(())) => tokio::time::sleep(self.staggered(self.class.until_refused)).await,
                Err(_elapsed) => {}
            }
            let reply = self.lane.ask(self.request.as_bytes()).await;
            let life = state.borrow().life;
            let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
            trace.note(reply, life, self.class.bound);
            pause = self.class.pause(life, &trace);
        }
    }

    /// This one's part of a time over which all are spread, so that they do not ask in flocks.
    fn staggered(&self, time: Duration) -> Duration {
        let part = |number| u32::try_from(number).unwrap_or(1);
        time * part(self.share.0) / part(self.share.1)
    }
}
