//! The security log: who did what to whom, from where and why (OWASP ASVS 5.0, V16).

use std::fmt::Write as _;
use std::net::IpAddr;

use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use sqlx::PgConnection;

use crate::store::StoreError;
use crate::store::events as rows;

pub use crate::store::events::{Kind, forget};

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// This user.
    User(UserId),
    /// The operator, at the command line.
    Cli,
}

/// Who does something, from where, with what.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Who.
    pub actor: Actor,
    /// From where.
    pub ip: Option<IpAddr>,
    /// With what.
    pub user_agent: &'a str,
}

impl By<'_> {
    /// The operator, at the command line.
    pub const CLI: Self = Self {
        actor: Actor::Cli,
        ip: None,
        user_agent: "",
    };
}

impl<'a> By<'a> {
    /// What they do.
    #[must_use]
    pub fn event(self, kind: Kind) -> Event<'a> {
        let detail = match self.actor {
            Actor::User(id) => format!("by={id}"),
            Actor::Cli => "by=cli".to_owned(),
        };
        Event {
            kind,
            by: self,
            user: None,
            session: None,
            detail,
        }
    }

    /// For what ends sessions.
    #[must_use]
    pub const fn from(self) -> rows::Event<'a> {
        rows::Event {
            ip: self.ip,
            user_agent: self.user_agent,
            ..rows::Event::new(Kind::SessionEnded)
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    kind: Kind,
    by: By<'a>,
    user: Option<UserId>,
    session: Option<SessionId>,
    detail: String,
}

impl Event<'_> {
    /// To this user.
    #[must_use]
    pub fn of(self, user: UserId) -> Self {
        Self {
            user: Some(user),
            ..self
        }
    }

    /// In, or to, this session.
    #[must_use]
    pub fn in_session(self, session: SessionId) -> Self {
        Self {
            session: Some(session),
            ..self
        }
    }

    /// One thing more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &[String]) -> Self {
        let _ = write!(self.detail, " {name}={}", value.join(","));
        self
    }
}

/// Adds an event to the log.
///
/// # Errors
/// [`StoreError`]; the transaction is to be dropped then.
pub async fn record(
    conn: &mut PgConnection,
    event: &Event<'_>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let row = rows::Event {
        kind: event.kind,
        user: event.user,
        session: event.session,
        ip: event.by.ip,
        user_agent: event.by.user_agent,
        detail: &event.detail,
    };
    rows::record(conn, &row, now).await
}
