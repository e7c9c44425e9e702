//! The refresh token: which session, how often it was refreshed, and the session's secret, sealed for the issuer.

use crate::base64url;
use crate::id::SessionId;
use crate::rejection::Rejection;
use crate::seal::{NONCE_BYTES, SealKeys, SealPurpose};
use crate::secret::Secret;

/// What a refresh token holds. Whoever forges one would need `ENCRYPTION_KEY`; whoever has that, the session's secret too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session that it continues.
    pub sid: SessionId,
    /// How many refreshes came before it: 0 at sign-in.
    pub generation: u32,
    /// The session's secret, of which Postgres has the hash.
    pub secret: Secret<32>,
}

const PLAIN_BYTES: usize = 16 + 4 + 32;

impl RefreshToken {
    /// The token as it stands in the cookie: sealed, base64url, the same length always. `nonce` comes from a CSPRNG.
    pub fn seal(&self, keys: &SealKeys, issuer: &str, nonce: [u8; NONCE_BYTES]) -> String {
        let mut plain = zeroize::Zeroizing::new(Vec::with_capacity(PLAIN_BYTES));
        plain.extend_from_slice(self.sid.as_bytes());
        plain.extend_from_slice(&self.generation.to_be_bytes());
        plain.extend_from_slice(self.secret.expose());
        base64url::encode(keys.seal(SealPurpose::RefreshToken, issuer, &plain, nonce))
    }

    /// Opens a token as it came in a cookie. Costs no look at the database.
    ///
    /// # Errors
    /// [`Rejection`] where it was not sealed by this issuer with one of `keys`.
    pub fn open(token: &str, keys: &SealKeys, issuer: &str) -> Result<Self, Rejection> {
        const MAX: usize = 512;
        if token.len() > MAX {
            return Err(Rejection::Oversized { max: MAX });
        }
        let sealed = base64url::decode(token).ok_or(Rejection::Malformed("not base64url"))?;
        let plain = keys
            .open(SealPurpose::RefreshToken, issuer, &sealed)
            .map_err(|_| Rejection::BadSignature)?;
        let (sid, rest) = plain
            .split_first_chunk()
            .ok_or(Rejection::Malformed("length"))?;
        let (generation, secret) = rest
            .split_first_chunk()
            .ok_or(Rejection::Malformed("length"))?;
        Ok(Self {
            sid: SessionId::from_bytes(*sid),
            generation: u32::from_be_bytes(*generation),
            secret: Secret::from_bytes(
                secret
                    .try_into()
                    .map_err(|_| Rejection::Malformed("length"))?,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_token_survives_its_seal_and_nothing_else_opens() {
        let keys = SealKeys::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap();
        let token = RefreshToken {
            sid: SessionId::from_bytes([9; 16]),
            generation: u32::MAX,
            secret: Secret::from_bytes([8; 32]),
        };
        let sealed = token.seal(&keys, "https://i", [7; 24]);
        assert_eq!(sealed.len(), 130);
        assert_eq!(RefreshToken::open(&sealed, &keys, "https://i"), Ok(token));
        assert_eq!(
            RefreshToken::open(&sealed, &keys, "https://j"),
            Err(Rejection::BadSignature)
        );
        for other in [
            "",
            "AAAA",
            "not base64url!",
            &"A".repeat(130),
            &"A".repeat(513),
        ] {
            assert!(RefreshToken::open(other, &keys, "https://i").is_err());
        }
    }
}
