//! `issuer events …`.

use std::io::{BufWriter, Write as _};

use clap::{Args, Subcommand};
use shared::id::UserId;
use shared::time::UnixMillis;

use super::CliError;
use crate::events::{self, By, Filter, Kind, Walk};
use crate::services::Services;

/// Events that are read at once.
const BATCH: u32 = 1000;

#[derive(Subcommand)]
pub(super) enum EventsCommand {
    /// Show the newest events, the newest first, one JSON object a line
    List {
        #[command(flatten)]
        which: Which,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Write all events, the oldest first, one JSON object a line
    Export {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
pub(super) struct Which {
    /// From this moment on: RFC 3339, such as 2026-11-28T18:00:00Z, or how long ago, such as 7d
    #[arg(long)]
    since: Option<String>,
    /// Before this moment; without it, until now
    #[arg(long)]
    until: Option<String>,
    /// What was done to this user, by id
    #[arg(long, allow_hyphen_values = true)]
    user: Option<UserId>,
    /// What this user did, by id
    #[arg(long, allow_hyphen_values = true)]
    actor: Option<UserId>,
    /// What happened, such as sign_in
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
}

pub(super) async fn run(command: EventsCommand, services: &Services) -> Result<(), CliError> {
    let now = services.clock.now();
    match command {
        EventsCommand::List { which, limit } => list(&which.filter(now)?, limit, services).await,
        EventsCommand::Export { which } => {
            let mut filter = which.filter(now)?;
            // It has an end, whatever is written meanwhile.
            filter.until = filter.until.or(Some(now));
            let count = export(&filter, services).await?;
            let event = By::CLI.event(Kind::EventsExported).with("events", count);
            let mut conn = services.store.conn().await?;
            Ok(events::record(&mut conn, &event, services.clock.now()).await?)
        }
    }
}

async fn list(filter: &Filter, limit: u32, services: &Services) -> Result<(), CliError> {
    let (mut left, mut place) = (limit, None);
    let mut out = BufWriter::new(std::io::stdout().lock());
    while left > 0 {
        let mut conn = services.store.conn().await?;
        let lines = events::page(&mut conn, filter, Walk::Newest(place), left.min(BATCH)).await?;
        let Some(last) = lines.last() else { break };
        place = Some(last.place());
        left = left.saturating_sub(u32::try_from(lines.len()).unwrap_or(u32::MAX));
        write(&mut out, &lines)?;
    }
    Ok(out.flush()?)
}

/// Batch by batch, so that no lock outlasts one; how many events.
async fn export(filter: &Filter, services: &Services) -> Result<u64, CliError> {
    let (mut count, mut place) = (0, None);
    let mut out = BufWriter::new(std::io::stdout().lock());
    loop {
        let mut conn = services.store.conn().await?;
        let lines = events::page(&mut conn, filter, Walk::Oldest(place), BATCH).await?;
        drop(conn);
        let Some(last) = lines.last() else { break };
        place = Some(last.place());
        count += lines.len() as u64;
        write(&mut out, &lines)?;
    }
    out.flush()?;
    Ok(count)
}

fn write(out: &mut impl std::io::Write, lines: &[events::Line]) -> Result<(), CliError> {
    for line in lines {
        serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

impl Which {
    fn filter(&self, now: UnixMillis) -> Result<Filter, CliError> {
        let moment = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => moment(text, now)
                .map(Some)
                .ok_or_else(|| CliError::Moment(text.clone())),
        };
        Ok(Filter {
            user: self.user,
            actor: self.actor,
            kind: self.kind.map(|kind| kind.as_str().to_owned()),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
        })
    }
}

/// A moment, or how long before `now` it was.
fn moment(text: &str, now: UnixMillis) -> Option<UnixMillis> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Some(now.minus(ago));
    }
    events::moment(text)
}

fn kind(text: &str) -> Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("one of: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_or_an_age() {
        let now = UnixMillis::from_millis(1_764_000_000_000);
        let millis = |text| moment(text, now).map(UnixMillis::millis);
        assert_eq!(millis("1h"), Some(1_764_000_000_000 - 3_600_000));
        assert_eq!(millis("2025-11-24T16:00:00Z"), Some(1_764_000_000_000));
        assert_eq!(millis("yesterday"), None);
        assert!(kind("tea_made").unwrap_err().contains("sign_in,"));
    }
}
