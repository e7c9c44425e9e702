//! Identifiers: 128 bits from a CSPRNG each (OWASP ASVS 5.0, 7.2.3), written as 22 characters of base64url.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use sha2::{Digest as _, Sha256};

use crate::base64url;

/// The first 64 bits of a random id: what a revocation names.
///
/// Two of a million live ids share a fingerprint with odds below 10⁻⁷, and a wrong match only asks somebody to sign
/// in once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

/// The text is not 22 characters of base64url that hold 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 22 characters of base64url")]
pub struct BadId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id made of these bytes, which the caller drew from a CSPRNG or read from storage.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its 128 bits.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Its first 64 bits.
            pub const fn fingerprint(&self) -> Fingerprint {
                let [a, b, c, d, e, f, g, h, ..] = self.0;
                Fingerprint(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base64url::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                base64url::decode_array(text).map(Self).ok_or(BadId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        fmt::Display::fmt(&BadId, f)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

id! {
    /// A user: `sub` (RFC 7519 §4.1.2).
    UserId
}
id! {
    /// One signed-in browser or client of a user: `sid` (OpenID Connect Front-Channel Logout 1.0 §3).
    SessionId
}
id! {
    /// A service that is registered as a client: `client_id` (RFC 6749 §2.2), and `sub` of its own tokens (RFC 9068 §2.2).
    ClientId
}

id! {
    /// One access token: `jti` (RFC 7519 §4.1.7).
    TokenId
}

id! {
    /// A signing key, as revocations name it: see [`KeyId::of`].
    KeyId
}

impl KeyId {
    /// The id of the key named `kid` (RFC 7517 §4.5): the first 128 bits of its SHA-256.
    pub fn of(kid: &str) -> Self {
        let hash = Sha256::digest(kid);
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash) {
            *to = from;
        }
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn text_and_bytes_are_the_same_id() {
        let id = SessionId::from_bytes([0xfb; 16]);
        assert_eq!(id.to_string().len(), 22);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(
            serde_json::from_str::<SessionId>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
        assert_eq!(id.fingerprint(), Fingerprint(0xfbfb_fbfb_fbfb_fbfb));
    }

    #[test]
    fn other_spellings_are_no_ids() {
        for text in [
            "",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAA=",
        ] {
            assert_eq!(text.parse::<UserId>(), Err(BadId), "{text}");
        }
        assert!(serde_json::from_str::<UserId>("7").is_err());
    }
}
