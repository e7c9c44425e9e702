//! Where a list goes on. Opaque to clients: the place of the last user that they were shown.
//!
//! Every text that looks like a cursor is one, so that its pattern says all: the bytes of the key are filled up with NUL, which no
//! key has, to where base64 leaves no bits over.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use shared::id::UserId;

use crate::http::error::Failure;
use crate::store::directory::Place;

/// The form of a cursor. Another form takes another number.
const VERSION: u8 = 1;

/// The cursor of a place.
pub(super) fn write(place: &Place) -> String {
    let mut bytes = vec![VERSION, u8::from(place.by_name)];
    bytes.extend_from_slice(place.id.as_bytes());
    bytes.extend_from_slice(place.key.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(3), 0);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The place of a cursor. Whoever makes one up is shown no more than with a true one: where to begin is no secret.
pub(super) fn read(text: &str) -> Result<Place, Failure> {
    decode(text).ok_or_else(|| Failure::field("cursor", "must be the next of a list"))
}

fn decode(text: &str) -> Option<Place> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (start, key) = bytes.split_at_checked(2)?;
    let by_name = match start {
        [VERSION, 0] => false,
        [VERSION, 1] => true,
        _ => return None,
    };
    let (id, key) = key.split_first_chunk::<16>()?;
    if key.len() % 3 != 0 {
        return None;
    }
    Some(Place {
        by_name,
        // Postgres takes no NUL in text.
        key: String::from_utf8_lossy(key).replace('\0', ""),
        id: UserId::from_bytes(*id),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_leads_back_to_its_place(by_name: bool, key in "[^\0]{0,40}", id: [u8; 16]) {
            let place = Place { by_name, key, id: UserId::from_bytes(id) };
            prop_assert_eq!(decode(&write(&place)), Some(place));
        }

        #[test]
        fn every_text_of_the_pattern_is_one(text in "AQ[A-H][A-Za-z0-9_-]{21}([A-Za-z0-9_-]{4}){0,9}") {
            prop_assert!(decode(&text).is_some_and(|place| !place.key.contains('\0')));
        }
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        for text in [
            "",
            "AQ",
            "AgAAAAAAAAAAAAAAAAAAAAAA",
            "////",
            "AQAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(matches!(read(text), Err(Failure::BadField(_))), "{text}");
        }
    }
}
