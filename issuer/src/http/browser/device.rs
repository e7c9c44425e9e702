//! A short name for the device behind a session, for people who look at their list of sessions.

use woothee::parser::Parser;
use woothee::woothee::VALUE_UNKNOWN;

/// What a browser calls itself, in words: "Firefox on Linux". A guess for display, never for a decision.
pub(super) fn label(user_agent: &str) -> String {
    // Programs are better told by their own name: curl, not "HTTP Library".
    let parsed = Parser::new()
        .parse(user_agent)
        .filter(|found| !matches!(found.category, "crawler" | "misc"));
    let known = |text: &str| text != VALUE_UNKNOWN && !text.is_empty();
    match parsed {
        Some(found) if known(found.name) && known(found.os) => {
            format!("{} on {}", found.name, found.os)
        }
        Some(found) if known(found.name) => found.name.to_owned(),
        _ => product(user_agent).unwrap_or("Unknown device").to_owned(),
    }
}

/// The product at the beginning (RFC 9110 §10.1.5): "curl" of `curl/8.5.0`.
fn product(user_agent: &str) -> Option<&str> {
    let name = user_agent.split(['/', ' ']).next()?;
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (plain && (1..=40).contains(&name.len())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_recognise_their_devices() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
        assert_eq!(label(firefox), "Firefox on Linux");
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
        assert_eq!(label(iphone), "Safari on iPhone");
        assert_eq!(label("curl/8.5.0"), "curl");
        assert_eq!(label(""), "Unknown device");
        assert_eq!(label("<script>"), "Unknown device");
    }
}
