//! What the workers of a measurement know and are shown: secrets made for this run, tokens, and what the issuer would
//! have published in KV.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use shared::claims::Claims;
use shared::id::{SessionId, TokenId, UserId};
use shared::key::{Algorithm, KeySet, SigningKey};
use shared::revocation::{Entry, Revocation, Update};
use shared::secret::{RootSecret, Secret};
use shared::time::{UnixMillis, UnixTime};
use shared::{token, wire};

/// The site: issuer and audience of every token.
pub(crate) const SITE: &str = "https://app.example.test";
/// Tokens, or cookies, where each request carries another: an isolate remembers a thousand tokens and 500 `Cookie` headers.
const MANY: usize = 16_384;
/// Sessions of others that have been ended within the life of an access token.
const REVOCATIONS: usize = 10_000;
const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// The secrets of one run.
pub(crate) struct Knowledge {
    /// `EDGE_SECRET`.
    pub(crate) edge_secret: String,
    /// `ORIGIN_SECRET`.
    pub(crate) origin_secret: String,
    /// `JWT_SECRET`, for the workers that use HS256.
    pub(crate) jwt_secret: String,
    signs_eddsa: SigningKey,
    signs_hs256: SigningKey,
}

impl Knowledge {
    /// New secrets.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn new() -> Result<Self> {
        let jwt_secret = hex::encode(random::<32>()?);
        let shared = RootSecret::parse(&jwt_secret).context("the secret that was made")?;
        Ok(Self {
            edge_secret: hex::encode(random::<32>()?),
            origin_secret: hex::encode(random::<32>()?),
            signs_eddsa: SigningKey::ed25519("measure".to_owned(), &Secret::from_bytes(random()?)),
            signs_hs256: SigningKey::hs256(&shared),
            jwt_secret,
        })
    }

    /// The public key of EdDSA tokens as a JWK (RFC 8037).
    ///
    /// # Errors
    /// None in fact: the key set is JSON that we wrote.
    pub(crate) fn jwk(&self) -> Result<String> {
        let set: serde_json::Value =
            serde_json::from_str(&self.keys().to_jwks()).context("the key set")?;
        Ok(set["keys"][0].to_string())
    }

    /// One good token.
    ///
    /// # Errors
    /// It cannot be signed.
    pub(crate) fn token(&self, algorithm: Algorithm) -> Result<Arc<[String]>> {
        self.tokens(algorithm, 1)
    }

    /// Many good tokens, each of another session.
    ///
    /// # Errors
    /// One cannot be signed.
    pub(crate) fn many_tokens(&self, algorithm: Algorithm) -> Result<Arc<[String]>> {
        self.tokens(algorithm, MANY)
    }

    /// One good token, with another cookie behind it each time.
    ///
    /// # Errors
    /// It cannot be signed.
    pub(crate) fn token_among_others(&self, algorithm: Algorithm) -> Result<Arc<[String]>> {
        let token = &self.token(algorithm)?[0];
        Ok((0..MANY)
            .map(|visit| format!("{token}; visit={visit}"))
            .collect())
    }

    fn tokens(&self, algorithm: Algorithm, count: usize) -> Result<Arc<[String]>> {
        let key = match algorithm {
            Algorithm::EdDsa => &self.signs_eddsa,
            Algorithm::Hs256 => &self.signs_hs256,
        };
        let now = now().to_secs();
        (0..count)
            .map(|_| token::mint(&claims(now)?, key).context("cannot mint a token"))
            .collect()
    }

    /// The value of [`wire::kv::KEY_SET`].
    ///
    /// # Errors
    /// The edge secret is refused.
    pub(crate) fn published_keys(&self) -> Result<Vec<u8>> {
        Ok(self.keys().publish(now(), &self.edge_root()?))
    }

    /// The value of [`wire::kv::REVOCATIONS_HEAD`], made now: other sessions than those of the tokens.
    ///
    /// # Errors
    /// The edge secret is refused, or the system gives no random bytes.
    pub(crate) fn published_revocations(&self) -> Result<Vec<u8>> {
        let expires = now().to_secs().plus(TOKEN_LIFE);
        let entries: Result<Vec<Revocation>> = (0..REVOCATIONS)
            .map(|_| {
                Ok(Revocation {
                    entry: Entry::Session(SessionId::from_bytes(random()?).fingerprint()),
                    expires,
                })
            })
            .collect();
        let made_at = now();
        let head = Update {
            number: REVOCATIONS as u64,
            since: 0,
            made_at,
            sent_at: made_at,
            base: None,
            entries: entries?,
        };
        Ok(head.encode(&self.edge_root()?))
    }

    fn keys(&self) -> KeySet {
        KeySet::new(vec![self.signs_eddsa.verifying_key().clone()])
    }

    fn edge_root(&self) -> Result<RootSecret> {
        RootSecret::parse(&self.edge_secret).context("the secret that was made")
    }
}

fn claims(now: UnixTime) -> Result<Claims> {
    Ok(Claims {
        iss: SITE.to_owned(),
        aud: SITE.to_owned(),
        sub: UserId::from_bytes(random()?),
        sid: SessionId::from_bytes(random()?),
        client_id: wire::BROWSER_CLIENT.to_owned(),
        jti: TokenId::from_bytes(random()?),
        iat: now,
        exp: now.plus(TOKEN_LIFE),
        auth_time: now,
        ver: 1,
        roles: vec!["user".to_owned()],
        act: None,
    })
}

fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use shared::key::VerifyingKey;
    use shared::revocation::{OpenUpdate, RevocationSet};
    use shared::token::Expected;

    use super::*;

    #[test]
    fn tokens_are_good_all_different_and_not_revoked() {
        let knowledge = Knowledge::new().unwrap();
        let secrets = RootSecret::parse_list(&knowledge.edge_secret).unwrap();
        let (keys, _) = KeySet::open(&knowledge.published_keys().unwrap(), &secrets).unwrap();
        let published = knowledge.published_revocations().unwrap();
        let head = OpenUpdate::open(&published, &secrets).unwrap();
        let revoked = RevocationSet::from_entries(head.entries);
        assert_eq!(revoked.len(), REVOCATIONS);
        let shared = KeySet::new(vec![VerifyingKey::hs256(
            &RootSecret::parse(&knowledge.jwt_secret).unwrap(),
        )]);
        for (algorithm, keys) in [(Algorithm::EdDsa, keys), (Algorithm::Hs256, shared)] {
            let tokens = knowledge.tokens(algorithm, 20).unwrap();
            assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 20);
            for text in tokens.iter() {
                let verified = token::verify(
                    text,
                    &keys,
                    &Expected {
                        issuer: SITE,
                        audience: SITE,
                    },
                )
                .unwrap();
                assert_eq!(
                    revoked.standing(&verified),
                    shared::revocation::Standing::Good
                );
            }
        }
    }

    #[test]
    fn the_jwk_is_the_public_key() {
        let jwk: serde_json::Value =
            serde_json::from_str(&Knowledge::new().unwrap().jwk().unwrap()).unwrap();
        assert_eq!(
            (jwk["kty"].as_str(), jwk["crv"].as_str()),
            (Some("OKP"), Some("Ed25519"))
        );
        assert!(jwk["x"].is_string() && jwk["d"].is_null());
    }
}
