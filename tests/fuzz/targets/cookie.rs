//! `Cookie` headers: what is cut out is gone, also behind a comma, and the rest is as it was. A cookie is believed only under
//! the name that browsers guard.
#![no_main]

use fuzz::{Value, text};
use libfuzzer_sys::fuzz_target;
use shared::cookie::{self, Found, Others};

const KNOWN: [&str; 13] = [
    cookie::ACCESS,
    cookie::REFRESH,
    "=",
    "; ",
    ";",
    ",",
    " ",
    "\t",
    "\u{a0}",
    "\u{fffd}",
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
            .split([';', ','])
            .filter(|part| is_guarded(name, part));
        // A comma may part two headers or belong to a value: what stands by one is not believed.
        let by_comma = header
            .split(';')
            .any(|pair| pair.contains(',') && pair.split(',').any(|part| is_guarded(name, part)));
        match (found, named.count()) {
            (Found::Absent, named) => assert_eq!(named, 0, "{name} in {header:?}"),
            (Found::One(value), named) => {
                assert!(named == 1 && !by_comma, "{name} in {header:?}");
                assert!(header.contains(value), "{name} in {header:?}");
            }
            (Found::Several, named) => assert!(named > 1 || by_comma, "{name} in {header:?}"),
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
    let is_cut = *read.others() != Others::Whole;
    // What was no UTF-8 goes on as it came, or not at all.
    let legible: Vec<&str> = header
        .split(';')
        .filter(|pair| {
            let others: Vec<&str> = parts(pair).filter(theirs).collect();
            !is_cut || !others.concat().contains(char::REPLACEMENT_CHARACTER)
        })
        .collect();
    assert!(
        parts(&legible.join(";")).filter(theirs).eq(parts(left)),
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
