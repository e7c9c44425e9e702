//! Moments as clients see them.

use serde::{Serialize, Serializer};
use shared::time::UnixMillis;

use crate::time::rfc3339;

/// A moment as RFC 3339 writes it, in UTC and whole seconds.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Moment(pub(super) UnixMillis);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match rfc3339(self.0) {
            Some(text) => serializer.serialize_str(&text),
            None => Err(serde::ser::Error::custom(
                "a moment outside the years that RFC 3339 can write",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339() {
        let json =
            serde_json::to_string(&Moment(UnixMillis::from_millis(1_764_000_000_999))).unwrap();
        assert_eq!(json, "\"2025-11-24T16:00:00Z\"");
    }
}
