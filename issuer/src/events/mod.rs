//! The security log: who did what to whom, from where and why (OWASP ASVS 5.0, V16).
//!
//! It is append-only, by a trigger. It holds ids and words of the issuer's own: no token, no password, no e-mail address, no
//! name. Two columns are about a person and no id, the address and the user agent, and these can be forgotten: [`forget`].
//!
//! An event is written in the transaction of what it tells of, so that there is neither one without the other.
//!
//! ```text
//! let event = by.event(Kind::SessionEnded).of(user).in_session(id);
//! events::record(&mut tx, &event.with("reason", reason.as_str()), now).await?;
//! ```

mod cursor;
mod detail;
mod kind;
mod line;
mod plain;

use std::net::IpAddr;

use shared::id::{ClientId, SessionId, UserId};
use shared::time::UnixMillis;
use sqlx::PgConnection;

use crate::store::events::NewRow;
use crate::store::{StoreError, events as rows};

pub use crate::store::event_weeks::{drop_before, make as make_weeks};
pub use crate::store::events::{Filter, Place, Walk, forget};
pub use cursor::Cursor;
pub use detail::{Detail, Value};
pub use kind::Kind;
pub use line::{Line, Who, moment, page};
pub use plain::plain;

/// The most characters of a user agent that are kept.
pub const MAX_USER_AGENT: usize = 512;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// This user: the one whom it is done to, or another, such as an administrator.
    User(UserId),
    /// The operator, at the command line.
    Cli,
    /// This service, a client that acts for itself.
    Service(ClientId),
    /// One of our edges, for nobody in particular.
    Edge,
    /// An identity provider.
    Provider,
    /// The issuer itself, because it was time.
    System,
    /// Nobody who has proved who they are: a wrong password, a token that was used before.
    Unknown,
}

impl Actor {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Service(_) => "service",
            Self::Cli => "cli",
            Self::Edge => "edge",
            Self::Provider => "provider",
            Self::System => "system",
            Self::Unknown => "unknown",
        }
    }

    const fn id(&self) -> Option<&[u8; 16]> {
        match self {
            Self::User(id) => Some(id.as_bytes()),
            Self::Service(id) => Some(id.as_bytes()),
            Self::Cli | Self::Edge | Self::Provider | Self::System | Self::Unknown => None,
        }
    }
}

/// Who does something, from where, with what: what all events of one request have in common.
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
    pub const CLI: Self = Self::here(Actor::Cli);

    /// The issuer itself.
    pub const SYSTEM: Self = Self::here(Actor::System);

    const fn here(actor: Actor) -> Self {
        Self {
            actor,
            ip: None,
            user_agent: "",
        }
    }
}

impl<'a> By<'a> {
    /// The same from the same place, done by somebody else.
    #[must_use]
    pub const fn done_by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// What they do.
    #[must_use]
    pub const fn event(self, kind: Kind) -> Event<'a> {
        Event {
            kind,
            by: self,
            user: None,
            session: None,
            detail: Detail::NONE,
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What.
    pub kind: Kind,
    /// Who did it, from where.
    pub by: By<'a>,
    /// To whom.
    pub user: Option<UserId>,
    /// In which session.
    pub session: Option<SessionId>,
    /// Why, and what else there is to say.
    pub detail: Detail,
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

    /// One thing more: see [`Detail::with`].
    #[must_use]
    pub fn with(self, name: &'static str, value: impl Into<Value>) -> Self {
        Self {
            detail: self.detail.with(name, value),
            ..self
        }
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
    let row = NewRow {
        kind: event.kind.as_str(),
        actor: event.by.actor.as_str(),
        actor_id: event.by.actor.id(),
        user: event.user,
        session: event.session,
        ip: event.by.ip,
        user_agent: &plain(event.by.user_agent, MAX_USER_AGENT),
        detail: event.detail.to_json(),
    };
    rows::insert(conn, &row, now).await
}
