//! A short name for the device behind a session, for people who look at their list of sessions.
//!
//! The patterns are those of uap-core, which its community keeps. They are compiled once, at the start: 0.03 s and 11 MB.

use std::sync::LazyLock;

use serde::Deserialize;
use ua_parser::{os, user_agent};

/// What a browser calls itself, in words: "Firefox on Linux". A guess for display, never for a decision.
pub(super) fn label(user_agent: &str) -> String {
    let known = PATTERNS.as_ref();
    let browser = known.and_then(|known| known.browsers.extract(user_agent));
    let system = known.and_then(|known| known.systems.extract(user_agent));
    match (browser, system) {
        (Some(browser), Some(system)) => {
            let system = system_name(&system.os, user_agent);
            format!("{} on {system}", browser_name(&browser.family))
        }
        (Some(browser), None) => browser_name(&browser.family).to_owned(),
        (None, _) => product(user_agent).unwrap_or("Unknown device").to_owned(),
    }
}

/// Compiles the patterns, so that no request waits for it. Says whether they could be read.
pub(super) fn prepare() -> bool {
    PATTERNS.is_some()
}

struct Patterns {
    browsers: user_agent::Extractor<'static>,
    systems: os::Extractor<'static>,
}

/// They are part of the program: a test proves that they can be read.
static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(Patterns::read);

impl Patterns {
    fn read() -> Option<Self> {
        #[derive(Deserialize)]
        struct File<'a> {
            #[serde(borrow)]
            user_agent_parsers: Vec<user_agent::Parser<'a>>,
            #[serde(borrow)]
            os_parsers: Vec<os::Parser<'a>>,
        }
        const FILE: &str = include_str!("../../../data/uap-core.json");
        let file: File<'static> = serde_json::from_str(FILE).ok()?;
        let browsers = user_agent::Builder::new().push_all(file.user_agent_parsers);
        let systems = os::Builder::new().push_all(file.os_parsers);
        Some(Self {
            browsers: browsers.ok()?.build().ok()?,
            systems: systems.ok()?.build().ok()?,
        })
    }
}

/// Without what the system's name says already: "Chrome" of `Chrome Mobile iOS`.
fn browser_name(family: &str) -> &str {
    let name = family.strip_prefix("Mobile ").unwrap_or(family);
    let endings = [" UI/WKWebView", " iOS", " Mobile"];
    endings.iter().fold(name, |name, ending| {
        name.strip_suffix(ending).unwrap_or(name)
    })
}

/// As its users call it.
fn system_name<'a>(os: &'a str, user_agent: &str) -> &'a str {
    match os {
        "Mac OS X" => "macOS",
        "iOS" if user_agent.contains("iPad") => "iPad",
        "iOS" if user_agent.contains("iPhone") => "iPhone",
        _ => os,
    }
}

/// The product at the beginning (RFC 9110 §10.1.5): "backup-job" of `backup-job/1.2`.
fn product(user_agent: &str) -> Option<&str> {
    let name = user_agent.split(['/', ' ']).next()?;
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (plain && (1..=40).contains(&name.len())).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_recognise_their_devices() {
        assert!(prepare());
        const WEBKIT: &str = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        const BLINK: &str = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
        let android = "Mozilla/5.0 (Linux; Android 10; K)";
        for (agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(),
                "Firefox on Linux",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {WEBKIT} Version/18.1 Mobile/15E148 Safari/604.1"
                ),
                "Safari on iPhone",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {WEBKIT} CriOS/142.0.0.0 Mobile/15E148 Safari/604.1"
                ),
                "Chrome on iPhone",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1"
                ),
                "Safari on iPad",
            ),
            (
                format!(
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/18.5 Safari/605.1.15"
                ),
                "Safari on macOS",
            ),
            (
                format!("{windows} {BLINK} Chrome/142.0.0.0 Safari/537.36"),
                "Chrome on Windows",
            ),
            (
                format!("{windows} {BLINK} Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0"),
                "Edge on Windows",
            ),
            (
                format!("{android} {BLINK} Chrome/142.0.0.0 Mobile Safari/537.36"),
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0".to_owned(),
                "Firefox on Android",
            ),
            (
                format!(
                    "{android} {BLINK} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"
                ),
                "Samsung Internet on Android",
            ),
            (
                format!(
                    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {BLINK} Chrome/142.0.0.0 Safari/537.36"
                ),
                "Chrome on Chrome OS",
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
                    .to_owned(),
                "Googlebot",
            ),
            ("curl/8.5.0".to_owned(), "curl"),
            ("python-requests/2.32.3".to_owned(), "Python Requests"),
            ("Go-http-client/2.0".to_owned(), "Go-http-client"),
            ("backup-job/1.2 (nightly)".to_owned(), "backup-job"),
            (String::new(), "Unknown device"),
            ("<script>".to_owned(), "Unknown device"),
        ] {
            assert_eq!(label(&agent), name, "{agent}");
        }
    }

    proptest! {
        /// Whatever a client calls itself.
        #[test]
        fn any_text_has_a_name(agent in ".{0,200}") {
            let label = label(&agent);
            prop_assert!(!label.is_empty() && label.chars().count() <= 450, "{}", label);
        }
    }
}
