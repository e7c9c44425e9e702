//! Breaks a stack at random, for a while, and watches whether anything is lost.
//!
//! Episode by episode: parts are killed or frozen and links cut or stalled while people sign in and out; then all is
//! mended, and every edge must refuse everybody whose sign-out was answered, and let in everybody else.

mod counts;
mod crowd;
mod episode;
mod striker;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::chance::Chance;
use crate::system::{Builder, System};
use crate::wait::until;
use crate::watch::{self, Class, Watch};
use crowd::Crowd;
use episode::{Episode, Size};
use striker::Striker;

pub use counts::Counts;

/// After all is mended, an edge may take the bound of a route to hear of it, and this more: to give up a call that hangs
/// (2 s), to leave a failed issuer alone (1 s), to wait for a leader (5 s).
const SLACK: Duration = Duration::from_secs(8);

/// So long people may be turned away while nothing is broken.
const ARRIVAL: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What breaks, and when, follows from this.
    pub seed: u64,
    /// No episode begins later than this.
    pub time: Duration,
    /// How long something is broken.
    pub episode: RangeInclusive<Duration>,
    /// How late writes to KV show.
    pub kv_lag: RangeInclusive<Duration>,
    /// What is asked for; each class is to refuse what it does not know enough of.
    pub classes: &'static [Class],
}

impl Plan {
    /// The stack that the plan is for, to be completed.
    pub fn stack(&self) -> Builder {
        System::builder()
            .processes()
            .routes(watch::routes(self.classes))
            .kv_lag(self.kv_lag.clone(), self.seed)
            .setting("MAX_CONCURRENT_SESSIONS", "1000")
    }

    /// The narrowest bound first.
    fn by_bound(&self) -> Vec<&'static Class> {
        let mut classes: Vec<_> = self.classes.iter().collect();
        classes.sort_by_key(|class| class.bound);
        classes
    }
}

/// Carries the plan out. `tell` hears of each episode.
///
/// # Errors
/// A part does not come up again.
pub async fn run(system: &System, plan: &Plan, tell: impl Fn(&str)) -> Result<Counts> {
    let mut counts = Counts::new(plan);
    let chance = Chance::new(plan.seed);
    let size = Size {
        issuers: system.issuers.len(),
        edges: system.edges.len(),
    };
    let watch = Watch::new(system, plan.classes);
    let mut crowd = Crowd::new(system, watch, chance.of(0));
    let mut striker = Striker::new(system);
    crowd.gather(&mut counts, ARRIVAL).await?;
    let started = Instant::now();
    for number in 1.. {
        let episode = Episode::draw(chance.of(number), &plan.episode, size);
        tell(&format!("episode {number}: {episode:?}"));
        let (mut blows, mut people) = (Counts::default(), Counts::default());
        tokio::select! {
            struck = striker.strike(&episode, &mut blows) => struck?,
            stopped = crowd.come_and_go(&mut people) => stopped?,
        }
        counts.add_up(&blows);
        counts.add_up(&people);
        striker.mend().await?;
        settle(&mut crowd, plan, &mut counts, &tell).await?;
        if started.elapsed() >= plan.time {
            break;
        }
    }
    counts.time = started.elapsed();
    crowd.disperse(&mut counts);
    Ok(counts)
}

/// Waits until every edge answers as it should; each class has its own bound and [`SLACK`] for that.
async fn settle(
    crowd: &mut Crowd<'_>,
    plan: &Plan,
    counts: &mut Counts,
    tell: &impl Fn(&str),
) -> Result<()> {
    let mended = Instant::now();
    // Whoever is answered only now has ended only now: the time for edges to hear of it begins after this.
    crowd.let_go(counts, mended + SLACK).await?;
    crowd.hurry();
    let (asked, mut took) = (Instant::now(), Vec::new());
    for class in plan.by_bound() {
        let left = (class.bound + SLACK).saturating_sub(asked.elapsed());
        let what = format!("the edges to settle on {} routes", class.name);
        let settled = until(&what, left, async || crowd.open(class, mended) == 0);
        if settled.await.is_err() {
            counts.unsettled += crowd.open(class, mended);
        }
        took.push(format!("{} {:.1?}", class.name, asked.elapsed()));
    }
    let (gone, took) = (counts.logouts, took.join(", "));
    tell(&format!("mended; {gone} are gone, settled after: {took}"));
    crowd.forget_the_oldest(counts);
    crowd.gather(counts, ARRIVAL).await
}
