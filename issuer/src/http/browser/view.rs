//! Users and sessions as clients see them.

use serde::{Serialize, Serializer};
use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::device;
use crate::http::openapi::Id;
use crate::session::Session;
use crate::store::users::User;

/// The answer to signing in, refreshing, and asking who one is.
#[derive(Serialize, ToSchema)]
pub(super) struct Current<'a> {
    user: UserView<'a>,
    session: SessionView,
    access_expires_at: Moment,
}

impl<'a> Current<'a> {
    pub(super) fn new(user: &'a User, session: &Session, access_expires_at: UnixMillis) -> Self {
        Self {
            user: UserView {
                id: user.id,
                email: &user.email,
                name: &user.name,
                roles: &user.roles,
            },
            session: SessionView {
                id: session.id,
                created_at: Moment(session.created_at),
                expires_at: Moment(session.expires_at),
            },
            access_expires_at: Moment(access_expires_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct UserView<'a> {
    #[schema(value_type = Id)]
    id: UserId,
    email: &'a str,
    name: &'a str,
    roles: &'a [String],
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    #[schema(value_type = Id)]
    id: SessionId,
    created_at: Moment,
    expires_at: Moment,
}

/// A line in the list of one's own sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedSession)]
pub(super) struct Listed {
    #[schema(value_type = Id)]
    id: SessionId,
    current: bool,
    created_at: Moment,
    last_seen_at: Moment,
    expires_at: Moment,
    ip: Option<String>,
    user_agent: String,
    device: String,
    provider: String,
}

impl Listed {
    pub(super) fn new(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id,
            current: session.id == current,
            created_at: Moment(session.created_at),
            last_seen_at: Moment(session.last_seen_at),
            expires_at: Moment(session.expires_at),
            ip: session.ip.map(|ip| ip.to_string()),
            device: device::label(&session.user_agent),
            user_agent: session.user_agent,
            provider: session.provider,
        }
    }
}

/// A moment as RFC 3339 writes it, in UTC and whole seconds.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime)]
struct Moment(UnixMillis);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = OffsetDateTime::from_unix_timestamp(self.0.to_secs().secs())
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok());
        match text {
            Some(text) => serializer.serialize_str(&text),
            None => Err(serde::ser::Error::custom(
                "a moment outside the years that RFC 3339 can write",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339() {
        let json =
            serde_json::to_string(&Moment(UnixMillis::from_millis(1_764_000_000_999))).unwrap();
        assert_eq!(json, "\"2025-11-24T16:00:00Z\"");
    }
}
