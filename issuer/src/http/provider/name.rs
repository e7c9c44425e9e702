//! The name of a provider, as it stands in paths.

use serde::Deserialize;
use utoipa::ToSchema;

/// A name that a provider can have. Whether there is one of that name is another question.
#[derive(Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(pattern = "^[a-z0-9-]{1,32}$", example = "demo")]
pub(in crate::http) struct Name(String);

/// The text is no such name.
#[derive(Debug, thiserror::Error)]
#[error("a provider's name has 1 to 32 of a-z 0-9 -")]
pub(in crate::http) struct BadName;

impl Name {
    pub(in crate::http) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let good = (1..=32).contains(&text.len()) && text.bytes().all(plain);
        good.then_some(Self(text)).ok_or(BadName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_as_the_configuration_makes_them() {
        for good in ["demo", "my-idp", "a1", &"a".repeat(32)] {
            assert!(Name::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "Demo", "a_b", "a/b", "a b", "ä", &"a".repeat(33)] {
            assert!(Name::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
