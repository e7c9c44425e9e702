//! Users as administrators see them.

use serde::Serialize;
use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

use crate::account::MAX_ROLES;
use crate::http::moment::Moment;
use crate::http::openapi::Id;
use crate::session::Session;
use crate::store::users::{Access, User};

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(super) struct UserView {
    #[schema(value_type = Id)]
    id: UserId,
    email: String,
    name: String,
    roles: Vec<String>,
    created_at: Moment,
    /// Since when they may not sign in; null where they may.
    disabled_at: Option<Moment>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            roles: user.roles,
            created_at: Moment(user.created_at),
            disabled_at: match user.access {
                Access::Enabled => None,
                Access::Disabled { since } => Some(Moment(since)),
            },
        }
    }
}

/// A page of users.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = AccountPage)]
pub(super) struct UserPage {
    pub(super) users: Vec<UserView>,
    /// What to send as `cursor` for the next page; null on the last.
    pub(super) next: Option<String>,
}

/// A user with all that belongs to them.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountDetail)]
pub(super) struct UserDetail {
    #[serde(flatten)]
    user: UserView,
    has_password: bool,
    identities: Vec<IdentityView>,
    /// The live ones, the newest first.
    sessions: Vec<SessionView>,
    /// Until when their invitation is good; null where they have none.
    invitation_expires_at: Option<Moment>,
}

/// What belongs to a user.
pub(super) struct Belongings {
    pub(super) has_password: bool,
    pub(super) identities: Vec<(String, String)>,
    pub(super) sessions: Vec<Session>,
    pub(super) invitation_expires_at: Option<UnixMillis>,
}

impl UserDetail {
    pub(super) fn new(user: User, belongings: Belongings) -> Self {
        let identities = belongings.identities.into_iter();
        let sessions = belongings.sessions.into_iter().rev();
        Self {
            user: user.into(),
            has_password: belongings.has_password,
            identities: identities
                .map(|(issuer, subject)| IdentityView { issuer, subject })
                .collect(),
            sessions: sessions.map(SessionView::from).collect(),
            invitation_expires_at: belongings.invitation_expires_at.map(Moment),
        }
    }
}

/// Who a user is elsewhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Identity)]
struct IdentityView {
    issuer: String,
    subject: String,
}

/// A session of a user's.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountSession)]
struct SessionView {
    #[schema(value_type = Id)]
    id: SessionId,
    created_at: Moment,
    last_seen_at: Moment,
    expires_at: Moment,
    ip: Option<String>,
    user_agent: String,
    provider: String,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            created_at: Moment(session.created_at),
            last_seen_at: Moment(session.last_seen_at),
            expires_at: Moment(session.expires_at),
            ip: session.ip.map(|ip| ip.to_string()),
            user_agent: session.user_agent,
            provider: session.provider,
        }
    }
}

/// An e-mail address as an account takes it: something before an `@` and behind it, no blank but around it, no
/// control character.
pub(super) fn email() -> Object {
    text(
        r"^[^\S\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f]+@[^\s@\x00-\x1f\x7f-\x9f]+[^\S\x00-\x1f\x7f-\x9f]*$",
        320,
    )
}

/// A name: one line, not blank.
pub(super) fn name() -> Object {
    text(
        r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
        200,
    )
}

/// A list of roles.
pub(super) fn roles() -> Array {
    let role = text("^[a-z0-9_.:-]+$", 64);
    ArrayBuilder::new()
        .items(role)
        .max_items(Some(MAX_ROLES))
        .build()
}

fn text(pattern: &str, longest: usize) -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .pattern(Some(pattern))
        .min_length(Some(1))
        .max_length(Some(longest))
        .build()
}
