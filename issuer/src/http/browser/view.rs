//! Users and sessions as clients see them.

use serde::Serialize;
use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use utoipa::ToSchema;

use super::device;
use crate::http::moment::Moment;
use crate::http::openapi::Id;
use crate::session::Session;
use crate::store::users::User;

/// The answer to signing in, refreshing, and asking who one is.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Current<'a> {
    user: UserView<'a>,
    session: SessionView,
    access_expires_at: Moment,
}

impl<'a> Current<'a> {
    pub(in crate::http) fn new(
        user: &'a User,
        session: &Session,
        access_expires_at: UnixMillis,
    ) -> Self {
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
                actor: session.actor,
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
    /// Who acts as the user in it, where that is not the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>)]
    actor: Option<UserId>,
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
    /// Who acts as the user in it, where that is not the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>)]
    actor: Option<UserId>,
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
            actor: session.actor,
        }
    }
}
