//! Who may keep the answer of a guarded route: nobody but the user's own browser, unless origin and rule say otherwise.
//!
//! RFC 9111 lets a shared cache store an answer that says nothing (§4.2.2), and one to a request with a cookie. So what
//! is not already private is made so; how long the browser may keep it stays as the origin said.

/// What `Cache-Control` must say instead of `said`; `None`: it may stay, and nothing beside it needs to go.
///
/// `origin_decides`: the rule lets the origin open the answer to shared caches. `targeted`: there are headers beside
/// `Cache-Control` that speak to shared caches alone (RFC 9213 and what vendors had before it).
pub fn cache_control(said: Option<&str>, targeted: bool, origin_decides: bool) -> Option<String> {
    let said = said.unwrap_or_default();
    let says = |some: &[&str]| names(said).any(|name| is_one_of(name, some));
    if origin_decides && (targeted || says(&["public", "s-maxage"])) {
        return None;
    }
    // `private="x"` is private for x alone.
    let for_some =
        |directive: &str| directive.contains('=') && is_one_of(name(directive), &["private"]);
    // What is quoted may be read otherwise by a cache that parts it at every comma.
    if said.contains('"') || directives(said).any(for_some) {
        let instead = if says(&["no-store"]) {
            "no-store"
        } else {
            "private, no-cache"
        };
        return Some(instead.to_owned());
    }
    if says(&["private", "no-store"]) {
        return targeted.then(|| said.to_owned());
    }
    let mut private = String::from("private");
    for directive in directives(said).map(trimmed) {
        let for_shared = is_one_of(name(directive), &["public", "s-maxage", "proxy-revalidate"]);
        if !directive.is_empty() && !for_shared {
            private.extend([", ", directive]);
        }
    }
    Some(private)
}

fn names(said: &str) -> impl Iterator<Item = &str> {
    directives(said).map(name)
}

/// The directives (RFC 9111 §5.2), parted by commas but for those in quoted texts (RFC 9110 §5.6.4).
fn directives(said: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    said.split(move |char| {
        let is_escaped = std::mem::take(&mut escaped);
        match char {
            '\\' if quoted => escaped = !is_escaped,
            '"' if !is_escaped => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    })
}

fn name(directive: &str) -> &str {
    trimmed(
        directive
            .split_once('=')
            .map_or(directive, |(name, _)| name),
    )
}

/// Without the blanks of HTTP (RFC 9110 §5.6.3). Others belong to the name, which a cache does not know then.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn is_one_of(name: &str, others: &[&str]) -> bool {
    others.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn private(said: &str) -> Option<String> {
        cache_control(Some(said), false, false)
    }

    #[test]
    fn what_is_private_stays_as_it_is() {
        for said in [
            "no-store",
            "private",
            "Private, max-age=60",
            "max-age=0,NO-STORE",
            "no-cache, no-store, must-revalidate",
        ] {
            assert_eq!(private(said), None, "{said}");
            assert_eq!(
                cache_control(Some(said), true, false).as_deref(),
                Some(said)
            );
        }
    }

    #[test]
    fn what_is_quoted_opens_nothing_and_no_store_is_never_lost() {
        for (said, instead) in [
            ("x=\",public,\"", "private, no-cache"),
            ("no-store, no-cache=\"set-cookie\"", "no-store"),
            ("no-store, private=x", "no-store"),
            ("x=\"\\\",public,\"", "private, no-cache"),
            ("private\u{a0}", "private, private\u{a0}"),
        ] {
            assert_eq!(
                cache_control(Some(said), false, true).as_deref(),
                Some(instead),
                "{said}"
            );
        }
        let open = "public, x=\",\"";
        assert_eq!(cache_control(Some(open), false, true), None);
    }

    #[test]
    fn everything_else_becomes_private_and_keeps_its_age() {
        for (said, instead) in [
            ("", "private"),
            ("max-age=60", "private, max-age=60"),
            ("public, max-age=60", "private, max-age=60"),
            (
                "PUBLIC,S-MaxAge=600,max-age=60,proxy-revalidate",
                "private, max-age=60",
            ),
            ("no-cache", "private, no-cache"),
            ("must-revalidate", "private, must-revalidate"),
            ("max-age=60, immutable", "private, max-age=60, immutable"),
            (
                "x-private, not-no-store",
                "private, x-private, not-no-store",
            ),
            ("private=\"set-cookie\", max-age=60", "private, no-cache"),
            ("max-age=60, private=set-cookie", "private, no-cache"),
            ("ext=\"a, private\", public", "private, no-cache"),
        ] {
            assert_eq!(private(said).as_deref(), Some(instead), "{said}");
        }
        assert_eq!(
            cache_control(None, false, false).as_deref(),
            Some("private")
        );
        assert_eq!(cache_control(None, true, false).as_deref(), Some("private"));
    }

    #[test]
    fn the_origin_decides_only_by_saying_so() {
        let origin = |said, targeted| cache_control(said, targeted, true);
        assert_eq!(origin(Some("public, max-age=60"), false), None);
        assert_eq!(origin(Some("s-maxage=60"), false), None);
        assert_eq!(origin(Some("private"), true), None);
        assert_eq!(
            origin(Some("max-age=60"), false).as_deref(),
            Some("private, max-age=60")
        );
        assert_eq!(origin(None, false).as_deref(), Some("private"));
        assert_eq!(origin(Some("no-store"), false), None);
    }

    proptest! {
        #[test]
        fn no_answer_stays_open_to_shared_caches(said in "(public|private|no-store|s-maxage=9|max-age=1|private=\"a\"|private=a|a=\"b|[ ,=x]){0,6}") {
            let told = cache_control(Some(&said), false, false).unwrap_or_else(|| said.clone());
            prop_assert!(!told.contains('"'));
            prop_assert!(names(&told).any(|name| is_one_of(name, &["private", "no-store"])));
            prop_assert_eq!(cache_control(Some(&told), false, false), None);
        }
    }
}
