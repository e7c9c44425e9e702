//! What several targets need: values to choose among, and a small site with its tokens.
//!
//! Bytes drawn at random are hardly ever a rule, a cookie of ours or a good token. So targets choose among words that mean
//! something, and take any text beside them.

pub mod site;

use arbitrary::Arbitrary;

/// A value: one of a few that mean something, or any.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Value<'a> {
    Known(u8),
    Any(&'a str),
}

impl<'a> Value<'a> {
    /// The value, if these are the known ones.
    pub fn among(self, known: &[&'a str]) -> &'a str {
        match self {
            Self::Known(index) => pick(known, index),
            Self::Any(text) => text,
        }
    }
}

/// One of `known`, whatever the index is.
pub fn pick<T: Copy>(known: &[T], index: u8) -> T {
    known[usize::from(index) % known.len()]
}

/// A text put together from values.
pub fn text(values: &[Value<'_>], known: &[&str]) -> String {
    values.iter().map(|value| value.among(known)).collect()
}

/// The text with the other case for each ASCII letter whose bit is set; the bits come round again.
pub fn respelled(text: &str, bits: u32) -> String {
    let turn = |(index, char): (usize, char)| match char {
        _ if bits >> (index % 32) & 1 == 0 => char,
        'a'..='z' => char.to_ascii_uppercase(),
        _ => char.to_ascii_lowercase(),
    };
    text.chars().enumerate().map(turn).collect()
}

/// Whether a parsed HTTP request or answer can hold this as a header's value (Fetch §2.2.2).
pub fn is_header_value(value: &str) -> bool {
    !value.contains(['\n', '\r', '\0'])
}
