//! What an access token says (RFC 9068 §2.2, RFC 7519 §4.1).

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{ClientId, Fingerprint, SessionId, TokenId, UserId};
use crate::scope::Scopes;
use crate::time::UnixTime;

/// The claims of a user's access token. Every one but `act` is required, and each has exactly this JSON type; members that are
/// not listed are ignored, so that a newer issuer can serve older edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: `PUBLIC_URL`.
    pub iss: String,
    /// Audience: a single one, `PUBLIC_URL`.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The client the token was given to: [`BROWSER_CLIENT`](crate::wire::BROWSER_CLIENT) for cookies.
    pub client_id: String,
    /// The session.
    pub sid: SessionId,
    /// This token.
    pub jti: TokenId,
    /// Issued at.
    pub iat: UnixTime,
    /// Refused from this second on.
    pub exp: UnixTime,
    /// When the user last proved who they are.
    pub auth_time: UnixTime,
    /// Version of the user's claims: grows with every change of roles.
    pub ver: u32,
    /// What the user may do: names as [`is_role`] accepts them.
    pub roles: Vec<String>,
    /// Who acts as the user (RFC 8693 §4.1). Absent where the user acts themselves, which is nearly always.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub act: Option<Actor>,
}

/// Who acts as somebody else: one user. No chain of actors is ever written, and none is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The acting user.
    pub sub: UserId,
}

/// Strictly: an object with this one member, once. (What serde derives would take a list, too.)
impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Actor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with sub")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Actor, A::Error> {
                let first = map.next_entry::<String, UserId>()?;
                let (name, sub) = first.ok_or_else(|| A::Error::missing_field("sub"))?;
                if name != "sub" || map.next_key::<String>()?.is_some() {
                    return Err(A::Error::custom("it has sub, once, and nothing else"));
                }
                Ok(Actor { sub })
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A member that is there has a value: `null` is refused.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Actor>, D::Error> {
    Actor::deserialize(deserializer).map(Some)
}

/// The claims of a service's access token: of a client that acts for itself (RFC 6749 §4.4), in no session and for no user.
/// Members are read as those of [`Claims`].
///
/// It has neither `sid` nor `auth_time` nor `roles`, and its `client_id` is an id that a user's token never names. So neither
/// type can be read as the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceClaims {
    /// Issuer: `PUBLIC_URL`.
    pub iss: String,
    /// Audience: a single one, `PUBLIC_URL`.
    pub aud: String,
    /// The client, once more: RFC 9068 §2.2 asks for it where there is no user.
    pub sub: ClientId,
    /// The client.
    pub client_id: ClientId,
    /// This token.
    pub jti: TokenId,
    /// Issued at.
    pub iat: UnixTime,
    /// Refused from this second on.
    pub exp: UnixTime,
    /// Version of the client: grows when its tokens are revoked.
    pub ver: u32,
    /// What the client may do (RFC 9068 §2.2.3).
    pub scope: Scopes,
}

/// What every access token says, whoever holds it: what its time and the revocations are asked for.
pub trait AccessClaims {
    /// This token.
    fn jti(&self) -> TokenId;
    /// Issued at.
    fn iat(&self) -> UnixTime;
    /// Refused from this second on.
    fn exp(&self) -> UnixTime;
    /// The holder, a user or a client, as revocations name both.
    fn holder(&self) -> Fingerprint;
    /// Version of the holder's rights.
    fn ver(&self) -> u32;
    /// The session, as revocations name it; a service has none.
    fn session(&self) -> Option<Fingerprint>;
}

impl AccessClaims for Claims {
    fn jti(&self) -> TokenId {
        self.jti
    }

    fn iat(&self) -> UnixTime {
        self.iat
    }

    fn exp(&self) -> UnixTime {
        self.exp
    }

    fn holder(&self) -> Fingerprint {
        self.sub.fingerprint()
    }

    fn ver(&self) -> u32 {
        self.ver
    }

    fn session(&self) -> Option<Fingerprint> {
        Some(self.sid.fingerprint())
    }
}

impl AccessClaims for ServiceClaims {
    fn jti(&self) -> TokenId {
        self.jti
    }

    fn iat(&self) -> UnixTime {
        self.iat
    }

    fn exp(&self) -> UnixTime {
        self.exp
    }

    fn holder(&self) -> Fingerprint {
        self.client_id.fingerprint()
    }

    fn ver(&self) -> u32 {
        self.ver
    }

    fn session(&self) -> Option<Fingerprint> {
        None
    }
}

/// Whether `name` can be a role: 1 to 64 of `a-z 0-9 _ - . :`. Roles travel in a header, separated by commas.
pub fn is_role(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.:".contains(&byte)
        })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::is_role;

    #[test]
    fn a_role_can_stand_in_a_header_between_commas() {
        assert!(is_role("billing:read-only"));
        for name in ["", "a,b", "a b", "Admin", "ä", "a\r\nb", &"a".repeat(65)] {
            assert!(!is_role(name), "{name:?}");
        }
    }
}
