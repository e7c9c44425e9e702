//! Tokens that stand somewhere in a header: under whatever scheme, in quotes, behind a comma, under another name.

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};

/// Hands `look` every text in `header`, a `Cookie` or an `Authorization`, that could be a token: of base64url and dots, as
/// all of ours are, and as long as can be. What credentials of Basic hold (RFC 7617 §2) is among them.
pub fn each_token(header: &str, mut look: impl FnMut(&str)) {
    each_in(header, &mut look);
    let words = header.split(|char: char| char.is_ascii_whitespace() || char == ',');
    for decoded in words.filter_map(|word| BASIC.decode(word).ok()) {
        each_in(&String::from_utf8_lossy(&decoded), &mut look);
    }
}

fn each_in(text: &str, look: &mut impl FnMut(&str)) {
    text.split(|char: char| !char.is_ascii_alphanumeric() && !"-_.".contains(char))
        .map(|token| token.trim_matches('.'))
        .filter(|token| !token.is_empty())
        .for_each(look);
}

/// Base64, forgiving: some clients leave out the padding.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn holds(header: &str) -> bool {
        let mut found = false;
        each_token(header, |token| found |= token == "aB-_9.c.d");
        found
    }

    #[test]
    fn a_token_is_seen_wherever_it_stands() {
        let basic = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        for header in [
            "aB-_9.c.d".to_owned(),
            "Bearer aB-_9.c.d".to_owned(),
            "JWT\taB-_9.c.d ,x".to_owned(),
            "Basic eDp5, bearer aB-_9.c.d".to_owned(),
            "Token token=\"aB-_9.c.d\", nonce=\"a\"".to_owned(),
            format!("Basic {}", basic("x:aB-_9.c.d")),
            format!("basic {},x", basic("aB-_9.c.d").trim_end_matches('=')),
            "a=1, b=aB-_9.c.d; c".to_owned(),
            "A=\"aB-_9.c.d\"".to_owned(),
            "a=\u{fffd}aB-_9.c.d.".to_owned(),
        ] {
            assert!(holds(&header), "{header}");
        }
        for header in ["", "xaB-_9.c.d", "aB-_9.c.dd", "aB-_9.c. d", "aB-_9+c.d"] {
            assert!(!holds(header), "{header}");
        }
    }
}
