//! The request target: the path that is checked is the path that is sent.
//!
//! A guard and an origin that read one path differently are a hole, so a path is either brought into one form that both
//! must read the same way, or refused. What happens to each way of writing one:
//!
//! | written | answer |
//! |---|---|
//! | `%61` for a letter, digit, `-`, `.`, `_`, `~` | decoded, checked and sent decoded (RFC 3986 §6.2.2.2) |
//! | `%3d`, `%C3%A9`, `%20`: any other escape | decoded for the check, sent as an escape in upper case |
//! | raw space, `"`, `<`, `>`, `[`, `]`, `^`, `` ` ``, `{`, `\|`, `}`, non-ASCII | checked as is, sent as an escape |
//! | `/./`, `/../`, `/%2e%2e/`, `/.` at the end | refused |
//! | `//`, `/a//b` | refused |
//! | `\`, `%5c`, `%2f` | refused |
//! | `;x`, `%3b`: path parameters | refused |
//! | `%00`, control characters, `%7f` | refused |
//! | `%2541`: an escape that hides another one | refused |
//! | `%zz`, `%c0%af`: no escape, or not UTF-8 | refused |
use std::borrow::Cow;

/// Path and query of a request, in the form in which they are sent on, and the authority that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    authority: &'a str,
    sent: Cow<'a, str>,
    decoded: Cow<'a, str>,
    query: Cow<'a, str>,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Not `scheme://authority/path`.
    #[error("the URL is not absolute")]
    NotAbsolute,
    /// `\`, raw or encoded, or an encoded `/`.
    #[error("the path has a backslash or an encoded slash")]
    HiddenSlash,
    /// `.` or `..` as a segment, raw or encoded.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `;`, raw or encoded.
    #[error("the path has parameters (;)")]
    Parameters,
    /// NUL or another control character.
    #[error("the path has a control character")]
    Control,
    /// `%` without two hexadecimal digits behind it.
    #[error("the path has a % that escapes nothing")]
    BadEscape,
    /// An escape that decodes to another escape.
    #[error("the path is escaped twice")]
    DoubleEscape,
    /// The decoded path is not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

impl<'a> Target<'a> {
    /// Reads the target out of the absolute URL of a request.
    ///
    /// # Errors
    /// [`BadTarget`] for what the table above refuses.
    pub fn parse(url: &'a str) -> Result<Self, BadTarget> {
        let (_, rest) = url.split_once(':').ok_or(BadTarget::NotAbsolute)?;
        let rest = rest.strip_prefix("//").ok_or(BadTarget::NotAbsolute)?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (before_query, query) = match rest.find('?') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        // A backslash ends the authority for a URL parser, so it must not hide in front of the path.
        if before_query.contains('\\') {
            return Err(BadTarget::HiddenSlash);
        }
        let (authority, path) = match before_query.find('/') {
            Some(at) => before_query.split_at(at),
            None => (before_query, "/"),
        };
        let (sent, decoded) = canonical(path)?;
        refuse_odd_segments(&decoded)?;
        Ok(Self {
            authority,
            sent,
            decoded,
            query: canonical_query(query),
        })
    }

    /// Host and port, as they came.
    pub const fn authority(&self) -> &str {
        self.authority
    }

    /// The path as the rules see it: every escape decoded.
    pub fn path(&self) -> &str {
        &self.decoded
    }

    /// Path and query as they are sent on, and as an assertion binds them.
    pub fn path_and_query(&self) -> Cow<'_, str> {
        if self.query.is_empty() {
            return Cow::Borrowed(&self.sent);
        }
        Cow::Owned([&*self.sent, &*self.query].concat())
    }
}

/// The path as it is sent, and decoded.
fn canonical(path: &str) -> Result<(Cow<'_, str>, Cow<'_, str>), BadTarget> {
    if path.bytes().all(is_path_char) {
        return Ok((Cow::Borrowed(path), Cow::Borrowed(path)));
    }
    let mut sent = String::with_capacity(path.len());
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        let (byte, escaped);
        (byte, escaped, rest) = match (*first, behind) {
            (b'%', [high, low, behind @ ..]) => (unescape(*high, *low)?, true, behind),
            (b'%', _) => return Err(BadTarget::BadEscape),
            (plain, behind) => (plain, false, behind),
        };
        refuse_odd_byte(byte, escaped)?;
        decoded.push(byte);
        if is_unreserved(byte) || (!escaped && is_path_char(byte)) {
            sent.push(char::from(byte));
        } else {
            escape(byte, &mut sent);
        }
    }
    refuse_double_escapes(&sent)?;
    let decoded = String::from_utf8(decoded).map_err(|_| BadTarget::NotUtf8)?;
    Ok((Cow::Owned(sent), Cow::Owned(decoded)))
}

fn refuse_odd_byte(byte: u8, escaped: bool) -> Result<(), BadTarget> {
    match byte {
        b'\\' => Err(BadTarget::HiddenSlash),
        b'/' if escaped => Err(BadTarget::HiddenSlash),
        b';' => Err(BadTarget::Parameters),
        0..=0x1f | 0x7f => Err(BadTarget::Control),
        _ => Ok(()),
    }
}

/// What follows an escaped `%` must not make it an escape for whoever decodes twice. `sent` is what counts, for there
/// `%254%31` has become `%2541`.
fn refuse_double_escapes(sent: &str) -> Result<(), BadTarget> {
    let is_escape = |behind: &[u8]| match behind {
        [b'%', ..] => true,
        [high, low, ..] => unescape(*high, *low).is_ok(),
        _ => false,
    };
    let doubled = sent
        .match_indices("%25")
        .filter_map(|(at, found)| sent.as_bytes().get(at + found.len()..))
        .any(is_escape);
    if doubled {
        return Err(BadTarget::DoubleEscape);
    }
    Ok(())
}

fn refuse_odd_segments(decoded: &str) -> Result<(), BadTarget> {
    // The first is what stands before the first slash, and the last may be empty.
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(BadTarget::DotSegment),
            "" if segments.peek().is_some() => return Err(BadTarget::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

/// The query as a URL parser would send it: the special-query percent-encode set of the URL Standard §1.3.
fn canonical_query(query: &str) -> Cow<'_, str> {
    let odd = |byte: u8| matches!(byte, 0..=b' ' | b'"' | b'#' | b'<' | b'>' | b'\'' | 0x7f..);
    if !query.bytes().any(odd) {
        return Cow::Borrowed(query);
    }
    let mut sent = String::with_capacity(query.len() + 16);
    for byte in query.bytes() {
        if odd(byte) {
            escape(byte, &mut sent);
        } else {
            sent.push(char::from(byte));
        }
    }
    Cow::Owned(sent)
}

/// What stands unescaped in a path and means the same to everybody: pchar of RFC 3986 §3.3 without `;`, and `/`.
const fn is_path_char(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn unescape(high: u8, low: u8) -> Result<u8, BadTarget> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(BadTarget::BadEscape),
    }
}

/// Appends `%XX`.
pub(crate) fn escape(byte: u8, to: &mut String) {
    to.push('%');
    for nibble in [byte >> 4, byte & 15] {
        to.push(
            char::from_digit(u32::from(nibble), 16)
                .unwrap_or('0')
                .to_ascii_uppercase(),
        );
    }
}

#[cfg(test)]
mod tests;
