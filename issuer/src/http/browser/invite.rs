//! Invitations: the page behind a one-time link, and the password that is set there.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use shared::secret::SecretText;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::account::invitations::{Token, accept, invited};
use crate::account::users::AccountError;
use crate::http::content_type;
use crate::http::error::{Failure, Told};
use crate::http::extract::{Client, Path, from_json};
use crate::http::openapi::refusals;
use crate::services::Services;
use crate::sign_in::password::LENGTH;
use crate::store::users::User;

#[derive(Template)]
#[template(path = "invite.html")]
struct InvitePage<'a> {
    user: &'a User,
    shortest: usize,
    longest: usize,
    message: Option<&'a str>,
}

/// The page of an invitation: a form for the password.
///
/// Looking at it uses nothing up.
#[utoipa::path(
    get,
    path = "/auth/invite/{token}",
    operation_id = "getInvitation",
    tag = "account",
    security(()),
    params(("token" = String, Path, description = "From the link.", pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")),
    responses(
        (status = 200, description = "The page.", body = String, content_type = "text/html"),
        refusals::NotFound,
    ),
)]
pub(super) async fn page(
    State(services): State<Arc<Services>>,
    Path(token): Path<String>,
) -> Result<Response, Failure> {
    let token = parse(&token)?;
    let user = invited(&services.store, &services.clock, &token).await?;
    render(StatusCode::OK, &user, None)
}

/// A password to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPassword)]
pub(super) struct InviteBody {
    #[schema(min_length = 8, max_length = 1024, format = Password)]
    password: String,
}

/// Sets the password and uses the link up.
///
/// Every session of the user ends. From the page's form, or as JSON.
#[utoipa::path(
    post,
    path = "/auth/invite/{token}",
    operation_id = "acceptInvitation",
    tag = "account",
    security(()),
    params(("token" = String, Path, description = "From the link.", pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")),
    request_body(content(
        (InviteBody = "application/json"),
        (InviteBody = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 204, description = "Set, of JSON."),
        (
            status = 303,
            description = "Set, of a form: to the sign-in page.",
            headers(("Location" = String)),
        ),
        refusals::NotFound,
        refusals::RateLimited,
    ),
)]
pub(super) async fn set_password(
    State(services): State<Arc<Services>>,
    client: Client,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let body = body.map_err(|_| Failure::Body)?;
    match content_type::of(&headers).as_deref() {
        Some(content_type::JSON) => {
            let InviteBody { password } = from_json(&body)?;
            use_up(&services, &client, &parse(&token)?, password).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Some(content_type::FORM) => {
            let token = parse(&token)?;
            match use_up(&services, &client, &token, field(&body)).await {
                Ok(()) => {
                    let to_sign_in = [(header::LOCATION, "/auth/login")];
                    Ok((StatusCode::SEE_OTHER, to_sign_in).into_response())
                }
                Err(AccountError::Invitation) => Err(Failure::BadInvitation),
                Err(error) => {
                    let user = invited(&services.store, &services.clock, &token).await?;
                    explain(&error.to_string(), error.into(), &user)
                }
            }
        }
        _ => Err(Failure::UnsupportedMediaType),
    }
}

async fn use_up(
    services: &Services,
    client: &Client,
    token: &Token,
    password: String,
) -> Result<(), AccountError> {
    let (store, clock, passwords) = (&services.store, &services.clock, &services.passwords);
    let password = SecretText::new(password);
    let by = |user| client.by(user);
    accept(store, clock, passwords, token, password, by).await
}

fn parse(token: &str) -> Result<Token, Failure> {
    Token::parse(token).ok_or(Failure::BadInvitation)
}

/// The password in a form; empty where there is none.
fn field(form: &[u8]) -> String {
    form_urlencoded::parse(form)
        .find(|(name, _)| name == "password")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// The page once more, saying what is wrong.
fn explain(message: &str, failure: Failure, user: &User) -> Result<Response, Failure> {
    let told = failure.told();
    if told.status.is_server_error() {
        return Err(failure);
    }
    let mut response = render(told.status, user, Some(message))?;
    response.extensions_mut().insert(Told {
        has_page: true,
        ..told
    });
    Ok(response)
}

fn render(status: StatusCode, user: &User, message: Option<&str>) -> Result<Response, Failure> {
    let page = InvitePage {
        user,
        shortest: *LENGTH.start(),
        longest: *LENGTH.end(),
        message,
    };
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use shared::id::UserId;
    use shared::time::UnixMillis;

    use super::*;
    use crate::store::users::Access;

    #[test]
    fn the_page_names_the_user_and_escapes_it() {
        let user = User {
            id: UserId::from_bytes([1; 16]),
            email: "\"><script>@x".to_owned(),
            name: "<b>Ada</b>".to_owned(),
            roles: vec![],
            ver: 1,
            created_at: UnixMillis::from_millis(0),
            access: Access::Enabled,
        };
        let page = InvitePage {
            user: &user,
            shortest: 8,
            longest: 1024,
            message: Some("No <i>"),
        };
        let html = page.render().unwrap();
        for bad in ["<script", "<b>", "<i>"] {
            assert!(!html.contains(bad), "{html}");
        }
        assert!(html.contains("Ada") && html.contains("role=\"alert\""));
    }

    #[test]
    fn the_password_is_the_forms() {
        assert_eq!(field(b"x=1&password=a+b%26%C3%A4"), "a b&\u{e4}");
        assert_eq!(field(b"x=1"), "");
    }
}
