//! Access tokens: minting, and the only way to a [`Verified`] one (RFC 9068, RFC 8725).

use std::time::Duration;

use jsonwebtoken::Header;

use crate::claims::{Claims, is_role};
use crate::jws::UntrustedJws;
use crate::key::{Algorithm, KeySet, SigningKey};
use crate::provider;
use crate::rejection::Rejection;
use crate::strict;
use crate::time::UnixTime;

/// `typ` of an access token (RFC 9068 §2.1). No other token of ours has it.
pub const TYPE: &str = "at+jwt";

/// How far ahead of ours the issuer's clock may run. It widens only `iat`: a token never outlives its `exp`.
pub const SKEW: Duration = Duration::from_secs(5);

/// Why a token could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// A role that [`is_role`] refuses.
    #[error("a role is not 1 to 64 of a-z 0-9 _ - . :")]
    BadRole,
    /// The signer failed.
    #[error("the access token could not be signed")]
    Sign,
}

/// The access token that says `claims`, signed with `key`: a compact JWS (RFC 7515 §7.1).
///
/// # Errors
/// [`MintError`] where a role cannot travel in a header, or signing fails.
pub fn mint(claims: &Claims, key: &SigningKey) -> Result<String, MintError> {
    if !claims.roles.iter().all(|role| is_role(role)) {
        return Err(MintError::BadRole);
    }
    provider::install();
    let mut header = Header::new(match key.algorithm() {
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    });
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key.kid().to_owned());
    jsonwebtoken::encode(&header, claims, &key.encoding_key()).map_err(|_| MintError::Sign)
}

/// Claims whose signature, type, issuer and audience were checked. Only [`verify`] makes one, and it cannot be
/// deserialized. Time and standing change, so they are asked each time: [`check_time`],
/// [`RevocationSet::standing`](crate::revocation::RevocationSet::standing).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// What was proven to be said.
    pub const fn claims(&self) -> &T {
        &self.0
    }
}

/// Whom a token must be from and for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// `iss`, compared byte by byte (RFC 9068 §4).
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
}

/// Checks everything about `token` that stays true: size, form, type, key, signature, issuer, audience, claim types.
///
/// # Errors
/// [`Rejection`] with the first thing that is wrong. Everything cheap is refused before any crypto;
/// [`Rejection::UnknownKey`] may mean that `keys` is out of date.
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Verified<Claims>, Rejection> {
    let jws = UntrustedJws::parse(token)?;
    let untrusted_header = &jws.untrusted_header;
    if untrusted_header.typ != TYPE {
        return Err(Rejection::WrongType);
    }
    let key = keys
        .get(&untrusted_header.kid)
        .ok_or(Rejection::UnknownKey)?;
    if untrusted_header.alg != key.algorithm().as_str() {
        return Err(Rejection::WrongAlgorithm);
    }
    let payload = jws.payload(|message, signature| key.holds(message, signature))?;
    let claims: Claims = strict::object(&payload).ok_or(Rejection::Malformed("claims"))?;
    if claims.iss != expected.issuer {
        return Err(Rejection::WrongIssuer);
    }
    if claims.aud != expected.audience {
        return Err(Rejection::WrongAudience);
    }
    if !claims.roles.iter().all(|role| is_role(role)) {
        return Err(Rejection::Malformed("roles"));
    }
    Ok(Verified(claims))
}

/// Whether the token is within its time at `now`.
///
/// # Errors
/// [`Rejection::Expired`] from the second `exp` on; [`Rejection::NotYetValid`] while `iat` is more than [`SKEW`] ahead.
pub fn check_time(token: &Verified<Claims>, now: UnixTime) -> Result<(), Rejection> {
    if now >= token.claims().exp {
        return Err(Rejection::Expired);
    }
    if token.claims().iat > now.plus(SKEW) {
        return Err(Rejection::NotYetValid);
    }
    Ok(())
}

/// The `kid` that `token` names, unproven: good for deciding whether to look for newer keys, and for nothing else.
///
/// # Errors
/// [`Rejection`] where the token has no readable header.
pub fn untrusted_kid(token: &str) -> Result<String, Rejection> {
    Ok(UntrustedJws::parse(token)?.untrusted_header.kid)
}
