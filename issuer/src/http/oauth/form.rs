//! The parameters of a request, which OAuth sends as a form (RFC 6749 §3.2).

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use url::form_urlencoded;

use crate::http::content_type;
use crate::http::error::Failure;

/// Every parameter that means something here, and what is said of one that stands twice.
const KNOWN: [(&str, &str); 9] = [
    ("grant_type", "grant_type was sent twice."),
    ("scope", "scope was sent twice."),
    ("refresh_token", "refresh_token was sent twice."),
    ("client_id", "client_id was sent twice."),
    ("client_secret", "client_secret was sent twice."),
    ("client_assertion", "client_assertion was sent twice."),
    (
        "client_assertion_type",
        "client_assertion_type was sent twice.",
    ),
    ("token", "token was sent twice."),
    ("token_type_hint", "token_type_hint was sent twice."),
];

/// The parameters. No `Debug`: secrets and tokens are among them.
pub(super) struct Form(Vec<(&'static str, String)>);

impl Form {
    /// Reads a body. Parameters that mean nothing here, and those without a value, count as left out; none may stand twice
    /// (RFC 6749 §3.2).
    pub(super) fn parse(
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Self, Failure> {
        if content_type::of(headers).as_deref() != Some(content_type::FORM) {
            return Err(Failure::UnsupportedMediaType);
        }
        let body = body.map_err(|_| Failure::Body)?;
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(&body) {
            let Some((name, twice)) = KNOWN.into_iter().find(|(known, _)| *known == name) else {
                continue;
            };
            if parameters.iter().any(|(before, _)| *before == name) {
                return Err(Failure::BadRequest(twice));
            }
            parameters.push((name, value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// The value of the parameter `name`, if it has one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The same of one that must be there; `missing` names it.
    pub(super) fn required(&self, name: &str, missing: &'static str) -> Result<&str, Failure> {
        self.get(name).ok_or(Failure::BadRequest(missing))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn form(body: &str) -> Result<Form, Failure> {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        Form::parse(&headers, Ok(Bytes::copy_from_slice(body.as_bytes())))
    }

    #[test]
    fn what_has_no_value_counts_as_left_out() {
        let form = form("grant_type=a%2Bb+c&scope=&other=1&other=2").unwrap();
        assert_eq!(form.get("grant_type"), Some("a+b c"));
        assert_eq!(form.get("scope"), None);
        assert_eq!(form.get("other"), None);
        assert!(matches!(
            form.required("token", "Send token."),
            Err(Failure::BadRequest("Send token."))
        ));
    }

    #[test]
    fn none_stands_twice() {
        for (name, twice) in KNOWN {
            for body in [
                format!("{name}=1&{name}=1"),
                format!("{name}=&x=1&{name}=1"),
            ] {
                let refused = form(&body).err();
                assert!(matches!(refused, Some(Failure::BadRequest(told)) if told == twice));
            }
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        let json = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        )]);
        for headers in [HeaderMap::new(), json] {
            let parsed = Form::parse(&headers, Ok(Bytes::new()));
            assert!(matches!(parsed.err(), Some(Failure::UnsupportedMediaType)));
        }
    }
}
