//! `Cookie` headers: what is cut out is gone, also behind a comma, and the rest is as it was. A cookie is believed only under
//! the name that browsers guard.
#![no_main]

use fuzz::{Value, text};
use libfuzzer_sys::fuzz_target;
use shared::cookie::{self, Found, Others};

const KNOWN: [&str; 12] = [
    cookie::ACCESS,
    cookie::REFRESH,
    "=",
    "; ",
    ";",
    ",",
    " ",
    "\t",
    "\u{a0}",
    "\"",
    "__HOST-http-Access",
    "a",
];

fuzz_target!(|values: Vec<Value<'_>>| {
    let header = text(&values, &KNOWN);
    let read = cookie::read(&header);
    let left = match read.others() {
        Others::Whole => &header,
        Others::Some(others) => others,
        Others::None => "",
    };
    for (name, found) in [
        (cookie::ACCESS, read.access()),
        (cookie::REFRESH, read.refresh()),
    ] {
        assert_eq!(found, cookie::find(&header, name));
        let named = header
            .split(';')
            .filter(|pair| is_guarded(name, pair))
            .count();
        match found {
            Found::Absent => assert_eq!(named, 0, "{name} in {header:?}"),
            Found::One(value) => {
                assert!(named == 1 && header.contains(value), "{name} in {header:?}")
            }
            Found::Several => assert!(named > 1, "{name} in {header:?}"),
        }
        assert_eq!(cookie::find(left, name), Found::Absent);
        assert!(
            !parts(left).any(|part| is(name, part)),
            "{name} stays in {left:?}"
        );
    }
    let theirs = |part: &&str| {
        ![cookie::ACCESS, cookie::REFRESH]
            .iter()
            .any(|name| is(name, part))
    };
    assert!(
        parts(&header).filter(theirs).eq(parts(left)),
        "the others stay, in their order"
    );
});

/// Whether a browser takes the pair's name for this one, and so guards its prefix: it looks at the bytes, less spaces and
/// tabs around them (RFC 6265bis §5.6). No other blank may be cut off, or any subdomain could set our cookies.
fn is_guarded(name: &str, pair: &str) -> bool {
    pair.split_once('=')
        .is_some_and(|(written, _)| written.trim_matches([' ', '\t']) == name)
}

/// Cookies, however two headers were joined: by a semicolon or by a comma.
fn parts(header: &str) -> impl Iterator<Item = &str> {
    header
        .split([';', ','])
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn is(name: &str, part: &str) -> bool {
    part.split('=')
        .next()
        .is_some_and(|written| written.trim().eq_ignore_ascii_case(name))
}
