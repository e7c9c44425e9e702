//! `Cookie` headers: what is cut out is gone, also behind a comma, and the rest is as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::cookie::{self, Found};

fuzz_target!(|header: &str| {
    let read = cookie::read(header);
    let left = read.others.unwrap_or_default();
    for (name, found) in [(cookie::ACCESS, read.access), (cookie::REFRESH, read.refresh)] {
        assert_eq!(found, cookie::find(header, name));
        if let Found::One(value) = found {
            assert!(header.contains(value));
        }
        assert_eq!(cookie::find(&left, name), Found::Absent);
        assert!(!parts(&left).any(|part| is(name, part)), "{name} stays in {left:?}");
    }
    let theirs = |part: &&str| ![cookie::ACCESS, cookie::REFRESH].iter().any(|name| is(name, part));
    assert!(parts(header).filter(theirs).eq(parts(&left)), "the others stay, in their order");
});

/// Cookies, however two headers were joined: by a semicolon or by a comma.
fn parts(header: &str) -> impl Iterator<Item = &str> {
    header.split([';', ',']).map(str::trim).filter(|part| !part.is_empty())
}

fn is(name: &str, part: &str) -> bool {
    part.split('=').next().is_some_and(|written| written.trim().eq_ignore_ascii_case(name))
}
