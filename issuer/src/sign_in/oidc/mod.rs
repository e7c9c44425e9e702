//! Signing in through an OpenID provider (OpenID Connect Core 1.0, code flow with PKCE), and what a provider may end.
//!
//! A sign-in begins at [`Provider::authorization_url`], its state waits in the browser's cookie ([`pending`]), and its
//! answer is verified by [`Provider::person`]. Whose account that is decides [`decide`], and [`account`] carries it out.

pub mod account;
mod cache;
pub mod claims;
pub mod decide;
mod http;
mod id_token;
mod keys;
pub mod logout;
mod metadata;
pub mod pending;
mod provider;
pub mod revocation;

use std::collections::BTreeMap;

use crate::config::ProviderConfig;

pub use keys::SignedClaims;
pub use provider::{Answer, OidcError, Outcome, Provider};

/// The providers of the configuration, by name. None of them is asked for anything until somebody comes: one that is down
/// does not keep the issuer from starting.
#[derive(Default)]
pub struct Providers(BTreeMap<String, Provider>);

impl Providers {
    /// Those of `configs`; `public_url` is where they send people back to.
    pub fn new(configs: &[ProviderConfig], public_url: &str) -> Self {
        let providers = configs
            .iter()
            .map(|config| (config.name.clone(), Provider::new(config, public_url)));
        Self(providers.collect())
    }

    /// The one of this name.
    pub fn named(&self, name: &str) -> Option<&Provider> {
        self.0.get(name)
    }

    /// All, in the order of names.
    pub fn all(&self) -> impl Iterator<Item = &Provider> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::seal::SealKeys;

    use super::keys::Keys;
    use super::keys::tests::keys_for;
    use super::logout::tests::NOW;
    use super::metadata::Metadata;
    use super::pending::PendingSet;
    use crate::config::IssuerRule;

    proptest! {
        /// What comes from outside: from providers, and from whoever calls in their name.
        #[test]
        fn no_bytes_from_outside_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,200}") {
            let _ = Keys::parse(&bytes);
            let _ = Metadata::parse(&bytes, &IssuerRule::Exact("https://op.test".to_owned()));
            prop_assert!(super::revocation::subject(&bytes).is_none());
            prop_assert!(keys_for("https://op.test").verify(&text).is_err());
            let seal = SealKeys::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap();
            let opened = PendingSet::open(&text, &seal, "https://site.test", NOW);
            prop_assert_eq!(opened, PendingSet::default());
        }

        /// JSON of the right shape with wrong things in it.
        #[test]
        fn no_claims_make_a_reader_panic(name in "(iss|sub|aud|exp|iat|jti|sid|events|nonce|email|name|groups|tid|auth_time)", value in json()) {
            let mut claims = serde_json::json!({
                "iss": "https://op.test", "sub": "s", "aud": "c", "exp": 1_764_000_120, "iat": 1_764_000_000, "jti": "j",
            });
            claims[name.as_str()] = value;
            let signed = super::SignedClaims::of(None, &claims);
            let _ = super::logout::LogoutToken::read(&signed, "c", NOW);
            let _ = super::revocation::check_caller(&signed, "https://site.test/x", "c", NOW);
            let person = super::claims::Person::read("https://op.test", signed.claims, true);
            prop_assert!(person.is_none_or(|person| !person.identity.subject.is_empty()));
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map(".{0,8}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
