//! `Cache-Control`: who may keep an answer that is a user's.

use arbitrary::Arbitrary;
use edge::caching::cache_control;
use fuzz::{Value, is_header_value, text};

const KNOWN: [&str; 16] = [
    "public",
    "private",
    "no-store",
    "no-cache",
    "s-maxage=60",
    "max-age=60",
    "must-revalidate",
    "private=",
    "no-cache=",
    "x=",
    "\"",
    "\\",
    ",",
    ", ",
    " ",
    "Private",
];

#[derive(Arbitrary, Debug)]
pub struct Answer<'a> {
    said: Option<Vec<Value<'a>>>,
    targeted: bool,
    origin_decides: bool,
}

impl Answer<'_> {
    pub fn check(&self) {
        let said = self.said.as_ref().map(|said| text(said, &KNOWN));
        if said.as_deref().is_none_or(is_header_value) {
            check_caching(said.as_deref(), self.targeted, self.origin_decides);
        }
    }
}

/// A shared cache keeps the answer only where the rule lets the origin say so and it does. What the origin forbids even the
/// browser stays forbidden, and nothing is said that it did not say but what forbids more.
fn check_caching(said: Option<&str>, targeted: bool, origin_decides: bool) {
    let told = cache_control(said, targeted, origin_decides);
    let said = said.unwrap_or_default();
    let left = told.as_deref().unwrap_or(said);
    let says = |text: &str, names: &[&str]| {
        directives(text)
            .iter()
            .any(|name| names.contains(&name.as_str()))
    };
    let is_opened = origin_decides && (targeted || says(said, &["public", "s-maxage"]));
    if is_opened {
        assert_eq!(told, None);
        return;
    }
    assert!(says(left, &["private", "no-store"]), "{said:?} -> {told:?}");
    assert!(
        !targeted || told.is_some(),
        "what speaks to shared caches alone stays beside {said:?}"
    );
    assert!(
        says(left, &["no-store"]) || !says(said, &["no-store"]),
        "{said:?} -> {told:?}"
    );
    assert_eq!(cache_control(Some(left), false, false), None, "{said:?}");
    let is_known = |part: &str| {
        ["private", "no-cache", "no-store"].contains(&part)
            || said.split(',').any(|other| other.trim() == part)
    };
    assert!(
        told.is_none_or(|told| told.split(',').all(|part| is_known(part.trim()))),
        "{said:?}"
    );
}

/// The names of the directives (RFC 9111 §5.2), in small letters. A comma in quotes parts nothing; `private` for some fields
/// only is called `private=`.
fn directives(said: &str) -> Vec<String> {
    let (mut names, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for char in said.chars() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            _ => {}
        }
        if let Some(last) = names.last_mut()
            && (char != ',' || quoted)
        {
            last.push(char.to_ascii_lowercase());
        }
    }
    names
        .iter()
        .map(|directive| named(directive.trim_matches([' ', '\t'])))
        .collect()
}

fn named(directive: &str) -> String {
    let end = |name: &str| name.trim_end_matches([' ', '\t']).to_owned();
    match directive.split_once('=') {
        Some((name, _)) if end(name) == "private" => "private=".to_owned(),
        Some((name, _)) => end(name),
        None => directive.to_owned(),
    }
}
