//! What commands print: text for people, or JSON (`--json`).

use serde_json::{Value, json};
use shared::time::UnixMillis;

use super::CliError;
use crate::account::import::ImportError;
use crate::session::Session;
use crate::store::users::{Access, User};
use crate::time::rfc3339;

/// How to print.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Prints the one or the other.
    pub(super) fn say(self, json: &Value, text: impl FnOnce() -> String) {
        if self.json {
            println!("{json}");
        } else {
            println!("{}", text());
        }
    }

    /// Prints lines, or one document of JSON.
    pub(super) fn lines(self, lines: &[String], json: &Value) {
        if self.json {
            println!("{json}");
        } else {
            lines.iter().for_each(|line| println!("{line}"));
        }
    }

    /// It is done, and there is nothing more to say.
    pub(super) fn done(self) {
        if self.json {
            println!("{}", json!({"ok": true}));
        }
    }

    /// A user who was changed, of whom a person needs to hear nothing.
    pub(super) fn changed(self, user: &User) {
        if self.json {
            println!("{}", json!({"user": user_json(user)}));
        }
    }

    /// A user's roles.
    pub(super) fn roles(self, user: &User) {
        self.say(&json!({"user": user_json(user)}), || user.roles.join(","));
    }

    /// How many sessions were ended.
    pub(super) fn ended(self, ended: u64) {
        self.say(&json!({ "ended": ended }), || format!("{ended} ended"));
    }

    /// A list of users.
    pub(super) fn users(self, users: &[User]) {
        if self.json {
            let list: Vec<Value> = users.iter().map(user_json).collect();
            println!("{}", json!({ "users": list }));
            return;
        }
        for user in users {
            let disabled = match user.access {
                Access::Enabled => "",
                Access::Disabled { .. } => "  disabled",
            };
            let roles = user.roles.join(",");
            println!(
                "{}  {}  {:?}  {roles}{disabled}",
                user.id, user.email, user.name
            );
        }
    }

    /// A list of live sessions.
    pub(super) fn sessions(self, sessions: &[Session], now: UnixMillis) {
        if self.json {
            let list: Vec<Value> = sessions.iter().map(session_json).collect();
            println!("{}", json!({ "sessions": list }));
            return;
        }
        for session in sessions {
            let ip = session
                .ip
                .map_or_else(|| "-".to_owned(), |ip| ip.to_string());
            let minutes = now.since(session.last_seen_at).as_secs() / 60;
            println!(
                "{}  {ip}  {}  seen {minutes} min ago  {:?}",
                session.id, session.provider, session.user_agent
            );
        }
    }

    /// What went wrong, on standard error.
    pub(super) fn error(self, error: &CliError) {
        if !self.json {
            eprintln!("{error}");
            return;
        }
        let mut json = json!({"error": error.to_string()});
        if let CliError::Import(ImportError::Lines(bad)) = error {
            let lines = bad.named.iter();
            let lines = lines.map(|bad| json!({"line": bad.line, "problem": bad.problem}));
            json = json!({
                "error": format!("nothing was imported: {} bad lines", bad.count),
                "lines": lines.collect::<Vec<_>>(),
            });
        }
        eprintln!("{json}");
    }
}

fn user_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "roles": user.roles,
        "created_at": rfc3339(user.created_at),
        "disabled_at": match user.access {
            Access::Enabled => None,
            Access::Disabled { since } => rfc3339(since),
        },
    })
}

fn session_json(session: &Session) -> Value {
    json!({
        "id": session.id,
        "created_at": rfc3339(session.created_at),
        "last_seen_at": rfc3339(session.last_seen_at),
        "expires_at": rfc3339(session.expires_at),
        "ip": session.ip,
        "user_agent": session.user_agent,
        "provider": session.provider,
    })
}
