//! Where a page of events ends and the next begins.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::time::UnixMillis;

use super::Place;

/// The text is no cursor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor that the issuer gave out")]
pub struct BadCursor;

/// A place in the log as clients carry it: 22 characters of base64url. It says no more than the last event that they got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub Place);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 16];
        let (at, number) = bytes.split_at_mut(8);
        at.copy_from_slice(&self.0.at.millis().to_be_bytes());
        number.copy_from_slice(&self.0.number.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let bytes: [u8; 16] = bytes.try_into().map_err(|_| BadCursor)?;
        let bits = u128::from_be_bytes(bytes);
        let at = ((bits >> 64) as u64).cast_signed();
        let number = (bits as u64).cast_signed();
        // No event lies outside, and Postgres cannot hold every moment.
        let at = at.clamp(0, MOST_MILLIS);
        Ok(Self(Place {
            at: UnixMillis::from_millis(at),
            number,
        }))
    }
}

/// The end of the year 9999.
const MOST_MILLIS: i64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn another_text_is_no_cursor() {
        for text in [
            "",
            "AAAA",
            "=",
            "AAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "a b",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_went(at in 0..=MOST_MILLIS, number in 0..=i64::MAX) {
            let cursor = Cursor(Place { at: UnixMillis::from_millis(at), number });
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn whatever_is_of_their_form_is_a_cursor(text in "[A-Za-z0-9_-]{21}[AQgw]") {
            let cursor: Cursor = text.parse().unwrap();
            prop_assert!((0..=MOST_MILLIS).contains(&cursor.0.at.millis()));
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}
