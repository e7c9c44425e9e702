//! The cookies of ours, written and read (RFC 6265bis §4.1.3 for the prefixes; OWASP ASVS 5.0, 3.3.1 to 3.3.5).

use std::time::Duration;

use crate::secret::SecretText;

/// The cookie that carries the access token.
pub const ACCESS: &str = "__Host-Http-access";
/// The cookie that carries the refresh token.
pub const REFRESH: &str = "__Host-Http-refresh";
/// The cookie that carries sign-ins under way at other providers.
pub const LOGIN: &str = "__Host-Http-login";
/// Bytes that a browser surely stores for name and value together.
pub const MAX_BYTES: usize = 4096;

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Name and value together are longer than a browser surely stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cookie {name} would have {bytes} bytes, {MAX_BYTES} is the most that browsers keep; does the user have too many roles?"
)]
pub struct CookieTooLarge {
    name: &'static str,
    bytes: usize,
}

/// The `Set-Cookie` value that stores `value` for `max_age`.
///
/// # Errors
/// [`CookieTooLarge`] past [`MAX_BYTES`]: a browser would drop it without a word.
pub fn set(name: &'static str, value: &str, max_age: Duration) -> Result<String, CookieTooLarge> {
    let bytes = name.len() + value.len();
    if bytes > MAX_BYTES {
        return Err(CookieTooLarge { name, bytes });
    }
    Ok(format!(
        "{name}={value}; Max-Age={}; {ATTRIBUTES}",
        max_age.as_secs()
    ))
}

/// The `Set-Cookie` value that removes the cookie.
pub fn clear(name: &'static str) -> String {
    format!("{name}=; Max-Age=0; {ATTRIBUTES}")
}

/// How often a cookie stands in a `Cookie` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// Not at all.
    Absent,
    /// Once, with this value.
    One(T),
    /// More than once, or where two headers were joined by a comma: which of them is meant, or whether a browser has guarded
    /// the name, cannot be known, so none is used.
    Several,
}

impl<T> Found<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Absent => Found::Absent,
            Self::One(value) => Found::One(change(value)),
            Self::Several => Found::Several,
        }
    }

    const fn as_ref(&self) -> Found<&T> {
        match self {
            Self::Absent => Found::Absent,
            Self::One(value) => Found::One(value),
            Self::Several => Found::Several,
        }
    }
}

/// What may stand around a name or a value. Nothing else is cut off where a cookie is believed: browsers guard our prefix, and
/// not a name that begins with a no-break space.
const BLANKS: [char; 2] = [' ', '\t'];

impl<'a> Found<&'a str> {
    /// With one more pair of the header, which may be the cookie `name`.
    ///
    /// What several `Cookie` headers hold can arrive as one, joined by a comma. It cannot be told from a value with a comma,
    /// which another site of the domain may have written, so a name of ours behind a comma is not believed, nor is it
    /// overlooked. No token has a comma.
    fn or_in(self, pair: &'a str, name: &str) -> Self {
        let mut named = pair.split(',').filter_map(|part| {
            let (key, value) = part.split_once('=')?;
            (key.trim_matches(BLANKS) == name).then_some(value)
        });
        match (self, named.next()) {
            (found, None) => found,
            (Self::Absent, Some(value)) if !pair.contains(',') => {
                Self::One(value.trim_matches(BLANKS))
            }
            _ => Self::Several,
        }
    }
}

/// Looks for the cookie `name` in a `Cookie` header (RFC 6265 §4.2.1).
///
/// Browsers read a cookie without `=` as a value without a name, so `name` must be followed by `=`.
/// Names are compared by case, because the browser that guards our prefix may not guard another spelling.
pub fn find<'a>(header: &'a str, name: &str) -> Found<&'a str> {
    pairs(header).fold(Found::Absent, |found, pair| found.or_in(pair, name))
}

/// A `Cookie` header, taken apart. It keeps what it found, so that a header that comes again need not be read again.
#[derive(Clone, Debug)]
pub struct Cookies {
    access: Found<SecretText>,
    refresh: Found<SecretText>,
    others: Others,
}

/// What is left of a `Cookie` header without the session's cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// All of it, to the letter: none of them is in it.
    Whole,
    /// These.
    Some(String),
    /// Nothing.
    None,
}

impl Cookies {
    /// [`ACCESS`], as [`find`] finds it.
    pub fn access(&self) -> Found<&str> {
        self.access.as_ref().map(SecretText::expose)
    }

    /// [`REFRESH`], likewise.
    pub fn refresh(&self) -> Found<&str> {
        self.refresh.as_ref().map(SecretText::expose)
    }

    /// What an origin may see.
    pub const fn others(&self) -> &Others {
        &self.others
    }
}

/// Takes a `Cookie` header apart, in one walk, for it is long. No header is an empty one.
///
/// A comma may part two headers or belong to a value, so nothing is parted unless there is something of ours in it.
/// A name of ours counts as ours in any case, and without a value: some servers read both as ours.
///
/// `header` is a text. If the bytes of a pair are no UTF-8 it does not tell which they were (U+FFFD stands for them), and so
/// where something is cut off, that pair is too: to an origin no cookie is better than another one.
pub fn read(header: &str) -> Cookies {
    let (mut access, mut refresh) = (Found::Absent, Found::Absent);
    let mut others = String::with_capacity(header.len());
    let mut is_whole = true;
    for pair in pairs(header) {
        if holds_session(pair) {
            is_whole = false;
            access = access.or_in(pair, ACCESS);
            refresh = refresh.or_in(pair, REFRESH);
            push_pair(&mut others, &without_ours(pair));
        } else {
            push_pair(&mut others, pair);
        }
    }
    if !is_whole && others.contains(char::REPLACEMENT_CHARACTER) {
        others = legible(&others);
    }
    let others = match (is_whole, others.is_empty()) {
        (true, _) => Others::Whole,
        (false, true) => Others::None,
        (false, false) => Others::Some(others),
    };
    let keep = |token: &str| SecretText::new(token.to_owned());
    Cookies {
        access: access.map(keep),
        refresh: refresh.map(keep),
        others,
    }
}

fn pairs(header: &str) -> impl Iterator<Item = &str> {
    header
        .split(';')
        .map(|pair| pair.trim_matches(BLANKS))
        .filter(|pair| !pair.is_empty())
}

fn push_pair(pairs: &mut String, pair: &str) {
    if pair.is_empty() {
        return;
    }
    if !pairs.is_empty() {
        pairs.push_str("; ");
    }
    pairs.push_str(pair);
}

fn legible(header: &str) -> String {
    let mut kept = String::with_capacity(header.len());
    pairs(header)
        .filter(|pair| !pair.contains(char::REPLACEMENT_CHARACTER))
        .for_each(|pair| push_pair(&mut kept, pair));
    kept
}

/// A pair in which something is ours, without that.
fn without_ours(pair: &str) -> String {
    let others = |part: &&str| !is_session(part) && !part.trim().is_empty();
    let kept: Vec<&str> = pair.split(',').filter(others).collect();
    kept.join(",").trim().to_owned()
}

fn holds_session(pair: &str) -> bool {
    pair.split(',').any(is_session)
}

fn is_session(part: &str) -> bool {
    let name = part.split_once('=').map_or(part, |(name, _)| name).trim();
    name.eq_ignore_ascii_case(ACCESS) || name.eq_ignore_ascii_case(REFRESH)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn others(header: &str) -> Option<String> {
        match read(header).others {
            Others::Whole => Some(header.to_owned()),
            Others::Some(others) => Some(others),
            Others::None => None,
        }
    }

    #[test]
    fn a_cookie_is_as_strict_as_browsers_allow() {
        let cookie = set(ACCESS, "v", Duration::from_secs(900)).unwrap();
        assert_eq!(
            cookie,
            "__Host-Http-access=v; Max-Age=900; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            clear(REFRESH),
            "__Host-Http-refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn name_and_value_fit_4096_bytes_or_are_refused() {
        let room = MAX_BYTES - ACCESS.len();
        assert!(set(ACCESS, &"v".repeat(room), Duration::ZERO).is_ok());
        let error = set(ACCESS, &"v".repeat(room + 1), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("4097 bytes"), "{error}");
    }

    #[test]
    fn a_cookie_is_found_once_or_not_believed() {
        assert_eq!(
            find("a=1; __Host-Http-access=tok; b=2", ACCESS),
            Found::One("tok")
        );
        assert_eq!(
            find("a=1;__Host-Http-access=tok", ACCESS),
            Found::One("tok")
        );
        assert_eq!(
            find("__Host-Http-access=x; __Host-Http-access=y", ACCESS),
            Found::Several
        );
        for header in [
            "a=1, __Host-Http-access=tok",
            "a=1,__Host-Http-access=tok; b=2",
            "__Host-Http-access=tok, a=1",
            "__Host-Http-access=tok,",
            "__Host-Http-access=tok; a=1, __Host-Http-access=tok",
            ", \t__Host-Http-access = tok",
        ] {
            assert_eq!(find(header, ACCESS), Found::Several, "{header}");
            assert_eq!(read(header).access(), Found::Several, "{header}");
        }
        for header in [
            "",
            ";;",
            "a=1, __Host-Http-access",
            "a=1,\u{a0}__Host-Http-access=tok",
            "x__Host-Http-access=tok",
            "__Host-Http-access",
            "__host-http-access=tok",
            "a=__Host-Http-access=t",
        ] {
            assert_eq!(find(header, ACCESS), Found::Absent, "{header}");
        }
    }

    #[test]
    fn a_name_that_browsers_do_not_guard_is_cut_and_never_believed() {
        for blank in ["\u{a0}", "\u{2000}", "\u{85}", "\u{b}"] {
            let header = format!("{blank}__Host-Http-access=t; a=1");
            let read = read(&header);
            assert_eq!(read.access(), Found::Absent, "{blank:?}");
            assert_eq!(read.others, Others::Some("a=1".into()), "{blank:?}");
        }
        assert_eq!(find("\t__Host-Http-access = t ", ACCESS), Found::One("t"));
    }

    #[test]
    fn the_others_pass_untouched_and_ours_never() {
        assert_eq!(others("a=1;  b=\"x y\""), Some("a=1;  b=\"x y\"".into()));
        assert_eq!(
            others("a=1; __Host-Http-access=t; b==2; __Host-Http-refresh=r"),
            Some("a=1; b==2".into())
        );
        assert_eq!(others("__HOST-HTTP-ACCESS=t; __Host-Http-refresh"), None);
        assert_eq!(others("__Host-Http-access=t"), None);
        for theirs in [
            "__Host-other=1; _=2; __=3",
            "a=x, y; b=,",
            "a=x,__Host-Http-access2=1",
            "seen=__Host-Http-access,__Host-Http-refreshed",
        ] {
            assert_eq!(others(theirs), Some(theirs.into()), "{theirs}");
        }
        assert_eq!(
            others("v=__Host-Http-access"),
            Some("v=__Host-Http-access".into())
        );
    }

    #[test]
    fn what_cannot_go_on_as_it_came_does_not_go_on() {
        let illegible = "a=\u{fffd}; b=\u{e9}";
        assert_eq!(others(illegible).as_deref(), Some(illegible));
        for header in [
            format!("{illegible}; __Host-Http-access=t"),
            format!("__Host-Http-refresh=r; {illegible}"),
            format!("{illegible}; c=\u{fffd}, __Host-Http-access=t"),
        ] {
            assert_eq!(others(&header).as_deref(), Some("b=\u{e9}"), "{header}");
        }
        assert_eq!(others("a=\u{fffd}; __Host-Http-access=t"), None);
    }

    #[test]
    fn headers_joined_by_a_comma_hide_nothing() {
        for (header, left) in [
            ("a=1, __Host-Http-access=t", Some("a=1")),
            ("a=1,__host-http-refresh=t; b=2, c", Some("a=1; b=2, c")),
            ("__Host-Http-access=t, a=1, b=2", Some("a=1, b=2")),
            ("a=1, __Host-Http-access=t, b=2; c", Some("a=1, b=2; c")),
            ("__Host-Http-access=t,__Host-Http-refresh=r", None),
            (", __Host-Http-access =t ,;,", Some(",")),
        ] {
            assert_eq!(others(header).as_deref(), left, "{header}");
        }
    }
}
