//! An answer of the issuer's feed that one isolate keeps for the others of its location, with when it was asked for.
//!
//! The age of what it says counts from there, so this stands under the MAC too: whoever can write to the cache in between
//! must not be able to make it younger.
//!
//! Payload: asked_at (8 bytes, ms), took (8, ms), then the answer as the issuer sent it. Numbers are big-endian.

use std::time::Duration;

use super::codec::Reader;
use crate::envelope::{self, EnvelopeError};
use crate::secret::{Purpose, RootSecret};
use crate::time::UnixMillis;

/// An answer on its way from one isolate to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay<'a> {
    /// When the issuer was asked, by the clock of the isolate that asked.
    pub asked_at: UnixMillis,
    /// How long it took from then until the answer was shared, by the same clock.
    pub took: Duration,
    /// An [`Update`](super::Update) with the issuer's own MAC.
    pub answer: &'a [u8],
}

impl<'a> Relay<'a> {
    /// The bytes to share, with a MAC under `secret`.
    pub fn encode(&self, secret: &RootSecret) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.answer.len() + 64);
        payload.extend_from_slice(&self.asked_at.millis().to_be_bytes());
        let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        payload.extend_from_slice(&took.to_be_bytes());
        payload.extend_from_slice(self.answer);
        envelope::close(payload, Purpose::Relay, secret)
    }

    /// Reads what [`Self::encode`] made with any of `secrets`. The answer's own MAC is not looked at.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the MAC does not hold, or the bytes are cut short.
    pub fn open(bytes: &'a [u8], secrets: &[RootSecret]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader(envelope::open(bytes, Purpose::Relay, secrets)?);
        Ok(Self {
            asked_at: UnixMillis::from_millis(reader.u64()?.cast_signed()),
            took: Duration::from_millis(reader.u64()?),
            answer: reader.0,
        })
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn secrets() -> [RootSecret; 1] {
        [RootSecret::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap()]
    }

    #[test]
    fn it_arrives_as_it_was_sent_or_not_at_all() {
        let relay = Relay {
            asked_at: UnixMillis::from_millis(1_700_000_000_123),
            took: Duration::from_millis(45),
            answer: b"answer",
        };
        let secrets = secrets();
        let bytes = relay.encode(&secrets[0]);
        assert_eq!(Relay::open(&bytes, &secrets), Ok(relay));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Relay::open(&changed, &secrets), Err(EnvelopeError::BadMac));
        }
    }

    #[test]
    fn an_update_is_none_and_a_short_one_is_refused() {
        let secrets = secrets();
        for (purpose, error) in [
            (Purpose::RevocationUpdate, EnvelopeError::BadMac),
            (Purpose::Relay, EnvelopeError::Malformed("cut short")),
        ] {
            let bytes = envelope::close(vec![0; 15], purpose, &secrets[0]);
            assert_eq!(Relay::open(&bytes, &secrets), Err(error));
        }
    }
}
