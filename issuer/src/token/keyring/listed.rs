//! The keys as an operator sees them: where each stands in its life, and when that changes.

use serde::Serialize;
use shared::key::SigningKey;
use shared::time::UnixMillis;
use utoipa::ToSchema;

use super::stored::{Stored, StoredKey};
use crate::time::rfc3339;

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, and signs nothing yet.
    Next,
    /// Signs.
    Active,
    /// Signs nothing any more; what it has signed is still good.
    Retired,
    /// Cannot be opened with `ENCRYPTION_KEY`: it neither signs nor verifies.
    Unreadable,
}

impl KeyState {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A key, without its secret. Times are RFC 3339; a configured key has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SigningKeyListed)]
pub struct Listed {
    /// Its name in tokens.
    pub kid: String,
    /// `EdDSA` or `HS256`.
    pub algorithm: &'static str,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made, and published.
    pub created_at: Option<String>,
    /// When it begins to sign.
    pub activates_at: Option<String>,
    /// When another one signs in its place, as far as is known now.
    pub retires_at: Option<String>,
    /// When what it has signed has expired, and it is deleted.
    pub gone_at: Option<String>,
}

impl Listed {
    pub(super) fn configured(key: &SigningKey, signing: &str) -> Self {
        Self {
            kid: key.kid().to_owned(),
            algorithm: key.algorithm().as_str(),
            state: if key.kid() == signing {
                KeyState::Active
            } else {
                KeyState::Retired
            },
            created_at: None,
            activates_at: None,
            retires_at: None,
            gone_at: None,
        }
    }
}

/// The stored `keys`, which are in the order of activation, at `now`.
pub(super) fn stored(source: &Stored, keys: &[StoredKey], now: UnixMillis) -> Vec<Listed> {
    let one = |(at, key): (usize, &StoredKey)| {
        let (retires_at, gone_at) = source.schedule(keys, at);
        let has_successor = keys[at + 1..].iter().any(|key| key.seed.is_some());
        let state = if key.seed.is_none() {
            KeyState::Unreadable
        } else if now < key.sealed.activates_at {
            KeyState::Next
        } else if has_successor && retires_at <= now {
            KeyState::Retired
        } else {
            KeyState::Active
        };
        Listed {
            kid: key.sealed.kid.clone(),
            algorithm: "EdDSA",
            state,
            created_at: rfc3339(key.sealed.created_at),
            activates_at: rfc3339(key.sealed.activates_at),
            retires_at: rfc3339(retires_at),
            gone_at: rfc3339(gone_at),
        }
    };
    keys.iter().enumerate().map(one).collect()
}
