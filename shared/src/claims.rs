//! What an access token says (RFC 9068 §2.2, RFC 7519 §4.1).

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, TokenId, UserId};
use crate::time::UnixTime;

/// The claims of an access token. Every one is required and has exactly this JSON type; members that are not listed
/// are ignored, so that a newer issuer can serve older edges.
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
