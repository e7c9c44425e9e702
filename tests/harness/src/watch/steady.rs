//! A load that goes on whatever happens to sessions.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::lane::Lane;
use super::{Life, Place, Seen, Watch};
use crate::chance::Chance;
use crate::system::Client;
use crate::system::background::Task;

/// Requests of live sessions, until this is dropped.
#[derive(Debug)]
pub struct Steady {
    traces: Vec<Seen>,
    _tasks: Vec<Task>,
}

impl Steady {
    /// What came so far, by edge and class.
    pub fn seen(&self) -> &[Seen] {
        &self.traces
    }
}

impl Watch {
    /// From now on asks at every edge for the sessions of `clients`, which nobody ends, `per_second` times on average;
    /// the classes share that. Requests come one by one at random (a Poisson process), over connections of their own.
    ///
    /// # Errors
    /// One of `clients` is not signed in.
    pub fn steady(&self, clients: &[Client], per_second: f64) -> Result<Steady> {
        let (mut traces, mut tasks) = (Vec::new(), Vec::new());
        for place in &self.places {
            let share = self.places.iter().filter(|other| other.edge == place.edge);
            let classes = u32::try_from(share.count()).unwrap_or(u32::MAX);
            let requests = clients
                .iter()
                .map(|client| self.request(place.class, client));
            let stream = Stream {
                place: Place {
                    lane: Arc::new(Lane::new(place.lane.addr())),
                    ..place.clone()
                },
                requests: requests.collect::<Result<_>>()?,
                mean: Duration::from_secs_f64(1.0 / per_second) * classes,
                chance: self.own_chance(),
                seen: Seen::nothing(place),
            };
            traces.push(stream.seen.clone());
            tasks.push(Task::spawn(stream.run())?);
        }
        Ok(Steady {
            traces,
            _tasks: tasks,
        })
    }
}

/// The part of the load that goes to one place.
struct Stream {
    place: Place,
    requests: Vec<String>,
    mean: Duration,
    chance: Chance,
    seen: Seen,
}

impl Stream {
    async fn run(mut self) {
        // Those that are under way end with this.
        let mut under_way = JoinSet::new();
        let mut next = Instant::now();
        loop {
            next += gap(&mut self.chance, self.mean);
            tokio::time::sleep_until(next.into()).await;
            while under_way.try_join_next().is_some() {}
            let Some(request) = self.chance.pick(&self.requests).cloned() else {
                return;
            };
            let (lane, seen) = (self.place.lane.clone(), self.seen.clone());
            let bound = self.place.class.bound;
            under_way.spawn(async move {
                let reply = lane.ask(request.as_bytes()).await;
                let mut trace = seen.trace.lock().unwrap_or_else(PoisonError::into_inner);
                trace.note(reply, Life::Alive, bound);
            });
        }
    }
}

/// The time until the next of events that come one by one at random, `mean` apart on average: an exponential draw.
pub fn gap(chance: &mut Chance, mean: Duration) -> Duration {
    // 53 bits, as many as an f64 holds, above 0 so that there is a logarithm.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let share = ((chance.number() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    mean.mul_f64(-share.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_follow_from_the_seed_and_are_spread_as_chance_is() {
        const COUNT: u32 = 10_000;
        let mean = Duration::from_millis(500);
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..COUNT).map(move |_| gap(&mut chance, mean))
        };
        assert!(draw(3).eq(draw(3)) && !draw(3).eq(draw(4)));
        let measured = draw(3).sum::<Duration>() / COUNT;
        assert!(
            (mean.mul_f64(0.95)..mean.mul_f64(1.05)).contains(&measured),
            "{measured:?}"
        );
        // A share of 1/e is longer than the mean, however long ago the last one was: nothing comes in step.
        let longer = draw(3).filter(|gap| *gap > mean).count();
        assert!((3_500..3_900).contains(&longer), "{longer}");
    }
}
