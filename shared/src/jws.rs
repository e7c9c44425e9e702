//! The compact serialization of a JWS (RFC 7515 §7.1), taken apart strictly and before any crypto.

use serde::Deserialize;

use crate::base64url;
use crate::rejection::Rejection;
use crate::strict;

/// A token taken apart; nothing of it is proven yet.
pub(crate) struct UntrustedJws<'a> {
    pub(crate) untrusted_header: Header,
    untrusted_payload: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
}

/// The header that we write. Any other member (`jku`, `jwk`, `x5u`, `x5c`, `crit`, `b64`, …) is refused, because it
/// asks the verifier to do something that ours does not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) typ: String,
    pub(crate) alg: String,
    #[serde(default)]
    pub(crate) kid: String,
}

impl<'a> UntrustedJws<'a> {
    /// Takes apart a token of at most `max` bytes.
    pub(crate) fn parse(token: &'a str, max: usize) -> Result<Self, Rejection> {
        if token.len() > max {
            return Err(Rejection::Oversized { max });
        }
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or(Rejection::Malformed("not three parts"))?;
        let (header, payload) = signed
            .split_once('.')
            .filter(|(_, payload)| !payload.contains('.'))
            .ok_or(Rejection::Malformed("not three parts"))?;
        let header =
            base64url::decode(header).ok_or(Rejection::Malformed("header is not base64url"))?;
        Ok(Self {
            untrusted_header: strict::object(&header).ok_or(Rejection::Malformed("header"))?,
            untrusted_payload: payload,
            signed,
            signature: base64url::decode(signature)
                .ok_or(Rejection::Malformed("signature is not base64url"))?,
        })
    }

    /// The payload's bytes, whoever made them.
    pub(crate) fn untrusted_payload(&self) -> Option<Vec<u8>> {
        base64url::decode(self.untrusted_payload)
    }

    /// The payload's bytes, once `holds(signed part, signature)` says that the signature does.
    pub(crate) fn payload(
        self,
        holds: impl FnOnce(&[u8], &Vec<u8>) -> bool,
    ) -> Result<Vec<u8>, Rejection> {
        if !holds(self.signed.as_bytes(), &self.signature) {
            return Err(Rejection::BadSignature);
        }
        base64url::decode(self.untrusted_payload)
            .ok_or(Rejection::Malformed("payload is not base64url"))
    }
}
