//! What a refused client gets: the one table of status codes of this crate, and the forms an answer can have.

use shared::rejection::{Code, Rejection};
use shared::wire::{MAX_RETURN_TO, PROBLEM_JSON, Problem};

use crate::refusal::Refusal;
use crate::rule::cors::{Headers, Readable};
use crate::target::{Target, escape};

const SIGN_IN: &str = "/auth/login";

/// The longest way to the sign-in page, in octets. Cloudflare takes URLs of 16 KB, and the site's name is part of them.
const MAX_WAY: usize = 16_000;

/// An answer of the edge's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers; a name may come twice.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// Who is refused, as far as the form of the answer goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker<'a> {
    /// `Sec-Fetch-Mode` (Fetch Metadata §2.2).
    pub fetch_mode: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Referer`.
    pub referer: Option<&'a str>,
    /// This site, as its users see it.
    pub site: &'a str,
    /// Whether the rule says that programs call this route.
    pub api: bool,
    /// The URL, to come back to.
    pub url: &'a str,
    /// Whose scripts may read the answer.
    pub cors: Option<&'a Readable>,
}

/// The table. What the client may know of a refusal: a status and a code.
const fn outside(refusal: &Refusal) -> (u16, Code) {
    match refusal {
        Refusal::Target(_) | Refusal::Credential(_) => (400, Code::InvalidRequest),
        Refusal::Misdirected => (421, Code::InvalidRequest),
        Refusal::Hidden | Refusal::Respelled => (404, Code::NotFound),
        Refusal::Method => (501, Code::InvalidRequest),
        Refusal::TooLarge => (413, Code::InvalidRequest),
        Refusal::RateLimited(_) => (429, Code::RateLimited),
        Refusal::Anonymous | Refusal::CookiesBlocked | Refusal::WayBackTooLong => {
            (401, Code::Unauthenticated)
        }
        Refusal::SignInTooOld(_) => (401, Code::StepUpRequired),
        Refusal::Token(rejection) => (401, rejection.code()),
        Refusal::ClocksDiffer => (401, Code::TokenExpired),
        Refusal::SessionEnded => (401, Code::SessionEnded),
        Refusal::RefreshReused => (401, Code::RefreshReused),
        Refusal::TokenRevoked => (401, Code::TokenInvalid),
        Refusal::ClaimsStale => (401, Code::ClaimsStale),
        Refusal::Role(_)
        | Refusal::NotAService
        | Refusal::NotAUser
        | Refusal::Scope(_)
        | Refusal::Preflight(_) => (403, Code::Forbidden),
        Refusal::Csrf => (403, Code::Csrf),
        Refusal::RevocationsStale => (503, Code::RevocationsStale),
        Refusal::IssuerUnreachable => (502, Code::IssuerUnreachable),
        Refusal::IssuerTimeout => (504, Code::IssuerUnreachable),
        Refusal::OriginUnreachable => (502, Code::Internal),
        Refusal::Misconfigured(_) => (500, Code::Internal),
    }
}

/// How a connection is closed that was let in and whose standing is no longer good: a code of RFC 6455 §7.4.2, 4000 above
/// the status that a request would get, and the same `code` as the reason.
pub const fn close(refusal: &Refusal) -> (u16, Code) {
    let (status, code) = outside(refusal);
    (4000 + status, code)
}

impl Reply {
    /// The answer to `asker`: to a navigation a redirect to the sign-in page where signing in helps and a page where it
    /// does not, to everything else a problem (RFC 9457).
    pub fn refuse(refusal: &Refusal, asker: Asker<'_>) -> Self {
        let mut reply = Self::refuse_in_form(refusal, asker);
        let cors = asker.cors.map(Readable::headers);
        reply.headers.extend(cors.into_iter().flatten());
        reply
    }

    /// The answer to a preflight that is allowed.
    pub fn preflight(mut headers: Headers) -> Self {
        headers.push(("Cache-Control", "no-store".to_owned()));
        Self {
            status: 204,
            headers,
            body: String::new(),
        }
    }

    fn refuse_in_form(refusal: &Refusal, asker: Asker<'_>) -> Self {
        let (status, code) = outside(refusal);
        if asker.api || !is_navigation(asker) {
            let body = Problem::new(code, status, refusal.to_string()).to_json();
            return Self::new(refusal, status, PROBLEM_JSON, body);
        }
        let way = sign_in(asker.url);
        let refusal = if status == 401 && signing_in_helps(refusal) && !comes_from_sign_in(asker) {
            match way {
                Some(way) => return Self::redirect(refusal, way),
                None => &Refusal::WayBackTooLong,
            }
        } else {
            // Whoever comes from the sign-in page without a session gains nothing by being sent there again.
            match refusal {
                Refusal::Anonymous => &Refusal::CookiesBlocked,
                Refusal::SignInTooOld(_) | Refusal::Token(Rejection::NotYetValid) => {
                    &Refusal::ClocksDiffer
                }
                other => other,
            }
        };
        let way = way.as_deref().unwrap_or(SIGN_IN);
        let page = page(code, status, &refusal.to_string(), way);
        Self::new(refusal, status, "text/html; charset=utf-8", page)
    }

    fn redirect(refusal: &Refusal, way: String) -> Self {
        let mut location = way;
        if matches!(refusal, Refusal::SignInTooOld(_)) {
            location.push_str("&prompt=login");
        }
        let headers = vec![
            ("Cache-Control", "no-store".to_owned()),
            ("Location", location),
        ];
        Self {
            status: 303,
            headers,
            body: String::new(),
        }
    }

    fn new(refusal: &Refusal, status: u16, content_type: &str, body: String) -> Self {
        let mut headers = vec![
            ("Cache-Control", "no-store".to_owned()),
            ("Content-Type", content_type.to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
        ];
        if content_type.starts_with("text/html") {
            let policy =
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
            headers.push(("Content-Security-Policy", policy.to_owned()));
            headers.push(("Referrer-Policy", "no-referrer".to_owned()));
        }
        if let Some(challenge) = challenge(refusal, status) {
            headers.push(("WWW-Authenticate", challenge));
        }
        let retry_after = match refusal {
            Refusal::RateLimited(wait) => Some(wait.as_secs()),
            _ => matches!(status, 502..=504).then_some(2),
        };
        if let Some(seconds) = retry_after {
            headers.push(("Retry-After", seconds.to_string()));
        }
        Self {
            status,
            headers,
            body,
        }
    }
}

/// `WWW-Authenticate`: RFC 6750 §3, for a sign-in that is too old RFC 9470 §3.
fn challenge(refusal: &Refusal, status: u16) -> Option<String> {
    let error = match refusal {
        Refusal::SignInTooOld(most) => format!(
            r#" error="insufficient_user_authentication", max_age="{}","#,
            most.as_secs()
        ),
        Refusal::Role(_) | Refusal::NotAService | Refusal::NotAUser => {
            r#" error="insufficient_scope","#.to_owned()
        }
        Refusal::Scope(scopes) => format!(r#" error="insufficient_scope", scope="{scopes}","#),
        Refusal::Credential(_) => r#" error="invalid_request","#.to_owned(),
        // RFC 6750 §3.1: no error code where no credential came.
        Refusal::Anonymous | Refusal::CookiesBlocked | Refusal::WayBackTooLong => {
            return Some(r#"Bearer realm="portcullis""#.to_owned());
        }
        _ if status == 401 => r#" error="invalid_token","#.to_owned(),
        _ => return None,
    };
    // Our own sentences: without quotes or backslashes, so they stand in a quoted-string as they are.
    Some(format!(
        r#"Bearer realm="portcullis",{error} error_description="{refusal}""#
    ))
}

/// The sign-in page, which leads back to `url`; none if that is too long. The query is what the browser sent; a fragment is
/// never sent, the browser keeps it over the redirects (RFC 9110 §10.2.2).
fn sign_in(url: &str) -> Option<String> {
    let target = Target::parse(url);
    let return_to = target.as_ref().map_or("/".into(), Target::path_and_query);
    let mut page = [SIGN_IN, "?return_to="].concat();
    for byte in return_to.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            page.push(char::from(byte));
        } else {
            escape(byte, &mut page);
        }
    }
    (return_to.len() <= MAX_RETURN_TO && page.len() <= MAX_WAY).then_some(page)
}

/// Whether another sign-in can lead to another answer. It mends no clock, and a redirect would come back for ever.
const fn signing_in_helps(refusal: &Refusal) -> bool {
    !matches!(
        refusal,
        Refusal::Token(Rejection::NotYetValid) | Refusal::ClocksDiffer
    )
}

/// Whether a browser was just led here by the sign-in page. That page is ours and lets browsers say so
/// (`Referrer-Policy: same-origin`); where one does not, the sign-in page comes again, once per try.
fn comes_from_sign_in(asker: Asker<'_>) -> bool {
    let path = asker
        .referer
        .and_then(|referer| referer.strip_prefix(asker.site));
    path.and_then(|path| path.strip_prefix(SIGN_IN))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['?', '/', '#']))
}

/// Whether a person looks at the answer: the browser says so, or where it says nothing, HTML is wanted most.
fn is_navigation(asker: Asker<'_>) -> bool {
    match asker.fetch_mode {
        Some(mode) => mode == "navigate",
        None => asker.accept.is_some_and(prefers_html),
    }
}

/// Whether HTML is among the media types of highest weight (RFC 9110 §12.5.1), and before every other of them.
fn prefers_html(accept: &str) -> bool {
    let mut best = (0_u16, false);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let html = media.eq_ignore_ascii_case("text/html")
            || media.eq_ignore_ascii_case("application/xhtml+xml");
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        if weight > best.0 {
            best = (weight, html);
        }
    }
    best.1
}

/// A weight of RFC 9110 §12.4.2, in thousandths; what is none counts as zero.
fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = format!("{fraction:0<3}");
    match (whole, digits.parse::<u16>()) {
        ("0", Ok(fraction)) if digits.len() == 3 => fraction,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

fn page(code: Code, status: u16, detail: &str, sign_in: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<h1>{title}</h1>\n<p>{detail}.</p>\n\
         <p><a href=\"\">Try again</a> · <a href=\"{sign_in}\">Sign in</a> · <a href=\"/auth/account\">Your sessions</a></p>\n\
         <p><small>{status} {code}</small></p>\n</html>\n",
        title = escape_html(code.title()),
        detail = escape_html(detail),
        code = code.as_str(),
        sign_in = escape_html(sign_in),
    )
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
