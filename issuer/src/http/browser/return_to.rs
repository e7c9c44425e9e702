//! Where to go after signing in: only to a path of this site (OWASP ASVS 5.0, 3.7.2) that is not one of Portcullis itself.
//!
//! A path may be written in many ways that browsers take for one (URL Standard §4.4), so it is judged as a URL parser reads
//! it: with dot segments resolved, tabs gone, backslashes turned into slashes. What is sent back is the text as it came.

use std::borrow::Cow;

use shared::wire::MAX_RETURN_TO;
use url::{Position, Url};

/// Why a text is no place to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadReturn {
    /// More than [`MAX_RETURN_TO`] octets.
    TooLong,
    /// Another site, a page of Portcullis itself, or no path.
    Elsewhere,
}

/// `text` if it is a path of this site, perhaps with a query and a fragment. It is left as the browser sent it; only what a
/// header cannot hold (blanks, what is not ASCII) is percent-encoded, as a URL parser does.
///
/// # Errors
/// [`BadReturn`].
pub(super) fn checked(text: &str) -> Result<Cow<'_, str>, BadReturn> {
    if text.len() > MAX_RETURN_TO {
        return Err(BadReturn::TooLong);
    }
    if !is_rooted(text) {
        return Err(BadReturn::Elsewhere);
    }
    let site = Url::parse("https://site.invalid").map_err(|_| BadReturn::Elsewhere)?;
    let url = site.join(text).map_err(|_| BadReturn::Elsewhere)?;
    // A path that begins with two slashes once its dots are resolved is another site where it stands alone.
    if url.origin() != site.origin() || url.path().starts_with("//") || is_own(url.path()) {
        return Err(BadReturn::Elsewhere);
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Cow::Borrowed(text));
    }
    let spelled = url[Position::BeforePath..].to_owned();
    if spelled.len() > MAX_RETURN_TO {
        return Err(BadReturn::TooLong);
    }
    Ok(Cow::Owned(spelled))
}

/// Whether it begins with one slash, has no backslash in its path, where browsers take it for a slash, and no control
/// characters anywhere, some of which browsers drop before they look.
fn is_rooted(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !text.chars().any(char::is_control)
}

/// Whether `path` is one of `/auth/*` and `/oauth/*`, for whoever reads it most leniently: escapes of escapes, capitals,
/// empty segments, path parameters. To be led there is no way back: it is a second form, or an error.
fn is_own(path: &str) -> bool {
    let mut path = path.to_owned();
    loop {
        let decoded = unescaped(&path);
        if decoded == path {
            break;
        }
        path = decoded;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default().trim() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    segments.first().is_some_and(|first| {
        ["auth", "oauth"]
            .iter()
            .any(|own| first.eq_ignore_ascii_case(own))
    })
}

/// With each escape of an ASCII character replaced by the character. No other character is in a name of ours.
fn unescaped(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, behind)) = rest.split_once('%') {
        decoded.push_str(before);
        let digits = behind
            .get(..2)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte.filter(u8::is_ascii), behind.get(2..)) {
            (Some(byte), Some(behind)) => {
                decoded.push(char::from(byte));
                rest = behind;
            }
            _ => {
                decoded.push('%');
                rest = behind;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

#[cfg(test)]
mod tests;
