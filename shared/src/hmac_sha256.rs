//! HMAC-SHA-256 (RFC 2104) with the padded key's state computed once, as the edge needs it on every request.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

/// A key whose two pad blocks are already hashed.
#[derive(Clone)]
pub(crate) struct HmacKey(Hmac<Sha256>);

/// What an HMAC is made of, two states of SHA-256 and a block, is wiped on drop, as long as Cargo.toml asks `sha2` for it:
/// else this does not compile.
const _: () = {
    const fn is_wiped<T: ZeroizeOnDrop>() {}
    is_wiped::<Sha256>();
};

impl HmacKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        match Hmac::new_from_slice(key) {
            Ok(state) => Self(state),
            Err(_) => unreachable!("HMAC takes keys of every length"),
        }
    }

    /// A key that has taken in `start`: its tags are those of messages that begin so.
    pub(crate) fn begun_with(&self, start: &[u8]) -> Self {
        let mut state = self.0.clone();
        state.update(start);
        Self(state)
    }

    pub(crate) fn tag(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is that of `message`; constant time.
    pub(crate) fn holds(&self, message: &[u8], tag: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// RFC 4231 §4.3.
    #[test]
    fn tags_are_those_of_rfc_4231() {
        let key = HmacKey::new(b"Jefe");
        let tag = key.tag(b"what do ya want for nothing?");
        assert_eq!(
            hex::encode(tag),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert!(key.holds(b"what do ya want for nothing?", &tag));
        assert!(!key.holds(b"what do ya want for nothing", &tag));
        assert!(!key.holds(b"what do ya want for nothing?", &tag[..31]));
    }
}
