//! Verifying an ID token (OpenID Connect Core 1.0 §3.1.3.7), by the library, and what the library leaves to others. Pure.

use std::time::Duration;

use chrono::DateTime;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier};
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
};
use serde_json::{Map, Value};
use shared::time::UnixMillis;

use super::keys::{ALGORITHMS, Keys, untrusted_parts};
use super::metadata::{Metadata, issuer_of};

/// How far a provider's clock may be from ours.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// What a token must be.
pub(super) struct Expected<'a> {
    /// Whose.
    pub(super) metadata: &'a Metadata,
    /// For whom.
    pub(super) client_id: &'a str,
    /// For which sign-in.
    pub(super) nonce: &'a str,
    /// When that began: no token of it is older.
    pub(super) began: UnixMillis,
    /// The time.
    pub(super) now: UnixMillis,
}

/// A token that is all that.
#[derive(Debug)]
pub(super) struct Verified {
    /// `iss`.
    pub(super) issuer: String,
    /// Its claims.
    pub(super) claims: Map<String, Value>,
}

/// Why a token was not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadIdToken {
    /// Signed with a key that is not held: newer ones may hold it.
    #[error("signed with a key that the provider does not publish")]
    UnknownKey,
    /// Refused by the library.
    #[error(transparent)]
    Refused(#[from] ClaimsVerificationError),
    /// Not even a token.
    #[error("no ID token")]
    Malformed,
    /// Of no tenant, or signed with another tenant's key.
    #[error("iss is not that of the token's tenant, or not that of its key")]
    Tenant,
    /// For another party (§3.1.3.7, steps 4 and 5, which the library leaves out).
    #[error("azp is missing or somebody else")]
    AuthorizedParty,
    /// `nbf` (RFC 7519 §4.1.5).
    #[error("nbf is in the future, or no time")]
    NotYet,
    /// Made before the sign-in began, or in the future.
    #[error("iat is outside of the sign-in")]
    IssuedAt,
}

/// Verifies `token`.
pub(super) fn verify(
    token: &str,
    keys: &Keys,
    expected: &Expected<'_>,
) -> Result<Verified, BadIdToken> {
    let (kid, claims) = untrusted_parts(token).map_err(|_| BadIdToken::Malformed)?;
    // Which issuer a token must name depends on its tenant, so that is read first; what is signed is checked below.
    let tenant = claims.get("tid").and_then(Value::as_str);
    let issuer = expected
        .metadata
        .issuer_of(tenant)
        .ok_or(BadIdToken::Tenant)?;
    if let Some(of_key) = keys.issuer_of(kid.as_deref())
        && issuer_of(of_key, tenant).as_ref() != Some(&issuer)
    {
        return Err(BadIdToken::Tenant);
    }

    let parsed: CoreIdToken = token.parse().map_err(|_| BadIdToken::Malformed)?;
    let seconds = expected.now.minus(SKEW).to_secs().secs();
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(expected.client_id.to_owned()),
        IssuerUrl::new(issuer.clone()).map_err(|_| BadIdToken::Tenant)?,
        keys.set.clone(),
    )
    .set_allowed_algs(ALGORITHMS)
    // It may be for others too, if `azp` says that it was made for us.
    .set_other_audience_verifier_fn(|_| true)
    .set_time_fn(move || DateTime::from_timestamp(seconds, 0).unwrap_or_default());
    let verified = parsed
        .claims(&verifier, &Nonce::new(expected.nonce.to_owned()))
        .map_err(|error| match error {
            ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            ) => BadIdToken::UnknownKey,
            error => BadIdToken::Refused(error),
        })?;

    let party = claims
        .get("azp")
        .map(|azp| azp.as_str().unwrap_or_default());
    match party {
        Some(party) if party != expected.client_id => return Err(BadIdToken::AuthorizedParty),
        None if verified.audiences().len() > 1 => return Err(BadIdToken::AuthorizedParty),
        Some(_) | None => {}
    }
    if let Some(not_before) = claims.get("nbf")
        && not_before
            .as_i64()
            .is_none_or(|secs| secs > latest(expected.now))
    {
        return Err(BadIdToken::NotYet);
    }
    let issued_at = verified.issue_time().timestamp();
    let earliest = expected.began.minus(SKEW).to_secs().secs();
    if !(earliest..=latest(expected.now)).contains(&issued_at) {
        return Err(BadIdToken::IssuedAt);
    }
    Ok(Verified { issuer, claims })
}

/// The last second that is not in the future.
fn latest(now: UnixMillis) -> i64 {
    now.plus(SKEW).to_secs().secs()
}

/// Whether a token can be taken apart, but has claims that no ID token has: too few, or of other types.
pub(super) fn lacks_claims(token: &str) -> bool {
    untrusted_parts(token).is_ok() && token.parse::<CoreIdToken>().is_err()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::keys::tests::{keys_for, token};
    use super::super::logout::tests::NOW;
    use super::*;
    use crate::config::IssuerRule;

    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    const MANY: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";

    fn metadata(issuer: &str, rule: &IssuerRule) -> Metadata {
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://op.test/authorize",
            "token_endpoint": "https://op.test/token",
            "jwks_uri": "https://op.test/keys",
        });
        Metadata::parse(document.to_string().as_bytes(), rule).unwrap()
    }

    fn many() -> Metadata {
        let base = "https://login.microsoftonline.com/common/v2.0".to_owned();
        metadata(MANY, &IssuerRule::AnyTenant { base })
    }

    fn check(metadata: &Metadata, keys: &Keys, claims: &Value) -> Result<Verified, BadIdToken> {
        let expected = Expected {
            metadata,
            client_id: "c",
            nonce: "n",
            began: NOW,
            now: NOW.plus(Duration::from_secs(30)),
        };
        let header = json!({"alg": "EdDSA", "kid": "k1", "typ": "JWT"});
        verify(&token(&header, claims), keys, &expected)
    }

    fn claims(iss: &str, changes: &Value) -> Value {
        let mut claims = json!({
            "iss": iss, "aud": "c", "sub": "s", "nonce": "n", "iat": 1_764_000_010, "exp": 1_764_000_300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    #[test]
    fn a_token_must_be_of_this_issuer_for_this_client_and_this_sign_in() {
        let op = metadata(
            "https://op.test",
            &IssuerRule::Exact("https://op.test".to_owned()),
        );
        let keys = keys_for("https://op.test");
        let of = |changes: Value| check(&op, &keys, &claims("https://op.test", &changes));
        assert_eq!(of(json!({})).unwrap().claims["sub"], "s");
        assert!(of(json!({"aud": ["c", "d"], "azp": "c"})).is_ok());
        // What clocks may differ.
        assert!(of(json!({"exp": 1_763_999_971, "iat": 1_763_999_940})).is_ok());
        for changes in [
            json!({"iss": "https://other.test"}),
            json!({"iss": "https://op.test/"}),
            json!({"aud": "d"}),
            json!({"aud": ["c", "d"]}),
            json!({"azp": "d"}),
            json!({"azp": 7}),
            json!({"nonce": "m"}),
            json!({"exp": 1_763_999_970}),
            json!({"iat": 1_763_999_939}),
            json!({"iat": 1_764_000_091}),
            json!({"nbf": 1_764_000_091}),
            json!({"nbf": "1764000000"}),
        ] {
            assert!(of(changes.clone()).is_err(), "{changes}");
        }
    }

    #[test]
    fn of_many_tenants_a_token_has_the_issuer_of_its_own() {
        let issuer = MANY.replace("{tenantid}", TENANT);
        let other = MANY.replace("{tenantid}", &TENANT.replace('7', "8"));
        let of = |keys: &Keys, iss: &str, tenant: Value| {
            check(&many(), keys, &claims(iss, &json!({"tid": tenant})))
        };
        let keys = keys_for(MANY);
        assert_eq!(of(&keys, &issuer, json!(TENANT)).unwrap().issuer, issuer);
        for (iss, tenant) in [
            (issuer.as_str(), json!(null)),
            (&issuer, json!("common")),
            (&other, json!(TENANT)),
            (MANY, json!(TENANT)),
            (MANY, json!("{tenantid}")),
        ] {
            assert!(of(&keys, iss, tenant.clone()).is_err(), "{iss} {tenant}");
        }
    }

    #[test]
    fn a_key_for_one_tenant_signs_for_no_other() {
        let issuer = MANY.replace("{tenantid}", TENANT);
        let other = MANY.replace("{tenantid}", &TENANT.replace('7', "8"));
        let of = |of_key: &str| {
            let claims = claims(&issuer, &json!({"tid": TENANT}));
            check(&many(), &keys_for(of_key), &claims)
        };
        assert!(of(&issuer).is_ok());
        assert!(matches!(of(&other), Err(BadIdToken::Tenant)));
    }

    #[test]
    fn an_unknown_key_is_told_from_a_bad_signature() {
        let op = metadata(
            "https://op.test",
            &IssuerRule::Exact("https://op.test".to_owned()),
        );
        let none = Keys::parse(br#"{"keys":[]}"#).unwrap();
        let good = claims("https://op.test", &json!({}));
        assert!(matches!(
            check(&op, &none, &good),
            Err(BadIdToken::UnknownKey)
        ));
    }
}
