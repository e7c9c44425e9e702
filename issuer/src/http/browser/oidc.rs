//! Signing in through an OpenID provider: to the provider, and back.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use shared::time::UnixMillis;
use url::form_urlencoded;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cookies::set_cookies;
use super::return_to;
use crate::entropy;
use crate::events::Actor;
use crate::http::error::Failure;
use crate::http::extract::{Client, Path, Query, Untrusted};
use crate::http::layers::WayBack;
use crate::http::openapi::refusals;
use crate::http::provider::name::Name;
use crate::http::provider::named;
use crate::services::Services;
use crate::sign_in::oidc::account::{Accounts, Entry};
use crate::sign_in::oidc::pending::{Pending, PendingSet};
use crate::sign_in::oidc::{Answer, Outcome, Provider};
use crate::sign_in::{Arrival, Elsewhere, SignIn, Started};

/// Where a sign-in leads that does not say where to.
const HOME: &str = "/";

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(callback))
}

#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct BeginQuery {
    /// Where to go afterwards: a path of this site, as for `/auth/login`. One that leads elsewhere counts for nothing.
    return_to: Option<String>,
    /// `login` where a rule asks for a younger sign-in: the provider is told to ask the person anew. Anything else counts for
    /// nothing.
    prompt: Option<String>,
}

/// Begins a sign-in at a provider.
///
/// With PKCE (RFC 7636), `state` and `nonce`. Everything about this sign-in waits in a sealed cookie.
#[utoipa::path(
    get,
    path = "/auth/login/{provider}",
    operation_id = "beginProviderSignIn",
    tag = "providers",
    security(()),
    params(("provider" = inline(Name), Path, description = "The provider's name."), BeginQuery),
    responses(
        (
            status = 303,
            description = "To the provider.",
            headers(
                ("Set-Cookie" = String, description = "The sign-ins that are under way."),
                ("Location" = String),
            ),
        ),
        refusals::NotFound,
    ),
)]
async fn begin(
    State(services): State<Arc<Services>>,
    untrusted: Untrusted,
    Path(provider): Path<Name>,
    query: Result<Query<BeginQuery>, Failure>,
) -> Result<Response, Failure> {
    let provider = named(&services, &provider)?;
    let asked = query.map(|Query(query)| query).unwrap_or_default();
    let return_to = asked
        .return_to
        .as_deref()
        .and_then(|text| return_to::checked(text).ok())
        .map(String::from);
    let is_again = asked.prompt.as_deref() == Some("login");
    let way_back = way_back(return_to.as_deref());
    let now = services.clock.now();
    let begun = async {
        let name = &provider.config().name;
        let pending = Pending::new(name, return_to, &entropy::bytes()?, now);
        let url = provider.authorization_url(&pending, is_again, now).await?;
        let mut set = pending_of(&services, &untrusted, now);
        set.add(pending);
        Ok((keep(&services, &set)?, see_other(url.as_str())?).into_response())
    };
    begun.await.or_else(|failure| Ok(back(failure, &way_back)))
}

/// Takes a provider's answer.
///
/// Exchanges the code (RFC 6749 §4.1.2), verifies the ID token, and begins a session.
#[utoipa::path(
    get,
    path = "/auth/callback/{provider}",
    operation_id = "finishProviderSignIn",
    tag = "providers",
    security(()),
    params(
        ("provider" = inline(Name), Path, description = "The provider's name."),
        ("state" = Option<String>, Query, description = "Which sign-in this answers (RFC 6749 §4.1.2)."),
        ("code" = Option<String>, Query, description = "What is exchanged for tokens."),
        ("error" = Option<String>, Query, description = "Why there is no code (RFC 6749 §4.1.2.1)."),
        ("iss" = Option<String>, Query, description = "Whose answer it is (RFC 9207)."),
    ),
    responses(
        (
            status = 303,
            description = "Signed in: to where the sign-in began.",
            headers(
                ("Set-Cookie" = String, description = "The access and the refresh token."),
                ("Location" = String),
            ),
        ),
        (
            status = 400,
            description = "No sign-in of this browser waits for this answer, it was used before, or it is another provider's.",
        ),
        (status = 401, description = "The provider's tokens do not verify."),
        (status = 403, description = "The provider did not sign the person in, or they have no account here."),
        refusals::NotFound,
        refusals::Conflict,
    ),
)]
async fn callback(
    State(services): State<Arc<Services>>,
    client: Client,
    untrusted: Untrusted,
    Path(provider): Path<Name>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let provider = named(&services, &provider)?;
    let now = services.clock.now();
    let (state, answer) = answer(query.as_deref().unwrap_or_default())?;
    let mut set = pending_of(&services, &untrusted, now);
    // One that began at another provider is not this one's to answer (RFC 9700 §4.4).
    let pending = set
        .take(&state)
        .filter(|pending| pending.provider == provider.config().name)
        .ok_or(Failure::NoSuchSignIn)?;
    // Whatever comes of it, it is used up.
    let rest = keep(&services, &set)?;
    let finished = finish(&services, &client, &untrusted, provider, &pending, &answer);
    let response = match finished.await {
        Ok(started) => {
            let to = see_other(pending.return_to.as_deref().unwrap_or(HOME))?;
            (set_cookies(&started.minted), to).into_response()
        }
        Err(failure) => back(failure, &way_back(pending.return_to.as_deref())),
    };
    Ok((rest, response).into_response())
}

async fn finish(
    services: &Services,
    client: &Client,
    untrusted: &Untrusted,
    provider: &Provider,
    pending: &Pending,
    answer: &Answer,
) -> Result<Box<Started>, Failure> {
    let now = services.clock.now();
    let iss = answer.iss.as_deref();
    provider.check_sender(iss, now).await?;
    let code = match &answer.outcome {
        Outcome::Code(code) => code,
        Outcome::Error(error) => return Err(Failure::NotSignedInThere(error.clone())),
    };
    let person = provider.person(pending, code, iss, now).await?;
    let accounts = Accounts {
        store: &services.store,
        clock: &services.clock,
        policy: &services.config.policy,
    };
    let from = client.by(Actor::Unknown);
    let user = match accounts
        .enter(provider.config(), &person, pending, from)
        .await?
    {
        Entry::Account(user) => user,
        Entry::Refused(refusal) => return Err(Failure::NoAccount(refusal.as_str())),
        Entry::Disabled => return Err(Failure::NoAccount("the account is disabled")),
        Entry::Replayed => return Err(Failure::NoSuchSignIn),
    };
    // Where it is not clear what the browser holds, nothing makes way: to sign in is how it gets out of that.
    let held = untrusted.sessions(services).unwrap_or_default();
    let arrival = Arrival {
        user,
        provider: &provider.config().name,
        from: client.by(Actor::User(user)),
        replaces: &held,
        elsewhere: Some(Elsewhere {
            identity: &person.identity,
            sid: person.sid.as_deref(),
            auth_time: person.auth_time.map(UnixMillis::from),
            began: pending.began,
        }),
    };
    match services.sign_ins().start(&arrival).await? {
        SignIn::Started(started) => Ok(started),
        SignIn::LimitReached => Err(Failure::LimitReached),
        SignIn::Departed => Err(Failure::NoSuchSignIn),
        SignIn::NotAllowed => Err(Failure::NoAccount("the account is gone or disabled")),
    }
}

/// The parameters of an answer, each once (RFC 6749 §3.1). Others are ignored.
fn answer(query: &str) -> Result<(String, Answer), Failure> {
    let (mut state, mut code, mut error, mut iss) = (None, None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let parameter = match &*name {
            "state" => &mut state,
            "code" => &mut code,
            "error" => &mut error,
            "iss" => &mut iss,
            _ => continue,
        };
        if parameter.replace(value.into_owned()).is_some() {
            return Err(Failure::field(&name, "came twice"));
        }
    }
    let outcome = match (code, error) {
        (Some(code), None) => Outcome::Code(code),
        (None, Some(error)) => Outcome::Error(error),
        (None, None) => return Err(Failure::field("code", "is missing")),
        (Some(_), Some(_)) => return Err(Failure::field("error", "must not come with a code")),
    };
    let state = state.ok_or_else(|| Failure::field("state", "is missing"))?;
    Ok((state, Answer { iss, outcome }))
}

fn pending_of(services: &Services, untrusted: &Untrusted, now: UnixMillis) -> PendingSet {
    let config = &services.config;
    untrusted.login().map_or_else(PendingSet::default, |value| {
        PendingSet::open(value, &config.seal_keys, &config.public_url, now)
    })
}

fn keep(
    services: &Services,
    set: &PendingSet,
) -> Result<AppendHeaders<[(HeaderName, String); 1]>, Failure> {
    let config = &services.config;
    let cookie = set.set_cookie(&config.seal_keys, &config.public_url, entropy::bytes()?);
    Ok(AppendHeaders([(header::SET_COOKIE, cookie)]))
}

fn see_other(to: &str) -> Result<Response, Failure> {
    let location = HeaderValue::from_str(to).map_err(|_| Failure::NotFound)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// The sign-in page, with the way on from there.
fn way_back(return_to: Option<&str>) -> String {
    match return_to {
        Some(path) => {
            let escaped: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
            format!("/auth/login?return_to={escaped}")
        }
        None => "/auth/login".to_owned(),
    }
}

/// The refusal, on a page that leads back to the sign-in page.
fn back(failure: Failure, to: &str) -> Response {
    let mut response = failure.into_response();
    response.extensions_mut().insert(WayBack(to.to_owned()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_each_parameter_once_and_a_code_or_an_error() {
        let (state, good) =
            answer("state=s&code=c%2B&iss=https%3A%2F%2Fop&session_state=x").unwrap();
        assert_eq!(
            (state.as_str(), good.iss.as_deref()),
            ("s", Some("https://op"))
        );
        assert!(matches!(good.outcome, Outcome::Code(code) if code == "c+"));
        let (_, refused) = answer("error=access_denied&state=s").unwrap();
        assert!(matches!(refused.outcome, Outcome::Error(error) if error == "access_denied"));
        for bad in [
            "",
            "state=s",
            "code=c",
            "state=s&code=c&error=e",
            "state=s&state=s&code=c",
            "state=s&code=c&code=c",
        ] {
            assert!(matches!(answer(bad), Err(Failure::BadField(_))), "{bad}");
        }
    }

    #[test]
    fn the_way_back_keeps_where_somebody_wanted_to_go() {
        assert_eq!(way_back(None), "/auth/login");
        assert_eq!(
            way_back(Some("/a?b=1&c#d")),
            "/auth/login?return_to=%2Fa%3Fb%3D1%26c%23d"
        );
    }
}
