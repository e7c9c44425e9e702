//! What a request says of its body.

use axum::http::{HeaderMap, header};

/// The type that a form sends unless its page says otherwise.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The type of JSON.
pub(super) const JSON: &str = "application/json";

/// The media type without its parameters, in lower case (RFC 9110 §8.3.1: case does not matter); `None` where the
/// request says nothing.
pub(super) fn of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn case_and_parameters_do_not_matter() {
        for (value, essence) in [
            ("application/json", "application/json"),
            ("Application/X-WWW-Form-UrlEncoded; charset=utf-8", FORM),
            (" text/plain ;x=\u{e9}", "text/plain"),
            ("", ""),
        ] {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value)]);
            assert_eq!(of(&headers).as_deref(), Some(essence));
        }
        assert_eq!(of(&HeaderMap::new()), None);
    }
}
