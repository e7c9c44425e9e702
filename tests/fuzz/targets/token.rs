//! Access tokens, assertions of the edge and of services, refresh tokens and scopes: foreign text is refused without a panic.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use shared::assertion::{self, AssertionKey, Request};
use shared::client_assertion::Untrusted;
use shared::key::{KeySet, VerifyingKey};
use shared::refresh_token::RefreshToken;
use shared::scope::Scopes;
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
    assert!(token::verify_any(text, &KEYS, &expected).is_err());
    let _ = token::untrusted_kid(text);
    let now = UnixTime::from_secs(0);
    let keys = std::slice::from_ref(&*ASSERTION_KEY);
    assert!(assertion::verify(text, keys, request, now).is_err());
    assert!(assertion::verify_service(text, keys, request, now).is_err());
    assert!(RefreshToken::open(text, &SEALS, "i").is_err());
    if let Ok(untrusted) = Untrusted::parse(text) {
        assert!(untrusted.check(|_| false, &["i"], now).is_err());
    }
    // The claims of a service's assertion, as far as a fuzzer can get without making base64 of them.
    let header = r#"{"alg":"ES256"}"#;
    let wrapped = [header, text]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".")
        + ".AA";
    if let Ok(untrusted) = Untrusted::parse(&wrapped)
        && let Ok(proven) = untrusted.check(|_| true, &["i"], now)
    {
        assert!(proven.expires() > now);
    }
    if let Ok(scopes) = Scopes::parse(text) {
        assert_eq!(Scopes::parse(&scopes.to_string()), Ok(scopes));
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
});
