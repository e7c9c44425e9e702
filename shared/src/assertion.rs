//! `Portcullis-Assertion`: what the edge tells the origin about the user, in a form the origin can check.
//!
//! A compact JWS (HS256) under a key derived from `ORIGIN_SECRET`, bound to one request: method, authority, path and
//! query (as `htm` and `htu` of RFC 9449 §4.2 bind a proof), and to 30 seconds. Its `typ` and its key are its own, so
//! that neither an access token nor an assertion can stand in for the other.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::base64url;
use crate::claims::{Claims, is_role};
use crate::hmac_sha256::HmacKey;
use crate::id::{SessionId, UserId};
use crate::jws::UntrustedJws;
use crate::rejection::Rejection;
use crate::secret::{Purpose, RootSecret};
use crate::strict;
use crate::time::UnixTime;
use crate::token::SKEW;

/// How long an assertion may be used.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// The longest assertion that is looked at. It holds the path and query, of which Cloudflare lets 16 KiB in, a third longer.
const MAX_BYTES: usize = 32 * 1024;

const TYPE: &str = "portcullis-assertion+jwt";
/// `{"typ":"portcullis-assertion+jwt","alg":"HS256"}` as base64url.
const HEADER: &str = "eyJ0eXAiOiJwb3J0Y3VsbGlzLWFzc2VydGlvbitqd3QiLCJhbGciOiJIUzI1NiJ9";

/// The key derived from `ORIGIN_SECRET`, which edge and origin share.
#[derive(Clone)]
pub struct AssertionKey(HmacKey);

impl From<&RootSecret> for AssertionKey {
    fn from(secret: &RootSecret) -> Self {
        Self(HmacKey::new(secret.derive(Purpose::Assertion).expose()))
    }
}

/// The request that an assertion belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// Host and, if not the scheme's own, port: of the URL that the user sees.
    pub authority: &'a str,
    /// Path and query as they are sent to the origin.
    pub path_and_query: &'a str,
}

/// Makes the assertions for one user at one site. What is the same in all of them comes first in each, and is written and
/// hashed only once.
#[derive(Clone)]
pub struct Asserter {
    /// The header, and the payload up to where requests differ.
    start: String,
    /// Has taken in `start`.
    begun: HmacKey,
}

impl Asserter {
    /// For the user of `claims` at the site of `authority`, see [`Request::authority`].
    pub fn new(key: &AssertionKey, authority: &str, claims: &Claims) -> Self {
        let mut payload = format!(
            r#"{{"sub":"{}","sid":"{}","auth_time":{},"roles":["#,
            claims.sub,
            claims.sid,
            claims.auth_time.secs()
        );
        for (index, role) in claims.roles.iter().enumerate() {
            payload.push_str(if index == 0 { "\"" } else { ",\"" });
            push_escaped(&mut payload, role);
            payload.push('"');
        }
        payload.push_str(r#"],"aud":""#);
        push_escaped(&mut payload, authority);
        payload.push_str(r#"","#);
        // Three bytes are four characters in base64url: what comes next begins with a character of its own.
        while !payload.len().is_multiple_of(3) {
            payload.push(' ');
        }
        let start = [HEADER, ".", &base64url::encode(payload)].concat();
        let begun = key.0.begun_with(start.as_bytes());
        Self { start, begun }
    }

    /// The assertion that the user stands behind a request at `now`. Method and target are as in [`Request`].
    pub fn assert(&self, method: &str, path_and_query: &str, now: UnixTime) -> String {
        let mut payload = String::with_capacity(path_and_query.len() + 64);
        payload.push_str(r#""htm":""#);
        push_escaped(&mut payload, method);
        payload.push_str(r#"","htu":""#);
        push_escaped(&mut payload, path_and_query);
        payload.push_str(r#"","iat":"#);
        payload.push_str(&now.secs().to_string());
        payload.push('}');
        let mut token = String::with_capacity(self.start.len() + payload.len() * 4 / 3 + 48);
        token.push_str(&self.start);
        base64url::push(&mut token, payload);
        let rest = token.as_bytes().get(self.start.len()..);
        let tag = self.begun.tag(rest.unwrap_or_default());
        token.push('.');
        base64url::push(&mut token, tag);
        token
    }
}

impl fmt::Debug for Asserter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asserter").finish_non_exhaustive()
    }
}

/// What an assertion proves. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    user: UserId,
    session: SessionId,
    roles: Vec<String>,
    auth_time: UnixTime,
}

impl Identity {
    /// The signed-in user.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Their session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What they may do.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// When they last proved who they are.
    pub const fn auth_time(&self) -> UnixTime {
        self.auth_time
    }
}

/// Checks the assertion `token` that came with `request`, at `now`, under any of `keys`. For origins.
///
/// # Errors
/// [`Rejection::OtherRequest`] where it was made for another request, [`Rejection::Expired`] after [`LIFETIME`], and
/// what else is wrong with it.
pub fn verify(
    token: &str,
    keys: &[AssertionKey],
    request: Request<'_>,
    now: UnixTime,
) -> Result<Identity, Rejection> {
    let jws = UntrustedJws::parse(token, MAX_BYTES)?;
    if jws.untrusted_header.typ != TYPE {
        return Err(Rejection::WrongType);
    }
    if jws.untrusted_header.alg != "HS256" {
        return Err(Rejection::WrongAlgorithm);
    }
    let payload = jws.payload(|message, tag| keys.iter().any(|key| key.0.holds(message, tag)))?;
    let said: Said = strict::object(&payload).ok_or(Rejection::Malformed("assertion"))?;
    if (said.htm.as_str(), said.aud.as_str(), said.htu.as_str())
        != (request.method, request.authority, request.path_and_query)
    {
        return Err(Rejection::OtherRequest);
    }
    if said.iat > now.plus(SKEW) {
        return Err(Rejection::NotYetValid);
    }
    if now.since(said.iat) > LIFETIME {
        return Err(Rejection::Expired);
    }
    if !said.roles.iter().all(|role| is_role(role)) {
        return Err(Rejection::Malformed("roles"));
    }
    Ok(Identity {
        user: said.sub,
        session: said.sid,
        roles: said.roles,
        auth_time: said.auth_time,
    })
}

#[derive(Deserialize)]
struct Said {
    htm: String,
    aud: String,
    htu: String,
    sub: UserId,
    sid: SessionId,
    auth_time: UnixTime,
    iat: UnixTime,
    roles: Vec<String>,
}

/// Appends `text` as the inside of a JSON string (RFC 8259 §7). By hand, because this runs on every request.
fn push_escaped(json: &mut String, text: &str) {
    if text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        return json.push_str(text);
    }
    for char in text.chars() {
        match char {
            '"' | '\\' => json.extend(['\\', char]),
            '\0'..='\x1f' => json.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => json.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::id::TokenId;

    const NOW: UnixTime = UnixTime::from_secs(1_000);
    const REQUEST: Request<'_> = Request {
        method: "POST",
        authority: "app.example.test",
        path_and_query: "/api/x?q=\"\\\u{1}é",
    };

    fn key(text: &str) -> AssertionKey {
        AssertionKey::from(&RootSecret::parse(text).unwrap())
    }

    fn asserted(key: &AssertionKey) -> String {
        let asserter = Asserter::new(key, REQUEST.authority, &claims());
        asserter.assert(REQUEST.method, REQUEST.path_and_query, NOW)
    }

    fn claims() -> Claims {
        Claims {
            iss: "i".into(),
            aud: "i".into(),
            sub: UserId::from_bytes([1; 16]),
            client_id: "browser".into(),
            sid: SessionId::from_bytes([2; 16]),
            jti: TokenId::from_bytes([3; 16]),
            iat: NOW,
            exp: NOW.plus(LIFETIME),
            auth_time: NOW,
            ver: 1,
            roles: vec!["admin".into(), "user".into()],
        }
    }

    #[test]
    fn the_header_is_written_out_right() {
        let header = r#"{"typ":"portcullis-assertion+jwt","alg":"HS256"}"#;
        assert_eq!(HEADER, base64url::encode(header));
    }

    #[test]
    fn the_origin_learns_what_the_edge_said() {
        let (new, old) = (
            key("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p"),
            key("pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J"),
        );
        let token = asserted(&old);
        let identity = verify(&token, &[new.clone(), old], REQUEST, NOW).unwrap();
        assert_eq!(identity.user(), claims().sub);
        assert_eq!(identity.session(), claims().sid);
        assert_eq!(identity.roles(), ["admin", "user"]);
        assert_eq!(
            verify(&token, &[new], REQUEST, NOW),
            Err(Rejection::BadSignature)
        );
    }

    #[test]
    fn every_length_of_what_comes_first_fits_what_follows() {
        let key = key("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p");
        for authority in ["a", "ab", "abc", "abcd"] {
            let request = Request {
                authority,
                ..REQUEST
            };
            let asserter = Asserter::new(&key, authority, &claims());
            let token = asserter.assert(request.method, request.path_and_query, NOW);
            let identity = verify(&token, std::slice::from_ref(&key), request, NOW);
            assert!(identity.is_ok(), "{authority}: {identity:?}");
        }
    }

    #[test]
    fn the_longest_url_that_gets_in_fits() {
        let key = key("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p");
        let path = format!("/{}", "a".repeat(16 * 1024));
        let request = Request {
            path_and_query: &path,
            ..REQUEST
        };
        let asserter = Asserter::new(&key, request.authority, &claims());
        let token = asserter.assert(request.method, &path, NOW);
        assert!(verify(&token, std::slice::from_ref(&key), request, NOW).is_ok());
        let max = MAX_BYTES;
        let longer = "a".repeat(max + 1);
        assert_eq!(
            verify(&longer, &[key], request, NOW).unwrap_err(),
            Rejection::Oversized { max }
        );
    }

    #[test]
    fn it_fits_one_request_for_thirty_seconds() {
        let keys = [key("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p")];
        let token = asserted(&keys[0]);
        let others = [
            Request {
                method: "GET",
                ..REQUEST
            },
            Request {
                authority: "evil.example.test",
                ..REQUEST
            },
            Request {
                path_and_query: "/api/y",
                ..REQUEST
            },
        ];
        for other in others {
            assert_eq!(
                verify(&token, &keys, other, NOW),
                Err(Rejection::OtherRequest)
            );
        }
        assert!(verify(&token, &keys, REQUEST, NOW.plus(LIFETIME)).is_ok());
        assert_eq!(
            verify(
                &token,
                &keys,
                REQUEST,
                NOW.plus(LIFETIME + Duration::from_secs(1))
            ),
            Err(Rejection::Expired)
        );
        assert_eq!(
            verify(
                &token,
                &keys,
                REQUEST,
                NOW.minus(SKEW + Duration::from_secs(1))
            ),
            Err(Rejection::NotYetValid)
        );
    }

    #[test]
    fn an_access_token_is_no_assertion() {
        let secret = RootSecret::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap();
        let token = crate::token::mint(&claims(), &crate::key::SigningKey::hs256(&secret)).unwrap();
        assert_eq!(
            verify(&token, &[(&secret).into()], REQUEST, NOW),
            Err(Rejection::WrongType)
        );
    }
}
