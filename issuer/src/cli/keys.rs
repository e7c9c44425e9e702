//! `issuer keys …`.

use clap::Subcommand;
use serde_json::json;

use super::CliError;
use super::output::Output;
use crate::events::By;
use crate::fault::Fault;
use crate::services::Services;
use crate::time::rfc3339;
use crate::token::keyring::Listed;

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// List them, oldest first: next, active, retired, or unreadable with the present ENCRYPTION_KEY
    List,
    /// Make a successor now; it signs once every edge knows it
    Rotate,
    /// Withdraw a key, where it may have been stolen: tokens that it signed are refused, and renewed where the session is good
    Revoke {
        /// Its name, as `list` shows it
        kid: String,
    },
}

pub(super) async fn run(
    command: KeysCommand,
    services: &Services,
    output: Output,
) -> Result<(), CliError> {
    let (keyring, store, now) = (&services.keyring, &services.store, services.clock.now());
    match command {
        KeysCommand::List => {
            let keys = keyring.list(store, now).await.map_err(Fault::from)?;
            let lines: Vec<String> = keys.iter().map(line).collect();
            output.lines(&lines, &json!(keys));
        }
        KeysCommand::Rotate => {
            let rotated = keyring.rotate(store, By::CLI, now).await;
            let (kid, activates_at) = rotated.map_err(Fault::from)?;
            let minutes = activates_at.since(now).as_secs() / 60;
            output.say(
                &json!({ "kid": kid, "activates_at": rfc3339(activates_at) }),
                || format!("{kid} signs in {minutes} minutes"),
            );
        }
        KeysCommand::Revoke { kid } => {
            let revoked = keyring.revoke(store, &kid, By::CLI, now).await;
            let created = revoked.map_err(Fault::from)?;
            let signs = created.iter().map(|created| format!("{created} signs now"));
            let lines = [format!("{kid} is withdrawn")].into_iter().chain(signs);
            let lines: Vec<String> = lines.collect();
            output.lines(&lines, &json!({ "revoked": kid, "created": created }));
        }
    }
    Ok(())
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
