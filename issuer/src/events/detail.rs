//! What else there is to say of an event: a small JSON object.

use serde_json::{Map, Number};

use super::plain::plain;

/// The most characters of a text.
const MAX_TEXT: usize = 128;

/// The most texts in a list.
const MAX_LIST: usize = 64;

/// Names and values, in words of the issuer's own. No text that a stranger chose, nothing about a person: it is never forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail(Vec<(&'static str, Value)>);

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, which is cut where it is long.
    Text(String),
    /// A number.
    Number(u64),
    /// Several texts; the list is cut where it is long.
    List(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(plain(text, MAX_TEXT))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&[String]> for Value {
    fn from(list: &[String]) -> Self {
        let texts = list.iter().take(MAX_LIST);
        Self::List(texts.map(|text| plain(text, MAX_TEXT)).collect())
    }
}

impl Detail {
    /// Nothing.
    pub const NONE: Self = Self(Vec::new());

    /// One thing more. Of two with one name the later counts.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// As a JSON object.
    pub(super) fn to_json(&self) -> String {
        let members = self.0.iter().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => serde_json::Value::from(text.as_str()),
                Value::Number(number) => serde_json::Value::Number(Number::from(*number)),
                Value::List(texts) => serde_json::Value::from(texts.as_slice()),
            };
            ((*name).to_owned(), value)
        });
        serde_json::Value::Object(members.collect::<Map<_, _>>()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_object_whatever_the_values() {
        assert_eq!(Detail::NONE.to_json(), "{}");
        let detail = Detail::NONE
            .with("reason", "a\"}\n{\"b")
            .with("sessions", 3)
            .with("roles", ["x".repeat(200), "y".to_owned()].as_slice());
        let json: serde_json::Value = serde_json::from_str(&detail.to_json()).unwrap();
        assert_eq!(json["reason"], "a\"}{\"b");
        assert_eq!(json["sessions"], 3);
        assert_eq!(json["roles"][0].as_str().map(str::len), Some(MAX_TEXT));
        let many = vec!["r".to_owned(); 10_000];
        assert!(Detail::NONE.with("roles", many.as_slice()).to_json().len() < 1000);
    }
}
