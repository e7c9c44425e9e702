//! Which tokens are refused although their signature and time are good.

mod codec;
mod entry;
mod index;
mod relay;
mod set;
mod update;

pub use codec::Entries;
pub use entry::{Entry, Revocation};
pub use relay::Relay;
pub use set::{RevocationSet, Standing};
pub use update::{BaseName, OpenUpdate, Update};

#[cfg(test)]
mod testing {
    use crate::claims::{Claims, ServiceClaims};
    use crate::id::{ClientId, SessionId, TokenId, UserId};
    use crate::key::{KeySet, SigningKey};
    use crate::scope::Scopes;
    use crate::secret::Secret;
    use crate::time::UnixTime;
    use crate::token::{self, Expected, Verified};

    pub(super) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

    /// A verified token of a fixed user and session, by the only way there is.
    pub(super) fn token_issued_at(iat: UnixTime) -> Verified<Claims> {
        let claims = Claims {
            iss: "i".into(),
            aud: "a".into(),
            sub: UserId::from_bytes([1; 16]),
            client_id: "browser".into(),
            sid: SessionId::from_bytes([2; 16]),
            jti: TokenId::from_bytes([3; 16]),
            iat,
            exp: UnixTime::from_secs(i64::MAX),
            auth_time: iat,
            ver: 4,
            roles: vec![],
            act: None,
        };
        let key = key();
        let keys = KeySet::new(vec![key.verifying_key().clone()]);
        token::verify(&token::mint(&claims, &key).unwrap(), &keys, &EXPECTED).unwrap()
    }

    /// The same of a fixed service.
    pub(super) fn service_token_issued_at(iat: UnixTime) -> Verified<ServiceClaims> {
        let claims = ServiceClaims {
            iss: "i".into(),
            aud: "a".into(),
            sub: ClientId::from_bytes([4; 16]),
            client_id: ClientId::from_bytes([4; 16]),
            jti: TokenId::from_bytes([5; 16]),
            iat,
            exp: UnixTime::from_secs(i64::MAX),
            ver: 2,
            scope: Scopes::default(),
        };
        let key = key();
        let keys = KeySet::new(vec![key.verifying_key().clone()]);
        let text = token::mint_service(&claims, &key).unwrap();
        token::verify_service(&text, &keys, &EXPECTED).unwrap()
    }

    const EXPECTED: Expected<'_> = Expected {
        issuer: "i",
        audience: "a",
    };

    fn key() -> SigningKey {
        SigningKey::ed25519("k".into(), &Secret::from_bytes([7; 32]))
    }
}
