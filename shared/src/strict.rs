//! JSON objects read strictly: what two parsers could understand differently is refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Reads a JSON object in which no member stands twice (RFC 8259 §4 leaves open which of them would count).
///
/// `None` where it is no such object, or `T` does not accept a member's type.
pub(crate) fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice::<DistinctMembers>(json).ok()?;
    serde_json::from_slice(json).ok()
}

struct DistinctMembers;

impl<'de> Deserialize<'de> for DistinctMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctMembersVisitor)
    }
}

struct DistinctMembersVisitor;

impl<'de> Visitor<'de> for DistinctMembersVisitor {
    type Value = DistinctMembers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with distinct members")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DistinctMembers, A::Error> {
        let mut seen = HashSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
            if !seen.insert(name) {
                return Err(serde::de::Error::custom("a member stands twice"));
            }
        }
        Ok(DistinctMembers)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[derive(serde::Deserialize)]
    struct One {
        exp: i64,
    }

    #[test]
    fn a_doubled_member_is_refused_however_it_is_spelled() {
        assert_eq!(
            object::<One>(br#"{"exp":1,"x":[1,{"a":2}]}"#).unwrap().exp,
            1
        );
        for json in [
            &br#"{"exp":1,"exp":2}"#[..],
            br#"{"exp":1,"x":2,"x":2}"#,
            br#"{"exp":1,"x":2,"\u0078":2}"#,
            br#"{"exp":1} "#.get(..8).unwrap(),
            br#"{"exp":"1"}"#,
            br#"{"exp":1.0}"#,
            br#"{"exp":null}"#,
            br#"{"exp":1}{"#,
            br#"[{"exp":1}]"#,
        ] {
            assert!(
                object::<One>(json).is_none(),
                "{}",
                String::from_utf8_lossy(json)
            );
        }
    }
}
