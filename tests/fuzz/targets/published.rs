//! What is read from KV, behind a good MAC: a malformed update or key set is refused, and a good one has one spelling.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shared::key::KeySet;
use shared::revocation::OpenUpdate;
use shared::secret::RootSecret;

static SECRETS: LazyLock<[RootSecret; 1]> =
    LazyLock::new(|| [RootSecret::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap()]);

fuzz_target!(|payload: &[u8]| {
    assert!(OpenUpdate::open(payload, &*SECRETS).is_err());
    assert!(KeySet::open(payload, &*SECRETS).is_err());
    if let Ok(jwks) = std::str::from_utf8(payload) {
        let _ = KeySet::from_jwks(jwks);
    }
    if let Ok(open) = OpenUpdate::untrusted_decode(payload) {
        let again = open.to_update().encode(&SECRETS[0]);
        assert_eq!(again.split_last_chunk::<32>().unwrap().0, payload);
        assert_eq!(OpenUpdate::open(&again, &*SECRETS), Ok(open));
    }
});
