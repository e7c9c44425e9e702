//! `issuer keys …`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::CliError;
use crate::fault::Fault;
use crate::services::Services;
use crate::store::events::{Event, Kind};
use crate::time::rfc3339;
use crate::token::keyring::Listed;

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// List them, oldest first: next, active, retired, or unreadable with the present ENCRYPTION_KEY
    List(Output),
    /// Make a successor now; it signs once every edge knows it
    Rotate(Output),
    /// Withdraw a key, where it may have been stolen: tokens that it signed are refused, and renewed where the session is good
    Revoke {
        /// Its name, as `list` shows it
        kid: String,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Args)]
pub(super) struct Output {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: KeysCommand, services: &Services) -> Result<(), CliError> {
    let (keyring, store, now) = (&services.keyring, &services.store, services.clock.now());
    match command {
        KeysCommand::List(output) => {
            let keys = keyring.list(store, now).await.map_err(Fault::from)?;
            let lines = keys.iter().map(line).collect();
            output.print(lines, json!(keys));
        }
        KeysCommand::Rotate(output) => {
            let from = Event::new(Kind::KeyCreated);
            let rotated = keyring.rotate(store, &from, now).await;
            let (kid, activates_at) = rotated.map_err(Fault::from)?;
            let minutes = activates_at.since(now).as_secs() / 60;
            output.print(
                vec![format!("{kid} signs in {minutes} minutes")],
                json!({ "kid": kid, "activates_at": rfc3339(activates_at) }),
            );
        }
        KeysCommand::Revoke { kid, output } => {
            let from = Event::new(Kind::KeyRevoked);
            let revoked = keyring.revoke(store, &kid, &from, now).await;
            let created = revoked.map_err(Fault::from)?;
            let signs = created.iter().map(|created| format!("{created} signs now"));
            let lines = [format!("{kid} is withdrawn")].into_iter().chain(signs);
            output.print(
                lines.collect(),
                json!({ "revoked": kid, "created": created }),
            );
        }
    }
    Ok(())
}

impl Output {
    fn print(&self, lines: Vec<String>, value: Value) {
        if self.json {
            println!("{value}");
        } else {
            lines.iter().for_each(|line| println!("{line}"));
        }
    }
}

fn line(key: &Listed) -> String {
    let state = key.state.as_str();
    let mut line = format!("{}  {}  {state}", key.kid, key.algorithm);
    let times = [
        ("from", &key.activates_at),
        ("to", &key.retires_at),
        ("gone", &key.gone_at),
    ];
    for (word, time) in times {
        if let Some(time) = time {
            line.push_str(&format!("  {word} {time}"));
        }
    }
    line
}
