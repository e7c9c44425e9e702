//! Signing in with a password.

mod body;

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};
use serde::Deserialize;
use shared::id::UserId;

use super::error::{Failure, Told};
use super::extract::{Client, Untrusted};
use super::return_to;
use super::view::Current;
use crate::mint::Minted;
use crate::services::Services;
use crate::session::PASSWORD;
use crate::sign_in::{Arrival, SignIn, Started};
use crate::store::events::{Event, Kind};
use crate::store::users::Access;
use crate::store::{events, users};
use body::{Credentials, Sent};

/// Where a form leads that does not say where to.
const HOME: &str = "/";

#[derive(Default, Deserialize)]
pub(super) struct PageQuery {
    return_to: Option<String>,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    email: &'a str,
    return_to: &'a str,
    message: Option<&'a str>,
}

/// `GET /auth/login`: the page. A `return_to` that leads elsewhere is left out.
pub(super) async fn page(
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let return_to = query
        .return_to
        .as_deref()
        .and_then(return_to::checked)
        .unwrap_or(HOME);
    render(
        StatusCode::OK,
        &LoginPage {
            email: "",
            return_to,
            message: None,
        },
    )
}

/// `POST /auth/login`, from the page's form or as JSON.
pub(super) async fn sign_in(
    State(services): State<Arc<Services>>,
    client: Client,
    untrusted: Untrusted,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let sent = body::parse(&headers, &body.map_err(|_| Failure::Body)?)?;
    let (credentials, by_form) = match sent {
        Sent::Form(credentials) => (credentials, true),
        Sent::Json(credentials) => (credentials, false),
    };
    let return_to = credentials.return_to.as_deref().map(return_to::checked);
    if !by_form && return_to == Some(None) {
        return Err(Failure::BadRequest(
            "return_to must be a path of this site.",
        ));
    }
    let return_to = return_to.flatten().unwrap_or(HOME);
    match begin(&services, &client, &untrusted, &credentials).await {
        Ok(started) if by_form => Ok(redirect(return_to, &started.minted)),
        Ok(started) => {
            let current = Current::new(
                &started.user,
                &started.session,
                started.minted.access_expires_at,
            );
            Ok((set_cookies(&started.minted), Json(current)).into_response())
        }
        Err(failure) if by_form => explain(failure, &credentials.email, return_to),
        Err(failure) => Err(failure),
    }
}

async fn begin(
    services: &Services,
    client: &Client,
    untrusted: &Untrusted,
    credentials: &Credentials,
) -> Result<Box<Started>, Failure> {
    let user = authenticate(services, client, credentials).await?;
    // Where it is not clear what the browser holds, nothing makes way: to sign in is how it gets out of that.
    let held = untrusted.sessions(services).unwrap_or_default();
    let arrival = Arrival {
        user,
        provider: PASSWORD,
        ip: client.ip,
        user_agent: &client.user_agent,
        replaces: &held,
    };
    match services.sign_ins().start(&arrival).await? {
        SignIn::Started(started) => Ok(started),
        SignIn::LimitReached => Err(Failure::LimitReached),
        SignIn::NotAllowed => Err(Failure::BadCredentials),
    }
}

/// Whose password this is. An unknown address, a disabled account and a wrong password take the same steps: one look
/// at the users, one argon2id, one line in the log, and one answer.
async fn authenticate(
    services: &Services,
    client: &Client,
    credentials: &Credentials,
) -> Result<UserId, Failure> {
    let found = users::by_email(&mut *services.store.conn().await?, &credentials.email).await?;
    let (user, hash) = match found {
        Some((user, hash)) => (
            Some(user.id),
            hash.filter(|_| user.access == Access::Enabled),
        ),
        None => (None, None),
    };
    let good = services
        .passwords
        .verify(credentials.password.clone(), hash)
        .await?;
    match user.filter(|_| good) {
        Some(user) => Ok(user),
        None => {
            let event = Event {
                user,
                detail: PASSWORD,
                ..client.event(Kind::SignInFailed)
            };
            events::record(
                &mut *services.store.conn().await?,
                &event,
                services.clock.now(),
            )
            .await?;
            Err(Failure::BadCredentials)
        }
    }
}

/// The two cookies as headers of an answer.
pub(super) fn set_cookies(minted: &Minted) -> AppendHeaders<[(header::HeaderName, String); 2]> {
    AppendHeaders([
        (header::SET_COOKIE, minted.access_cookie.clone()),
        (header::SET_COOKIE, minted.refresh_cookie.clone()),
    ])
}

fn redirect(to: &str, minted: &Minted) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static(HOME));
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location)],
        set_cookies(minted),
    )
        .into_response()
}

/// The page once more, saying why, with everything but the password kept.
fn explain(failure: Failure, email: &str, return_to: &str) -> Result<Response, Failure> {
    let told = failure.told();
    let message = if told.detail.is_empty() {
        told.code.title()
    } else {
        told.detail
    };
    let mut response = render(
        told.status,
        &LoginPage {
            email,
            return_to,
            message: Some(message),
        },
    )?;
    response.extensions_mut().insert(Told {
        has_page: true,
        ..told
    });
    Ok(response)
}

fn render(status: StatusCode, page: &LoginPage<'_>) -> Result<Response, Failure> {
    Ok((status, Html(page.render()?)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_keeps_the_address_and_escapes_it() {
        let page = LoginPage {
            email: "\"><script>",
            return_to: "/a?b=\"",
            message: Some("No <b>"),
        };
        let html = page.render().unwrap();
        assert!(
            !html.contains("<script") && !html.contains("<b>") && !html.contains("b=\"\""),
            "{html}"
        );
        assert!(html.contains("role=\"alert\""));
    }
}
