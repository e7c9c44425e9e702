//! An account as a line of JSON: what an export writes and an import reads.

use serde::{Deserialize, Serialize};
use shared::id::UserId;
use shared::time::UnixMillis;
use time::OffsetDateTime;

use crate::store::directory::Entry;
use crate::store::users::Access;

/// One account. Only address and name must be there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// `sub`; an import without it makes a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// The address to sign in with.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// What they may do.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Whether they may not sign in.
    #[serde(default)]
    pub disabled: bool,
    /// When the account was made (RFC 3339); an import without it takes the moment of the import.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub created_at: Option<OffsetDateTime>,
    /// The hash of their password. An export writes it only where it is asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Whether a provider told the address that had not verified it: nobody else's identity is linked to it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub email_is_unproven: bool,
    /// Who they are elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
}

/// Who somebody is elsewhere.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// `iss` of the provider.
    pub issuer: String,
    /// Who they are there.
    pub subject: String,
}

impl Line {
    /// The line of this account, without the hash.
    pub fn of(entry: Entry) -> Self {
        let identities = entry.identities.into_iter();
        Self {
            id: Some(entry.user.id),
            email: entry.user.email,
            name: entry.user.name,
            roles: entry.user.roles,
            disabled: entry.user.access != Access::Enabled,
            created_at: moment(entry.user.created_at),
            password_hash: None,
            email_is_unproven: entry.email_is_unproven,
            identities: identities
                .map(|(issuer, subject)| Identity { issuer, subject })
                .collect(),
        }
    }
}

/// For RFC 3339; `None` outside the years that it can write.
fn moment(at: UnixMillis) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.millis()) * 1_000_000).ok()
}
