//! The description of this API (OpenAPI 3.1), made from what stands at the handlers.
//!
//! A handler says what it takes, what it answers when it succeeds, and refusals that are its own. What every request may be
//! refused for, and what follows from what it takes (a body, a credential), is added here, once.
//!
//! `/edge/*` is not described: it is not reached through the edge, and only our own edges may call it.

pub(super) mod refusals;
mod schemas;

use std::sync::Arc;

use axum::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use shared::cookie;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{InfoBuilder, License, OpenApi, Server};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::content_type;
use super::provider::name::Name;
use crate::services::Services;
pub(super) use schemas::Id;

/// The access token in its cookie: what a handler takes that says nothing of `security`.
const ACCESS_COOKIE: &str = "accessCookie";
/// The access token as a bearer: the other way to the same.
const BEARER: &str = "bearer";
/// A client's `client_id` and `client_secret` (RFC 6749 §2.3.1).
const CLIENT: &str = "client";
/// The refresh token in its cookie.
const REFRESH_COOKIE: &str = "refreshCookie";

const ABOUT: &str = "Sign-in, sessions and their end. Errors are problems (RFC 9457) with a `code`; a browser that navigates \
    gets a page in their place. Unsafe requests that bring a cookie come from this site's own pages: they need \
    `Sec-Fetch-Site: same-origin` or `Origin`.";

/// The description as it is served.
#[derive(Clone)]
pub(super) struct Document(Arc<str>);

impl Document {
    /// The description of `routes`, served at `public_url`.
    pub(super) fn new(routes: OpenApi, public_url: &str) -> Self {
        // Made of strings and lists: there is nothing in it that JSON cannot hold.
        let json = described(routes, public_url).to_json();
        Self(json.unwrap_or_default().into())
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<Services>> {
    OpenApiRouter::new().routes(routes!(document))
}

/// This description.
#[utoipa::path(
    get,
    path = "/auth/openapi.json",
    operation_id = "getDescription",
    tag = "about",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)),
)]
async fn document(Extension(Document(json)): Extension<Document>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, content_type::JSON)],
        json.to_string(),
    )
}

/// What the handlers say, and what holds for all of them.
fn described(mut api: OpenApi, public_url: &str) -> OpenApi {
    api.info = InfoBuilder::new()
        .title("Portcullis")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(License::new(env!("CARGO_PKG_LICENSE"))))
        .build();
    api.servers = Some(vec![Server::new(public_url)]);
    let either = [ACCESS_COOKIE, BEARER];
    api.security = Some(
        either
            .map(|name| SecurityRequirement::new(name, none()))
            .into(),
    );
    let components = api.components.get_or_insert_default();
    components.schemas.insert(
        schemas::Problem::name().into_owned(),
        schemas::Problem::schema(),
    );
    // Only parameters refer to it, which by itself makes it no component.
    components
        .schemas
        .insert(Name::name().into_owned(), Name::schema());
    components.responses.extend(refusals::components());
    for (name, scheme) in security_schemes() {
        components.add_security_scheme(name, scheme);
    }
    for item in api.paths.paths.values_mut() {
        refusals::complete(item);
    }
    api
}

fn security_schemes() -> [(&'static str, SecurityScheme); 4] {
    let cookie = |name: &str| {
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            name,
            "Set when a session begins or is refreshed.",
        )))
    };
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let client = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
    [
        (CLIENT, SecurityScheme::Http(client)),
        (ACCESS_COOKIE, cookie(cookie::ACCESS)),
        (BEARER, SecurityScheme::Http(bearer)),
        (REFRESH_COOKIE, cookie(cookie::REFRESH)),
    ]
}

const fn none() -> [&'static str; 0] {
    []
}

#[cfg(test)]
mod tests;
