//! What a request says in its path, its query and its body, read strictly: whatever is wrong is answered with the name of
//! the field that is.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, RawPathParamsRejection};
use axum::extract::{FromRequest, FromRequestParts, Path as AxumPath, RawPathParams, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use url::form_urlencoded;

use crate::http::content_type;
use crate::http::error::Failure;

/// A body of JSON.
///
/// # Errors
/// 415 if it says that it is something else, 400 if it is not the JSON that `T` is read from.
pub(in crate::http) struct Json<T>(pub(in crate::http) T);

/// The query, of which each parameter may come once.
///
/// # Errors
/// 400 if `T` cannot be read from it.
pub(in crate::http) struct Query<T>(pub(in crate::http) T);

/// The parameters of the path: one value, or a struct with a field for each.
///
/// # Errors
/// 400 if `T` cannot be read from them.
pub(in crate::http) struct Path<T>(pub(in crate::http) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if content_type::of(request.headers()).as_deref() != Some(content_type::JSON) {
            return Err(Failure::UnsupportedMediaType);
        }
        let body = Bytes::from_request(request, state).await;
        from_json(&body.map_err(|_| Failure::Body)?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        from_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match AxumPath::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(rejection) => Err(bad_path(
                &rejection,
                RawPathParams::from_request_parts(parts, state).await,
            )),
        }
    }
}

/// `T`, read from JSON.
///
/// # Errors
/// [`Failure::BadField`] with the name of the field that is wrong, [`Failure::BadRequest`] where it is no JSON.
pub(in crate::http) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    const NO_JSON: Failure = Failure::BadRequest("The body is not JSON.");
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        match error.inner().classify() {
            Category::Data => wrong(&error.path().to_string(), &error.inner().to_string()),
            Category::Io | Category::Syntax | Category::Eof => NO_JSON,
        }
    })?;
    json.end().map_err(|_| NO_JSON)?;
    Ok(value)
}

fn from_query<T: DeserializeOwned>(query: &str) -> Result<T, Failure> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
        .map_err(|error| wrong(&error.path().to_string(), &error.inner().to_string()))
}

/// What serde says is wrong at `path`, without the value that was sent: it may be a password in a wrong place.
fn wrong(path: &str, message: &str) -> Failure {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message);
    let quoted = |rest: &str| Some(rest.split_once('`')?.0.to_owned());
    for (start, problem) in [
        ("missing field `", "is missing"),
        ("duplicate field `", "came twice"),
        ("unknown field `", "is not a field here"),
    ] {
        if let Some(name) = message.strip_prefix(start).and_then(quoted) {
            return Failure::field(&shown(&joined(path, &name)), problem);
        }
    }
    let is_of_serde = ["invalid ", "unknown variant "];
    let problem = match message.rsplit_once(", expected ") {
        Some((start, expected)) if is_of_serde.iter().any(|kind| start.starts_with(kind)) => {
            format!("must be {}", plainly(expected))
        }
        // Of a type of ours, which describes itself.
        _ => format!("is not valid: {message}"),
    };
    Failure::field(&shown(path), problem)
}

/// What serde expects, without the names that things have in Rust.
fn plainly(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// The path of the field `name` in what stands at `path`. Some deserializers count a field that they do not know as a part
/// of the path.
fn joined(path: &str, name: &str) -> String {
    match path {
        "." => name.to_owned(),
        _ if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

/// The name of a field as it is told: an unknown one is the sender's own, and may be anything.
fn shown(path: &str) -> String {
    const LONGEST: usize = 80;
    match path {
        "." => "The body".to_owned(),
        _ => {
            let plain = path.chars().filter(|char| !char.is_control());
            plain.take(LONGEST).collect()
        }
    }
}

fn bad_path(
    rejection: &PathRejection,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
) -> Failure {
    use axum::extract::path::ErrorKind;
    let kind = match rejection {
        PathRejection::FailedToDeserializePathParams(failed) => failed.kind(),
        _ => return Failure::NotFound,
    };
    match kind {
        ErrorKind::InvalidUtf8InPathParam { key } => Failure::field(key, "must be UTF-8"),
        ErrorKind::ParseErrorAtKey {
            key, expected_type, ..
        } => Failure::field(key, format!("must be {expected_type}")),
        ErrorKind::DeserializeError { key, message, .. } => wrong(key, message),
        ErrorKind::Message(message) => {
            // A path with one parameter: nothing but the path says its name.
            let name = parameters.ok().and_then(|parameters| {
                let (name, _) = (&parameters).into_iter().next()?;
                Some(name.to_owned())
            });
            wrong(name.as_deref().unwrap_or("The path"), message)
        }
        _ => Failure::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use shared::id::SessionId;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused counts")]
    struct Sent {
        email: String,
        #[serde(default)]
        after: u64,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused counts")]
    struct Inner {
        id: SessionId,
    }

    fn told<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        result.unwrap_err().told().detail
    }

    #[test]
    fn json_that_is_wrong_is_told_by_its_field() {
        for (json, expected) in [
            ("{}", "email is missing."),
            (r#"{"email":7}"#, "email must be a string."),
            (r#"{"email":"a","email":"b"}"#, "email came twice."),
            (r#"{"email":"a","x":1}"#, "x is not a field here."),
            (
                r#"{"email":"a","after":-1}"#,
                "after must be a whole number that is not negative.",
            ),
            (
                r#"{"email":"a","after":"p, expected x"}"#,
                "after must be a whole number that is not negative.",
            ),
            (r#"{"email":"a","inner":[{}]}"#, "inner[0].id is missing."),
            (
                r#"{"email":"a","inner":[{"id":"AAAAAAAAAAAAAAAAAAAAAA","y":1}]}"#,
                "inner[0].y is not a field here.",
            ),
            (
                r#"{"email":"a","inner":[{"id":"x"}]}"#,
                "inner[0].id is not valid: an id is 22 characters of base64url.",
            ),
            ("7", "The body must be an object."),
            ("", "The body is not JSON."),
            (r#"{"email":"a"} x"#, "The body is not JSON."),
        ] {
            assert_eq!(told(from_json::<Sent>(json.as_bytes())), expected, "{json}");
        }
        assert!(from_json::<Sent>(br#"{"email":"a"}"#).is_ok());
    }

    #[test]
    fn a_query_that_is_wrong_is_told_by_its_field() {
        for (query, expected) in [
            ("", "email is missing."),
            ("email=a&email=b", "email came twice."),
            ("email=a&x=1", "x is not a field here."),
            (
                "email=a&after=x",
                "after is not valid: invalid digit found in string.",
            ),
        ] {
            assert_eq!(told(from_query::<Sent>(query)), expected, "{query}");
        }
        assert!(from_query::<Sent>("email=a&after=7").is_ok());
    }

    #[test]
    fn what_was_sent_is_neither_told_nor_logged() {
        for json in [
            r#"{"email":{"hunter42":1}}"#,
            r#"{"email":"a","after":"hunter42"}"#,
            r#"{"email":"a","inner":"hunter42"}"#,
            r#""hunter42""#,
        ] {
            let told = from_json::<Sent>(json.as_bytes()).unwrap_err().told();
            assert!(!told.detail.contains("hunter42"), "{}", told.detail);
            assert!(!told.reason.contains("hunter42"), "{}", told.reason);
        }
        let long = format!(r#"{{"email":"a","{}":1}}"#, "x".repeat(9_000));
        assert!(told(from_json::<Sent>(long.as_bytes())).len() < 120);
    }
}
