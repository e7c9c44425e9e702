//! `Portcullis-Assertion`: what the edge tells the origin about the user, in a form the origin can check.
//!
//! A JWT (RFC 7519) as a compact JWS (RFC 7515 §7.1), HS256 under a key derived from `ORIGIN_SECRET`. Any JWT library checks
//! it: `iss` and `aud` are the site, `exp` is 30 seconds after `iat`, `jti` is never used twice. `request_hash` binds it to
//! one request, as `htm` and `htu` of RFC 9449 §4.2 bind a proof, but is as short for every URL: see [`Request::hash`].
//! `typ` and the key are its own, so that neither an access token nor an assertion can stand in for the other.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::claims::{Actor, Claims, is_role};
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

/// The longest assertion. Only the site's name and the user's roles have no fixed length, and both stand in the access token
/// too, which fits a cookie of 4,096 bytes; the other members take at most 256 bytes more than the token's others.
pub const MAX_BYTES: usize = crate::cookie::MAX_BYTES + 256;

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
    /// `PUBLIC_URL`: scheme, host and, if not the scheme's own, port of the site that the user sees. No final slash.
    pub site: &'a str,
    /// Path and query as they are sent to the origin.
    pub path_and_query: &'a str,
}

impl Request<'_> {
    /// What the claim `request_hash` holds: SHA-256, as base64url, of the method, a space, and the whole URL, as in a
    /// request line in absolute form (RFC 9112 §3.2.2). `GET https://app.example.test/x?y=1` can be read in one way only: no
    /// method has a space, and neither scheme nor authority has a slash.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.method, " ", self.site, self.path_and_query] {
            hash.update(part);
        }
        base64url::encode(hash.finalize())
    }
}

/// Names one assertion (`jti`), so that an origin can refuse what it has seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial {
    /// Random bytes of whoever makes assertions: two makers never have the same.
    pub maker: [u8; 16],
    /// A number that this maker uses once.
    pub number: u64,
}

impl Serial {
    fn push_to(self, text: &mut String) {
        let mut bytes = [0; 24];
        let (maker, number) = bytes.split_at_mut(self.maker.len());
        maker.copy_from_slice(&self.maker);
        number.copy_from_slice(&self.number.to_be_bytes());
        base64url::push(text, bytes);
    }
}

/// Makes the assertions for one user at one site. What is the same in all of them comes first in each, and is written and
/// hashed only once.
#[derive(Clone)]
pub struct Asserter {
    /// The header, and the payload up to where requests differ.
    start: String,
    /// Has taken in `start`.
    begun: HmacKey,
    site: String,
}

impl Asserter {
    /// For the user of `claims` at `site`, see [`Request::site`].
    pub fn new(key: &AssertionKey, site: &str, claims: &Claims) -> Self {
        let start = Start {
            iss: site,
            aud: site,
            sub: claims.sub,
            sid: claims.sid,
            auth_time: claims.auth_time,
            roles: &claims.roles,
            act: claims.act,
        };
        // Nothing in it can fail to be written; if it did, no origin would take the rest for an assertion.
        let mut payload = serde_json::to_string(&start).unwrap_or_default();
        payload.pop();
        payload.push(',');
        // Three bytes are four characters in base64url: what comes next begins with a character of its own.
        while !payload.len().is_multiple_of(3) {
            payload.push(' ');
        }
        let start = [HEADER, ".", &base64url::encode(payload)].concat();
        let begun = key.0.begun_with(start.as_bytes());
        Self {
            start,
            begun,
            site: site.to_owned(),
        }
    }

    /// The assertion `serial` that the user stands behind a request at `now`. Method and target are as in [`Request`].
    pub fn assert(
        &self,
        method: &str,
        path_and_query: &str,
        serial: Serial,
        now: UnixTime,
    ) -> String {
        let request = Request {
            method,
            site: &self.site,
            path_and_query,
        };
        let mut payload = String::with_capacity(192);
        payload.push_str(r#""jti":""#);
        serial.push_to(&mut payload);
        payload.push_str(r#"","iat":"#);
        payload.push_str(&now.secs().to_string());
        payload.push_str(r#","exp":"#);
        payload.push_str(&now.plus(LIFETIME).secs().to_string());
        payload.push_str(r#","request_hash":""#);
        payload.push_str(&request.hash());
        payload.push_str(r#""}"#);
        let mut token = String::with_capacity(self.start.len() + 320);
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
    actor: Option<UserId>,
    auth_time: UnixTime,
    id: String,
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

    /// Who acts as the user (`act`, RFC 8693 §4.1), where it is not the user.
    pub const fn actor(&self) -> Option<UserId> {
        self.actor
    }

    /// When they last proved who they are; 1970 where somebody else acts as them.
    pub const fn auth_time(&self) -> UnixTime {
        self.auth_time
    }

    /// The assertion's own name (`jti`): whoever has seen it before sees a replay.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Checks the assertion `token` that came with `request`, at `now`, under any of `keys`.
///
/// # Errors
/// [`Rejection::OtherRequest`] where it was made for another request, [`Rejection::Expired`] from [`LIFETIME`] on, and
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
    if said.iss != request.site {
        return Err(Rejection::WrongIssuer);
    }
    if said.aud != request.site {
        return Err(Rejection::WrongAudience);
    }
    if said.request_hash != request.hash() {
        return Err(Rejection::OtherRequest);
    }
    if said.iat > now.plus(SKEW) {
        return Err(Rejection::NotYetValid);
    }
    if now >= said.exp {
        return Err(Rejection::Expired);
    }
    if !said.roles.iter().all(|role| is_role(role)) {
        return Err(Rejection::Malformed("roles"));
    }
    Ok(Identity {
        user: said.sub,
        session: said.sid,
        roles: said.roles,
        actor: said.act.map(|act| act.sub),
        auth_time: said.auth_time,
        id: said.jti,
    })
}

/// What is the same in all assertions for one user.
#[derive(Serialize)]
struct Start<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    sid: SessionId,
    auth_time: UnixTime,
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
}

#[derive(Deserialize)]
struct Said {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    auth_time: UnixTime,
    roles: Vec<String>,
    act: Option<Actor>,
    jti: String,
    iat: UnixTime,
    exp: UnixTime,
    request_hash: String,
}

#[cfg(test)]
mod tests;
