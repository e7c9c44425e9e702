//! `Portcullis-Assertion`: what the edge tells the origin about the user, in a form the origin can check.
//!
//! A JWT (RFC 7519) as a compact JWS (RFC 7515 §7.1), HS256 under a key derived from `ORIGIN_SECRET`. Any JWT library checks
//! it: `iss` and `aud` are the site, `exp` is 30 seconds after `iat`, `jti` is never used twice. `request_hash` binds it to
//! one request, as `htm` and `htu` of RFC 9449 §4.2 bind a proof, but is as short for every URL: see [`Request::hash`].
//! `typ` and the key are its own, so that neither an access token nor an assertion can stand in for the other. A request of a
//! service has an assertion of another `typ`, so that no origin takes a service for a user: see [`verify_service`].

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base64url;
use crate::claims::{Actor, Claims, ServiceClaims, is_role};
use crate::hmac_sha256::HmacKey;
use crate::id::{ClientId, SessionId, UserId};
use crate::jws::UntrustedJws;
use crate::rejection::Rejection;
use crate::scope::Scopes;
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

const SERVICE_TYPE: &str = "portcullis-service-assertion+jwt";
/// `{"typ":"portcullis-service-assertion+jwt","alg":"HS256"}` as base64url.
const SERVICE_HEADER: &str =
    "eyJ0eXAiOiJwb3J0Y3VsbGlzLXNlcnZpY2UtYXNzZXJ0aW9uK2p3dCIsImFsZyI6IkhTMjU2In0";

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

/// Makes the assertions for one user, or one service, at one site. What is the same in all of them comes first in each, and is written and
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
        Self::begin(key, site, HEADER, &start)
    }

    /// For the service of `claims` at `site`.
    pub fn of_service(key: &AssertionKey, site: &str, claims: &ServiceClaims) -> Self {
        let start = ServiceStart {
            iss: site,
            aud: site,
            sub: claims.client_id,
            client_id: claims.client_id,
            scope: &claims.scope,
        };
        Self::begin(key, site, SERVICE_HEADER, &start)
    }

    fn begin(key: &AssertionKey, site: &str, header: &str, start: &impl Serialize) -> Self {
        // Nothing in it can fail to be written; if it did, no origin would take the rest for an assertion.
        let mut payload = serde_json::to_string(start).unwrap_or_default();
        payload.pop();
        payload.push(',');
        // Three bytes are four characters in base64url: what comes next begins with a character of its own.
        while !payload.len().is_multiple_of(3) {
            payload.push(' ');
        }
        let start = [header, ".", &base64url::encode(payload)].concat();
        let begun = key.0.begun_with(start.as_bytes());
        Self {
            start,
            begun,
            site: site.to_owned(),
        }
    }

    /// The assertion `serial` that the user, or the service, stands behind a request at `now`. Method and target are as in [`Request`].
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
    let said: Said = open(token, TYPE, keys)?;
    said.bound.check(&request, now)?;
    if !said.roles.iter().all(|role| is_role(role)) {
        return Err(Rejection::Malformed("roles"));
    }
    Ok(Identity {
        user: said.sub,
        session: said.sid,
        roles: said.roles,
        actor: said.act.map(|act| act.sub),
        auth_time: said.auth_time,
        id: said.bound.jti,
    })
}

/// What a service's assertion proves. Only [`verify_service`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceIdentity {
    client: ClientId,
    scopes: Scopes,
    id: String,
}

impl ServiceIdentity {
    /// The service.
    pub const fn client(&self) -> ClientId {
        self.client
    }

    /// What it may do.
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The assertion's own name (`jti`): whoever has seen it before sees a replay.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The same for a request of a service.
///
/// # Errors
/// [`Rejection`] as for [`verify`]; [`Rejection::WrongType`] for a user's assertion.
pub fn verify_service(
    token: &str,
    keys: &[AssertionKey],
    request: Request<'_>,
    now: UnixTime,
) -> Result<ServiceIdentity, Rejection> {
    let said: ServiceSaid = open(token, SERVICE_TYPE, keys)?;
    said.bound.check(&request, now)?;
    if said.sub != said.client_id {
        return Err(Rejection::Malformed("sub is not client_id"));
    }
    Ok(ServiceIdentity {
        client: said.client_id,
        scopes: said.scope,
        id: said.bound.jti,
    })
}

/// What an assertion of this type says, once its signature holds.
fn open<T: DeserializeOwned>(
    token: &str,
    typ: &str,
    keys: &[AssertionKey],
) -> Result<T, Rejection> {
    let jws = UntrustedJws::parse(token, MAX_BYTES)?;
    if jws.untrusted_header.typ != typ {
        return Err(Rejection::WrongType);
    }
    if jws.untrusted_header.alg != "HS256" {
        return Err(Rejection::WrongAlgorithm);
    }
    let payload = jws.payload(|message, tag| keys.iter().any(|key| key.0.holds(message, tag)))?;
    strict::object(&payload).ok_or(Rejection::Malformed("assertion"))
}

impl Bound {
    fn check(&self, request: &Request<'_>, now: UnixTime) -> Result<(), Rejection> {
        if self.iss != request.site {
            return Err(Rejection::WrongIssuer);
        }
        if self.aud != request.site {
            return Err(Rejection::WrongAudience);
        }
        if self.request_hash != request.hash() {
            return Err(Rejection::OtherRequest);
        }
        if self.iat > now.plus(SKEW) {
            return Err(Rejection::NotYetValid);
        }
        if now >= self.exp {
            return Err(Rejection::Expired);
        }
        Ok(())
    }
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

/// What is the same in all assertions for one service.
#[derive(Serialize)]
struct ServiceStart<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: ClientId,
    client_id: ClientId,
    scope: &'a Scopes,
}

/// What binds an assertion to one request.
#[derive(Deserialize)]
struct Bound {
    iss: String,
    aud: String,
    jti: String,
    iat: UnixTime,
    exp: UnixTime,
    request_hash: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(flatten)]
    bound: Bound,
    sub: UserId,
    sid: SessionId,
    auth_time: UnixTime,
    roles: Vec<String>,
    act: Option<Actor>,
}

#[derive(Deserialize)]
struct ServiceSaid {
    #[serde(flatten)]
    bound: Bound,
    sub: ClientId,
    client_id: ClientId,
    scope: Scopes,
}

#[cfg(test)]
mod tests;
