//! `Cookie` headers: what is cut out is gone, and the rest is as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::cookie::{self, Found};

fuzz_target!(|header: &str| {
    for name in [cookie::ACCESS, cookie::REFRESH] {
        if let Found::One(value) = cookie::find(header, name) {
            assert!(header.contains(value));
        }
        let left = cookie::without_session(header).unwrap_or_default();
        assert_eq!(cookie::find(&left, name), Found::Absent);
    }
    let left = cookie::without_session(header).unwrap_or_default();
    let mut all = pairs(header);
    assert!(pairs(&left).all(|kept| all.any(|pair| pair == kept)), "the others stay, in their order");
});

fn pairs(header: &str) -> impl Iterator<Item = &str> {
    header.split(';').map(str::trim).filter(|pair| !pair.is_empty())
}
