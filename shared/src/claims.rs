//! What an access token says (RFC 9068 §2.2, RFC 7519 §4.1).

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{SessionId, TokenId, UserId};
use crate::time::UnixTime;

/// The claims of an access token. Every one but `act` is required, and each has exactly this JSON type; members that are not
/// listed are ignored, so that a newer issuer can serve older edges.
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
