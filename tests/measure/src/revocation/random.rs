//! `--faults`: things break at random, and nothing may be lost.

use std::time::Duration;

use anyhow::{Result, bail};
use harness::faults::{self, Plan};
use harness::watch::CLASSES;

use super::{EDGES, ISSUERS};

pub(super) async fn run(seed: u64, time: Duration) -> Result<()> {
    let plan = Plan {
        seed,
        time,
        episode: Duration::from_secs(10)..=Duration::from_secs(40),
        kv_lag: Duration::ZERO..=Duration::from_secs(60),
        // Routes that serve when they are stale promise nothing while both ways are gone.
        classes: CLASSES.get(..2).unwrap_or_default(),
    };
    let stack = plan.stack().edges(EDGES).issuers(ISSUERS);
    let system = stack.start().await?;
    let counts = faults::run(&system, &plan, |line| eprintln!("{line}")).await?;
    println!("{counts}");
    if let Some(wrong) = &counts.first_wrong {
        eprintln!("the first wrong refusal:\n{wrong}");
    }
    if !counts.is_good() {
        bail!("a session was let in past its bound, not refused in time, or wrongly refused");
    }
    Ok(())
}
