//! Checks `Portcullis-Assertion`.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What the edge says of whoever sent the request.
#[derive(Clone, Deserialize, Serialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// The session.
    pub sid: String,
    /// What the user may do.
    pub roles: Vec<String>,
    /// When the user last proved who they are, in seconds since 1970.
    pub auth_time: i64,
    #[serde(skip_serializing)]
    jti: String,
    #[serde(skip_serializing)]
    exp: u64,
    #[serde(skip_serializing)]
    request_hash: String,
}

/// What assertions are checked against.
pub struct Assertions {
    site: String,
    keys: Vec<DecodingKey>,
    validation: Validation,
    seen: Mutex<Seen>,
}

impl Assertions {
    /// For the site `public_url` as its users see it: not the `Host` of a request, which says how the edge got here.
    /// `origin_secret` is one secret, or `new,old` while it is being changed.
    pub fn new(public_url: &str, origin_secret: &str) -> Self {
        let site = public_url.trim_end_matches('/').to_owned();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&site]);
        validation.set_audience(&[&site]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // The library would add a minute to the 30 seconds.
        validation.leeway = 0;
        Self {
            keys: origin_secret.split(',').map(key).collect(),
            site,
            validation,
            seen: Mutex::default(),
        }
    }

    /// What `token` says, if it was made for this request and did not come before.
    pub fn check(&self, token: &str, method: &str, target: &str) -> Option<Claims> {
        let decoded = self
            .keys
            .iter()
            .find_map(|key| jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok())?;
        if decoded.header.typ.as_deref() != Some("portcullis-assertion+jwt") {
            return None;
        }
        let claims = decoded.claims;
        let request = Sha256::digest(format!("{method} {}{target}", self.site));
        if claims.request_hash != URL_SAFE_NO_PAD.encode(request) {
            return None;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.add(&claims).then_some(claims)
    }
}

/// HKDF-SHA-256 (RFC 5869) without salt.
fn key(secret: &str) -> DecodingKey {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, secret.trim().as_bytes())
        .expand(b"portcullis assertion v2", &mut key)
        .expect("HKDF-SHA-256 gives 32 bytes");
    DecodingKey::from_secret(&key)
}

/// Assertions that came and have not expired, the oldest first. Several processes behind one edge need a place in common,
/// such as Redis; where only the edge can reach the origin, none is needed.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    by_age: VecDeque<(u64, String)>,
}

impl Seen {
    /// Whether these are new.
    fn add(&mut self, claims: &Claims) -> bool {
        let now = jsonwebtoken::get_current_timestamp();
        while let Some((_, id)) = self.by_age.pop_front_if(|(exp, _)| *exp <= now) {
            self.ids.remove(&id);
        }
        let is_new = self.ids.insert(claims.jti.clone());
        if is_new {
            self.by_age.push_back((claims.exp, claims.jti.clone()));
        }
        is_new
    }
}
