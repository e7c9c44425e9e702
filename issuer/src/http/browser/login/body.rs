//! What a sign-in sends: a form or JSON, one spelling each.

use axum::http::HeaderMap;
use serde::Deserialize;
use shared::secret::SecretText;
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use crate::http::content_type;
use crate::http::error::Failure;
use crate::http::extract::from_json;

/// In characters. (RFC 5321 §4.5.3.1: 64 octets, an `@`, 255 octets.)
const LONGEST_EMAIL: usize = 320;

/// What somebody signs in with.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) email: String,
    pub(super) password: SecretText,
    pub(super) return_to: Option<String>,
}

/// How it was sent, and so how it is answered.
#[derive(Debug)]
pub(super) enum Sent {
    Form(Credentials),
    Json(Credentials),
}

/// What somebody signs in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub(super) struct Json {
    #[schema(schema_with = email)]
    email: String,
    #[schema(min_length = 1, format = Password)]
    password: String,
    /// A path of this site, and not one under `/auth/` or `/oauth/`, up to 8,000 octets.
    #[schema(
        pattern = r"^/([^/\\\x00-\x1f\x7f-\x9f][^\\\x00-\x1f\x7f-\x9f]*)?$",
        max_length = 8_000
    )]
    return_to: Option<String>,
}

/// What the form of the sign-in page sends. Other fields count for nothing.
#[derive(ToSchema)]
#[schema(as = SignInForm)]
#[expect(dead_code, reason = "a schema: forms are read field by field")]
pub(super) struct Form {
    #[schema(schema_with = email)]
    email: String,
    #[schema(min_length = 1, format = Password)]
    password: String,
    /// Where to go then. One that leads elsewhere counts for nothing.
    #[schema(max_length = 8_000)]
    return_to: Option<String>,
}

/// An e-mail address as it is taken: anything without control characters that is not blank.
fn email() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .pattern(Some(
            r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
        ))
        .max_length(Some(LONGEST_EMAIL))
        .build()
}

/// Reads the body.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Sent, Failure> {
    match content_type::of(headers).as_deref() {
        Some(content_type::JSON) => json(body).map(Sent::Json),
        Some(content_type::FORM) => form(body).map(Sent::Form),
        _ => Err(Failure::UnsupportedMediaType),
    }
}

fn json(body: &[u8]) -> Result<Credentials, Failure> {
    let json: Json = from_json(body)?;
    credentials(json.email, json.password, json.return_to)
}

fn form(body: &[u8]) -> Result<Credentials, Failure> {
    let (mut email, mut password, mut return_to) = (None, None, None);
    for (name, value) in form_urlencoded::parse(body) {
        let field = match &*name {
            "email" => &mut email,
            "password" => &mut password,
            "return_to" => &mut return_to,
            _ => continue,
        };
        if field.replace(value.into_owned()).is_some() {
            return Err(Failure::field(&name, "came twice"));
        }
    }
    credentials(
        email.unwrap_or_default(),
        password.unwrap_or_default(),
        return_to,
    )
}

/// Postgres takes no NUL in text, and no address has a control character.
fn credentials(
    email: String,
    password: String,
    return_to: Option<String>,
) -> Result<Credentials, Failure> {
    let password = SecretText::new(password);
    let email = email.trim().to_owned();
    if email.is_empty()
        || email.chars().count() > LONGEST_EMAIL
        || email.chars().any(char::is_control)
    {
        return Err(Failure::field("email", "must be an e-mail address"));
    }
    if password.expose().is_empty() {
        return Err(Failure::field("password", "must not be empty"));
    }
    Ok(Credentials {
        email,
        password,
        return_to,
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn sent(kind: &'static str, body: &str) -> Result<Sent, Failure> {
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        parse(&headers, body.as_bytes())
    }

    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json; charset=utf-8";

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let Sent::Form(form) = sent(
            FORM,
            "email=ada%40example.test&password=a+b%26%C3%A4&return_to=%2Fapp&x=1",
        )
        .unwrap() else {
            panic!("a form");
        };
        assert_eq!(form.email, "ada@example.test");
        assert_eq!(form.password.expose(), "a b&ä");
        assert_eq!(form.return_to.as_deref(), Some("/app"));
    }

    #[test]
    fn json_is_read_strictly() {
        assert!(
            matches!(sent(JSON, r#"{"email":"a@b","password":" p "}"#), Ok(Sent::Json(c)) if c.password.expose() == " p ")
        );
        for bad in [
            "",
            "[]",
            r#"{"email":"a@b"}"#,
            r#"{"email":"a@b","password":7}"#,
            r#"{"email":"a@b","password":"p","admin":true}"#,
            r#"{"email":"a@b","email":"c@d","password":"p"}"#,
            r#"{"email":"","password":"p"}"#,
            r#"{"email":"a\u0000@b","password":"p"}"#,
        ] {
            assert!(
                matches!(
                    sent(JSON, bad),
                    Err(Failure::BadRequest(_) | Failure::BadField(_))
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        assert!(matches!(
            sent(FORM, "email=a@b&email=c@d&password=p"),
            Err(Failure::BadField(_))
        ));
        assert!(matches!(
            sent("text/plain", "{}"),
            Err(Failure::UnsupportedMediaType)
        ));
        assert!(matches!(
            parse(&HeaderMap::new(), b"{}"),
            Err(Failure::UnsupportedMediaType)
        ));
    }

    #[test]
    fn the_password_does_not_print() {
        let sent = sent(FORM, "email=a%40b&password=hunter42").unwrap();
        assert!(!format!("{sent:?}").contains("hunter42"));
    }
}
