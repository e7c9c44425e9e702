//! Access tokens, assertions and refresh tokens: foreign text is refused without a panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shared::assertion::{self, AssertionKey, Request};
use shared::key::{KeySet, VerifyingKey};
use shared::refresh_token::RefreshToken;
use shared::seal::SealKeys;
use shared::secret::RootSecret;
use shared::time::UnixTime;
use shared::token::{self, Expected};

const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
static ROOT: LazyLock<RootSecret> = LazyLock::new(|| RootSecret::parse(SECRET).unwrap());
static KEYS: LazyLock<KeySet> = LazyLock::new(|| KeySet::new(vec![VerifyingKey::hs256(&ROOT)]));
static ASSERTION_KEY: LazyLock<AssertionKey> = LazyLock::new(|| AssertionKey::from(&*ROOT));
static SEALS: LazyLock<SealKeys> = LazyLock::new(|| SealKeys::parse(SECRET).unwrap());

fuzz_target!(|text: &str| {
    let expected = Expected {
        issuer: "i",
        audience: "i",
    };
    let request = Request {
        method: "GET",
        site: "i",
        path_and_query: "/",
    };
    assert!(token::verify(text, &KEYS, &expected).is_err());
    let _ = token::untrusted_kid(text);
    let now = UnixTime::from_secs(0);
    assert!(assertion::verify(text, std::slice::from_ref(&ASSERTION_KEY), request, now).is_err());
    assert!(RefreshToken::open(text, &SEALS, "i").is_err());
});
