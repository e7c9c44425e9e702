//! Signing in with a password.

pub(in crate::http) mod allowance;
mod body;

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use shared::id::UserId;
use shared::secret::SecretText;
use url::form_urlencoded;
use utoipa::IntoParams;

use super::cookies::set_cookies;
use super::return_to::{self, BadReturn};
use super::view::Current;
use crate::config::ProviderConfig;
use crate::events::{self, Actor, Kind};
use crate::http::error::{Failure, Told};
use crate::http::extract::{Client, Query, Untrusted};
use crate::http::layers::CONTENT_SECURITY_POLICY;
use crate::http::openapi::refusals;
use crate::limits::device::Device;
use crate::services::Services;
use crate::session::PASSWORD;
use crate::sign_in::oidc::Provider;
use crate::sign_in::password::{self, Passwords};
use crate::sign_in::{Arrival, SignIn, Started};
use crate::store::credentials as stored;
use crate::store::users::{self, Access, PasswordHash};
use crate::token::mint::Minted;
use body::{Credentials, Sent};

/// Where a form leads that does not say where to.
const HOME: &str = "/";

const ELSEWHERE: Failure = Failure::BadRequest(
    "return_to must be a path of this site, and not one under /auth/ or /oauth/.",
);

/// What to say of a `return_to` past the limit. Signing in still works, and leads home.
const TOO_LONG: Failure = Failure::BadRequest(
    "The address to come back to is longer than 8,000 characters. Sign in, then open it again.",
);

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Where to go after signing in: a path of this site, up to 8,000 octets. One that leads elsewhere counts for nothing.
    return_to: Option<String>,
    /// `login` where a rule asks for a younger sign-in. A password always is one; a provider must be told.
    prompt: Option<String>,
}

/// The form has no `action`: browsers post it to the page's own URL, and so keep the query, with `return_to` in it, and the
/// fragment, which no server ever sees. The redirect after it names no fragment and inherits that one (RFC 9110 §10.2.2).
///
/// Providers are links, not submits: a form that is answered with a redirect to another site is stopped by `form-action`.
#[derive(Default, Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    email: &'a str,
    /// Only where it came in a body: the page's URL does not hold it then.
    return_to: Option<&'a str>,
    message: Option<&'a str>,
    /// Those that one can sign in through.
    providers: Vec<&'a ProviderConfig>,
    /// The query of the links to them.
    onward: String,
    script: &'static str,
}

/// Takes the fragment along to the providers, the only thing on the page that needs a script.
const SCRIPT: &str = include_str!("../../../templates/login.js");

/// The policy of a page with the script: it and no other may run (Content Security Policy Level 3 §2.3.1).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!("{CONTENT_SECURITY_POLICY}; script-src 'sha256-{hash}'")
});

impl<'a> LoginPage<'a> {
    /// The page of a browser that wants to get to `return_to`, a path that was checked, if need be by a younger sign-in.
    fn new(services: &'a Services, return_to: Option<&str>, prompt: Option<&str>) -> Self {
        Self {
            providers: services.providers.all().map(Provider::config).collect(),
            onward: onward(return_to, prompt),
            script: SCRIPT,
            ..Self::default()
        }
    }
}

/// The query for a provider's link. Of `prompt` nothing but `login` is passed on.
fn onward(return_to: Option<&str>, prompt: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(path) = return_to {
        query.append_pair("return_to", path);
    }
    if prompt == Some("login") {
        query.append_pair("prompt", "login");
    }
    match query.finish() {
        none if none.is_empty() => none,
        some => format!("?{some}"),
    }
}

/// The sign-in page.
///
/// Of a `return_to` that is too long it says so.
#[utoipa::path(
    get,
    path = "/auth/login",
    operation_id = "getSignInPage",
    tag = "session",
    security(()),
    params(PageQuery),
    responses((status = 200, description = "The page.", content_type = "text/html", body = String)),
)]
pub(super) async fn page(
    State(services): State<Arc<Services>>,
    query: Result<Query<PageQuery>, Failure>,
) -> Result<Response, Failure> {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    let page = |path: Option<&str>| LoginPage::new(&services, path, query.prompt.as_deref());
    match query.return_to.as_deref().map(return_to::checked) {
        Some(Err(BadReturn::TooLong)) => explain(TOO_LONG, page(None)),
        Some(Ok(path)) => render(StatusCode::OK, &page(Some(&path))),
        Some(Err(BadReturn::Elsewhere)) | None => render(StatusCode::OK, &page(None)),
    }
}

/// Signs in with a password.
///
/// From the page's form or as JSON. A form says where to come back to in its body or in its URL.
#[utoipa::path(
    post,
    path = "/auth/login",
    operation_id = "signIn",
    tag = "session",
    security(()),
    params(PageQuery),
    request_body(content(
        (body::Json = "application/json"),
        (body::Form = "application/x-www-form-urlencoded"),
    )),
    responses(
        (
            status = 200,
            description = "Signed in, of JSON.",
            body = Current,
            headers(("Set-Cookie" = String, description = "The access and the refresh token.")),
        ),
        (
            status = 303,
            description = "Signed in, of a form: to where it came from.",
            headers(
                ("Set-Cookie" = String, description = "The access and the refresh token."),
                ("Location" = String),
            ),
        ),
        refusals::Unauthenticated,
        refusals::Conflict,
    ),
)]
pub(super) async fn sign_in(
    State(services): State<Arc<Services>>,
    client: Client,
    untrusted: Untrusted,
    query: Result<Query<PageQuery>, Failure>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    match body::parse(&headers, &body.map_err(|_| Failure::Body)?)? {
        Sent::Json(credentials) => {
            match credentials.return_to.as_deref().map(return_to::checked) {
                Some(Err(BadReturn::TooLong)) => return Err(TOO_LONG),
                Some(Err(BadReturn::Elsewhere)) => return Err(ELSEWHERE),
                Some(Ok(_)) | None => {}
            }
            let (started, device) = begin(&services, &client, &untrusted, &credentials).await?;
            let current = Current::new(
                &started.user,
                &started.session,
                started.minted.access_expires_at,
            );
            let signed_in = (set_cookies(&started.minted), Json(current)).into_response();
            Ok(known(signed_in, device))
        }
        Sent::Form(credentials) => {
            let asked = query.map(|Query(query)| query).unwrap_or_default();
            let prompt = asked.prompt.as_deref();
            let asked = asked.return_to.as_deref().map(return_to::checked);
            let sent = credentials.return_to.as_deref();
            let checked = sent.map(return_to::checked);
            // Of what is wrong with the URL's, the page has told.
            let return_to = checked.clone().or(asked).and_then(Result::ok);
            let mut page = LoginPage {
                email: &credentials.email,
                ..LoginPage::new(&services, return_to.as_deref(), prompt)
            };
            if checked == Some(Err(BadReturn::TooLong)) {
                return explain(TOO_LONG, page);
            }
            page.return_to = sent.filter(|_| matches!(checked, Some(Ok(_))));
            let return_to = return_to.unwrap_or(HOME.into());
            match begin(&services, &client, &untrusted, &credentials).await {
                Ok((started, device)) => Ok(known(redirect(&return_to, &started.minted), device)),
                Err(failure) => explain(failure, page),
            }
        }
    }
}

/// A session, and the cookie by which the account knows the browser from now on.
async fn begin(
    services: &Services,
    client: &Client,
    untrusted: &Untrusted,
    credentials: &Credentials,
) -> Result<(Box<Started>, Option<HeaderValue>), Failure> {
    let device = allowance::device(services, untrusted.cookies());
    let user = authenticate(services, client, credentials, device.as_ref()).await?;
    // Where it is not clear what the browser holds, nothing makes way: to sign in is how it gets out of that.
    let held = untrusted.sessions(services).unwrap_or_default();
    let arrival = Arrival {
        user,
        provider: PASSWORD,
        from: client.by(Actor::User(user)),
        replaces: &held,
        elsewhere: None,
    };
    match services.sign_ins().start(&arrival).await? {
        SignIn::Started(started) => Ok((started, allowance::remember(services, device, user)?)),
        SignIn::LimitReached => Err(Failure::LimitReached),
        SignIn::NotAllowed | SignIn::Departed => Err(Failure::BadCredentials),
    }
}

/// Whose password this is. An unknown address, a disabled account and a wrong password take the same steps: one look
/// at the users, one at the passwords, one attempt, one hash, one line in the log as long as there are not too many, and one answer.
async fn authenticate(
    services: &Services,
    client: &Client,
    credentials: &Credentials,
    device: Option<&Device>,
) -> Result<UserId, Failure> {
    let mut conn = services.store.conn().await?;
    let found = users::by_email(&mut conn, &credentials.email).await?;
    // Hashes of some accounts came with an import and take longer or shorter than ours. An unknown account takes as long as
    // that of somebody, always of the same one: so a time tells as little as if all hashes were ours.
    let lot = password::lot(services.config.edge_secret(), &credentials.email);
    let drawn = stored::drawn(&mut conn, lot).await?;
    let (user, hash, like) = match found {
        Some((user, Some(hash))) if user.access == Access::Enabled => {
            (Some(user.id), Some(hash), None)
        }
        Some((user, hash)) => (Some(user.id), None, hash.or(drawn)),
        None => (None, None, drawn),
    };
    let (now, whose) = (services.clock.now(), (user, credentials.email.as_str()));
    let attempt = allowance::take(services, &mut conn, device, whose, now).await?;
    // Nobody waits for a connection while passwords are checked.
    drop(conn);
    let password = credentials.password.clone();
    let verified = services.passwords.verify(password, hash.clone(), like);
    match verified.await {
        Ok(true) => attempt.give_back(&services.store).await?,
        Ok(false) => {
            note_failure(services, client, user).await?;
            return Err(Failure::BadCredentials);
        }
        Err(error) => {
            attempt.give_back(&services.store).await?;
            return Err(error.into());
        }
    }
    let user = user.ok_or(Failure::BadCredentials)?;
    if let Some(hash) = hash.filter(|hash| !Passwords::is_current(hash)) {
        renew(services, user, &credentials.password, &hash).await;
    }
    Ok(user)
}

async fn note_failure(
    services: &Services,
    client: &Client,
    user: Option<UserId>,
) -> Result<(), Failure> {
    let Some(detail) = services.limits.failures.detail(PASSWORD) else {
        return Ok(());
    };
    let mut event = client.by(Actor::Unknown).event(Kind::SignInFailed);
    event.user = user;
    event.detail = detail;
    let mut conn = services.store.conn().await?;
    Ok(events::record(&mut conn, &event, services.clock.now()).await?)
}

/// The answer to a sign-in, with the cookie of the browser.
fn known(mut answer: Response, device: Option<HeaderValue>) -> Response {
    if let Some(cookie) = device {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

/// Replaces a hash that another system made, now that the password is known. A sign-in does not fail for it: the next tries again.
async fn renew(services: &Services, user: UserId, password: &SecretText, old: &PasswordHash) {
    let renewed: Result<_, Failure> = async {
        let new = services.passwords.hash(password.clone()).await?;
        let mut conn = services.store.conn().await?;
        Ok(stored::replace(&mut conn, user, old, &new).await?)
    }
    .await;
    if let Err(error) = renewed {
        tracing::warn!(%error, "an imported password was not hashed anew");
    }
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

/// The page, saying what is wrong, with everything but the password kept.
fn explain(failure: Failure, page: LoginPage<'_>) -> Result<Response, Failure> {
    let told = failure.told();
    let message = match (told.detail.as_str(), &told.limited) {
        ("", _) => told.code.title().to_owned(),
        (detail, None) => detail.to_owned(),
        (detail, Some(usage)) => {
            let minutes = usage.wait_secs().div_ceil(60);
            format!("{detail} You can try again in {minutes} min.")
        }
    };
    let mut response = render(
        told.status,
        &LoginPage {
            message: Some(&message),
            ..page
        },
    )?;
    told.put_headers(response.headers_mut());
    response.extensions_mut().insert(Told {
        has_page: true,
        ..told.clone()
    });
    Ok(response)
}

fn render(status: StatusCode, page: &LoginPage<'_>) -> Result<Response, Failure> {
    let mut response = (status, Html(page.render()?)).into_response();
    if !page.providers.is_empty()
        && let Ok(policy) = HeaderValue::from_str(&POLICY)
    {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_provider_keeps_where_to_and_how() {
        assert_eq!(onward(None, None), "");
        assert_eq!(
            onward(Some("/a?b&c"), Some("login")),
            "?return_to=%2Fa%3Fb%26c&prompt=login"
        );
        assert_eq!(onward(None, Some("none")), "");
    }

    #[test]
    fn the_page_keeps_the_address_and_escapes_it() {
        let page = LoginPage {
            email: "\"><script>",
            return_to: Some("/a?b=\""),
            message: Some("No <b>"),
            ..LoginPage::default()
        };
        let html = page.render().unwrap();
        assert!(
            !html.contains("<script") && !html.contains("<b>") && !html.contains("b=\"\""),
            "{html}"
        );
        assert!(html.contains("role=\"alert\""));
    }
}
