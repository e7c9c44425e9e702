//! What is published through Workers KV: bytes with a MAC, so that who can write to KV cannot invent keys or
//! revocations, nor take any away.
//!
//! Layout: payload, then 32 bytes of HMAC-SHA-256 under a key derived for this kind of payload. The key names the
//! purpose, so one kind cannot pass as another.

use crate::hmac_sha256::HmacKey;
use crate::secret::{Purpose, RootSecret};

/// The largest value that Workers KV stores.
pub const MAX_BYTES: usize = 25 * 1024 * 1024;
const TAG_BYTES: usize = 32;

/// Why published bytes were not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// More than [`MAX_BYTES`].
    #[error("larger than the {MAX_BYTES} bytes that KV stores")]
    Oversized,
    /// The MAC does not hold under any configured secret: changed, cut, or made with another `EDGE_SECRET`.
    #[error("the MAC does not hold: changed on the way, cut, or made with another EDGE_SECRET")]
    BadMac,
    /// The MAC holds but this build cannot read what is inside.
    #[error("the content is malformed: {0}")]
    Malformed(&'static str),
}

/// `payload` with its MAC under `secret`.
pub(crate) fn close(mut payload: Vec<u8>, purpose: Purpose, secret: &RootSecret) -> Vec<u8> {
    let tag = HmacKey::new(secret.derive(purpose).expose()).tag(&payload);
    payload.extend_from_slice(&tag);
    payload
}

/// The payload of `bytes`, if the MAC holds under any of `secrets`.
pub(crate) fn open<'a>(
    bytes: &'a [u8],
    purpose: Purpose,
    secrets: &[RootSecret],
) -> Result<&'a [u8], EnvelopeError> {
    if bytes.len() > MAX_BYTES {
        return Err(EnvelopeError::Oversized);
    }
    let (payload, tag) = bytes
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(EnvelopeError::BadMac)?;
    secrets
        .iter()
        .any(|secret| HmacKey::new(secret.derive(purpose).expose()).holds(payload, tag))
        .then_some(payload)
        .ok_or(EnvelopeError::BadMac)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn only_the_same_bytes_for_the_same_purpose_open() {
        let secrets = RootSecret::parse_list(
            "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p,pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J",
        )
        .unwrap();
        for secret in &secrets {
            let closed = close(b"payload".to_vec(), Purpose::RevocationUpdate, secret);
            assert_eq!(
                open(&closed, Purpose::RevocationUpdate, &secrets),
                Ok(&b"payload"[..])
            );
            assert_eq!(
                open(&closed, Purpose::KeySet, &secrets),
                Err(EnvelopeError::BadMac)
            );
            for cut in 0..closed.len() {
                assert_eq!(
                    open(&closed[..cut], Purpose::RevocationUpdate, &secrets),
                    Err(EnvelopeError::BadMac)
                );
                let mut flipped = closed.clone();
                flipped[cut] ^= 1;
                assert_eq!(
                    open(&flipped, Purpose::RevocationUpdate, &secrets),
                    Err(EnvelopeError::BadMac)
                );
            }
        }
        let old_only = close(b"payload".to_vec(), Purpose::RevocationUpdate, &secrets[1]);
        assert_eq!(
            open(&old_only, Purpose::RevocationUpdate, &secrets[..1]),
            Err(EnvelopeError::BadMac)
        );
    }
}
