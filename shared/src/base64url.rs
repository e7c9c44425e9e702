//! base64url without padding (RFC 4648 §5), as JOSE uses it: canonical only, so that one value has one spelling.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes `bytes`.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends what [`encode`] gives to `text`.
pub(crate) fn push(text: &mut String, bytes: impl AsRef<[u8]>) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes `text`; `None` where it has padding, a foreign character, or non-zero trailing bits.
pub(crate) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes `text` if it holds exactly `N` bytes.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        assert_eq!(decode("AA"), Some(vec![0]));
        for other in ["AA==", "AB", "A", "A A", "A+", "A/"] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}
