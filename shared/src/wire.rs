//! Names and shapes that cross between browser, edge, issuer and origin.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::base64url;
use crate::id::SessionId;
use crate::rejection::Code;
use crate::secret::{Purpose, RootSecret};

/// Header names, in lower case. All begin with `portcullis`; from outside, none that does is believed (`edge/entry/untrusted.js`).
pub mod header {
    /// Proves to the issuer that a request comes from an edge: see [`edge_token`](super::edge_token).
    pub const EDGE_TOKEN: &str = "portcullis-edge-token";
    /// The client's address as the edge saw it; believed only beside a good [`EDGE_TOKEN`].
    pub const CLIENT_IP: &str = "portcullis-client-ip";
    /// To the issuer: an edge asks for a refresh in the middle of a client's request, so that the new tokens reach the client
    /// with the origin's answer. Believed only beside a good [`EDGE_TOKEN`].
    pub const RENEWAL: &str = "portcullis-renewal";
    /// To the origin: the user's id.
    pub const USER: &str = "portcullis-user";
    /// To the origin: the session's id.
    pub const SESSION: &str = "portcullis-session";
    /// To the origin: the roles, separated by commas.
    pub const ROLES: &str = "portcullis-roles";
    /// To the origin: the id of whoever acts as the user; absent where the user acts themselves.
    pub const ACTOR: &str = "portcullis-actor";
    /// To the origin, in place of the four above: the id of the service that makes the request.
    pub const CLIENT: &str = "portcullis-client";
    /// To the origin: what the service may do, separated by spaces, as the claim `scope` (RFC 6749 §3.3).
    pub const SCOPE: &str = "portcullis-scope";
    /// To the origin: all of the above, signed and bound to the request: see [`assertion`](crate::assertion).
    pub const ASSERTION: &str = "portcullis-assertion";
}

/// Keys in Workers KV.
pub mod kv {
    /// The published key set: [`KeySet::publish`](crate::key::KeySet::publish).
    pub const KEY_SET: &str = "keys";
    /// The head of the revocations: see [`Update`](crate::revocation::Update).
    pub const REVOCATIONS_HEAD: &str = "revocations:head";
    /// What the key of a base begins with; its name follows.
    pub const REVOCATIONS_BASE: &str = "revocations:base:";
}

/// The most bytes that the issuer takes as a body, from an edge and from others. The longest is a sign-in with a `return_to` of
/// 8,000 octets, which a form writes as up to three characters each.
pub const LONGEST_BODY: usize = 32 * 1024;

/// The `client_id` (RFC 9068 §2.2) of tokens that are kept in cookies.
pub const BROWSER_CLIENT: &str = "browser";

/// `Strict-Transport-Security` (RFC 6797 §6.1) of every answer of our own. Over plain HTTP browsers do not heed it.
pub const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000; includeSubDomains";

/// The longest place to come back to after a sign-in, in octets: path, query and fragment. RFC 9110 §4.1 asks that URIs of
/// so many octets be supported; escaped as a parameter of the sign-in page's own URL it can be three times as long.
pub const MAX_RETURN_TO: usize = 8_000;

/// The media type of a problem (RFC 9457 §3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error answer (RFC 9457 §3): `type` is `about:blank`, and `code` is what programs look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Problem {
    /// The problem `code`, answered with `status`; `detail` says what to do about this occurrence, and may be empty.
    pub fn new(code: Code, status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: code.title(),
            status,
            code: code.as_str(),
            detail: detail.into(),
        }
    }

    /// The body of the answer.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|_| r#"{"type":"about:blank","code":"internal"}"#.to_owned())
    }
}

/// How many sessions an edge may ask about at once: the question fits into the 16 KB that the issuer reads of a body.
pub const MOST_SESSIONS: usize = 500;

/// What an edge asks at `POST /edge/sessions`: which of these stand, on which it keeps connections open?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsAsked {
    /// At most [`MOST_SESSIONS`].
    pub sessions: Vec<SessionId>,
}

/// The answer: those that stand. The others have ended, or never were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsStanding {
    /// In any order.
    pub sessions: Vec<SessionStanding>,
}

/// A session that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStanding {
    /// Which.
    pub sid: SessionId,
    /// The version of the user's claims: who has an older one has to be renewed.
    pub ver: u32,
    /// For how many milliseconds from the question on that may be believed, as a token is for its lifetime. An end within
    /// them is announced as a revocation, as long as any token.
    pub for_ms: u64,
}

/// What an edge sends as [`header::EDGE_TOKEN`]: a key derived from `EDGE_SECRET`, as base64url.
pub fn edge_token(secret: &RootSecret) -> String {
    base64url::encode(secret.derive(Purpose::EdgeToken).expose())
}

/// Whether `offered` is the edge token of any of `secrets`. Takes the same time whichever it is.
pub fn edge_token_matches(secrets: &[RootSecret], offered: &str) -> bool {
    secrets.iter().fold(false, |found, secret| {
        found | bool::from(edge_token(secret).as_bytes().ct_eq(offered.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let json = Problem::new(Code::Forbidden, 403, "needs the role admin").to_json();
        assert_eq!(
            json,
            r#"{"type":"about:blank","title":"Not allowed","status":403,"code":"forbidden","detail":"needs the role admin"}"#
        );
    }

    #[test]
    fn old_and_new_edge_tokens_are_accepted_and_no_other() {
        let secrets = RootSecret::parse_list(
            "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p,pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J",
        )
        .unwrap();
        for secret in &secrets {
            assert!(edge_token_matches(&secrets, &edge_token(secret)));
        }
        assert!(!edge_token_matches(&secrets[..1], &edge_token(&secrets[1])));
        assert!(!edge_token_matches(&secrets, ""));
    }
}
