//! Scopes: what a service may do (RFC 6749 §3.3).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest list, as text: it travels in a token and in a header.
const MAX_BYTES: usize = 1_024;

/// A set of scopes. Its text is the list that RFC 6749 §3.3 describes: names with a single space between them, in order, each
/// once. No scope at all is an empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scopes(BTreeSet<String>);

/// The text is no list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a scope is 1 to 64 printable ASCII characters without spaces, quotes and backslashes, and all together have at most {MAX_BYTES}"
)]
pub struct BadScope;

impl Scopes {
    /// No scope.
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Reads a list. The order does not matter, nor whether a name stands twice.
    ///
    /// # Errors
    /// [`BadScope`] where it is none.
    pub fn parse(text: &str) -> Result<Self, BadScope> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::of(text.split(' '))
    }

    /// The set of these names.
    ///
    /// # Errors
    /// [`BadScope`] where one of them is no scope.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, BadScope> {
        let names: BTreeSet<String> = names.into_iter().map(str::to_owned).collect();
        let bytes: usize = names.iter().map(|name| name.len() + 1).sum();
        (bytes <= MAX_BYTES && names.iter().all(|name| is_scope(name)))
            .then_some(Self(names))
            .ok_or(BadScope)
    }

    /// Whether every one of `others` is among these.
    pub fn hold_all(&self, others: &Self) -> bool {
        others.0.is_subset(&self.0)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `scope-token` of RFC 6749 §3.3, of at most 64 characters. It can stand in a header and in a quoted-string as it is.
fn is_scope(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Scopes {
    type Error = BadScope;

    fn try_from(text: String) -> Result<Self, BadScope> {
        Self::parse(&text)
    }
}

impl From<Scopes> for String {
    fn from(scopes: Scopes) -> Self {
        scopes.to_string()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_list_has_one_text() {
        let scopes = Scopes::parse("write read read").unwrap();
        assert_eq!(scopes.to_string(), "read write");
        assert_eq!(Scopes::parse("read write"), Ok(scopes.clone()));
        assert_eq!(Scopes::of(["write", "read"]), Ok(scopes));
        assert!(Scopes::parse("").unwrap().is_empty());
        assert!(Scopes::parse("https://api.example/orders:read").is_ok());
    }

    #[test]
    fn what_could_not_stand_in_a_header_is_no_scope() {
        let many: Vec<String> = (0..200).map(|n| format!("scope-{n}")).collect();
        for text in [
            " ",
            "a  b",
            " a",
            "a ",
            "a\"",
            "a\\",
            "a\tb",
            "a\r\nb",
            "\u{e4}",
            &"a".repeat(65),
            &many.join(" "),
        ] {
            assert_eq!(Scopes::parse(text), Err(BadScope), "{text:?}");
        }
    }

    #[test]
    fn all_must_be_there() {
        let has = |held: &str, needed: &str| {
            Scopes::parse(held)
                .unwrap()
                .hold_all(&Scopes::parse(needed).unwrap())
        };
        assert!(has("a b", "") && has("a b", "b") && has("a b", "b a"));
        assert!(!has("a b", "a c") && !has("", "a") && !has("ab", "a"));
    }

    #[test]
    fn it_is_a_string_in_json() {
        let scopes: Scopes = serde_json::from_str(r#""b a""#).unwrap();
        assert_eq!(serde_json::to_string(&scopes).unwrap(), r#""a b""#);
        for json in [r#"["a"]"#, "null", r#""a  b""#] {
            assert!(serde_json::from_str::<Scopes>(json).is_err(), "{json}");
        }
    }
}
