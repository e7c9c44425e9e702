//! Refusals: one answer for each status, referred to by every operation that may give it.

use std::collections::BTreeMap;

use shared::rejection::Code;
use shared::wire::PROBLEM_JSON;
use utoipa::IntoResponses;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::schemas::problem;

/// An answer that refuses.
struct Refusal {
    status: u16,
    name: &'static str,
    description: &'static str,
    codes: &'static [Code],
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $name:ident $status:literal [$($code:ident),+])+) => {
        const REFUSALS: &[Refusal] = &[$(Refusal {
            status: $status,
            name: stringify!($name),
            description: concat!($($doc),*),
            codes: &[$(Code::$code),+],
        }),+];

        $(
            $(#[doc = $doc])*
            pub(in crate::http) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    BTreeMap::from([(stringify!($status).to_owned(), Ref::from_response_name(stringify!($name)).into())])
                }
            }
        )+
    };
}

refusals! {
    /// The request does not make sense. `detail` names the field that is wrong.
    BadRequest 400 [InvalidRequest]
    /// No credential, or none that is good.
    Unauthenticated 401 [Unauthenticated, TokenExpired, TokenInvalid, SessionEnded, RefreshReused, ClaimsStale, StepUpRequired]
    /// Signed in, but not allowed; or a page of another site asks.
    Forbidden 403 [Forbidden, Csrf]
    /// There is no such thing, or it is not the caller's to see.
    NotFound 404 [NotFound]
    /// The request contradicts the present state.
    Conflict 409 [Conflict]
    /// The body is too long.
    TooLarge 413 [InvalidRequest]
    /// The body is of a type that is not taken here.
    UnsupportedMediaType 415 [InvalidRequest]
    /// Too many requests.
    RateLimited 429 [RateLimited]
    /// Something is wrong on our side.
    Internal 500 [Internal]
    /// The issuer cannot be reached.
    BadGateway 502 [IssuerUnreachable]
    /// Something is away, for the moment.
    Unavailable 503 [Internal, RevocationsStale]
    /// The issuer does not answer.
    GatewayTimeout 504 [IssuerUnreachable]
}

/// The answers themselves, by name.
pub(super) fn components() -> impl Iterator<Item = (String, RefOr<Response>)> {
    REFUSALS
        .iter()
        .map(|refusal| (refusal.name.to_owned(), refusal.answer().into()))
}

impl Refusal {
    fn answer(&self) -> Response {
        let text = || ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let json = ContentBuilder::new().schema(Some(problem(self.status, self.codes)));
        let page = ContentBuilder::new().schema(Some(text()));
        let answer = ResponseBuilder::new()
            .description(self.description.trim())
            .content(PROBLEM_JSON, json.build())
            .content("text/html", page.build());
        let header = |description| {
            HeaderBuilder::new()
                .schema(Some(text()))
                .description(Some(description))
                .build()
        };
        match self.status {
            401 => answer.header(
                "WWW-Authenticate",
                header("What it asks for (RFC 6750 §3)."),
            ),
            429 => answer
                .header("Retry-After", header("Seconds."))
                .header(
                    "RateLimit",
                    header("What is left (draft-ietf-httpapi-ratelimit-headers)."),
                )
                .header("RateLimit-Policy", header("The whole allowance.")),
            503 => answer.header("Retry-After", header("Seconds.")),
            _ => answer,
        }
        .build()
    }
}

/// Adds the refusals that every request may get, and those that follow from what a request brings.
pub(super) fn complete(item: &mut PathItem) {
    let safe = [&mut item.get, &mut item.head, &mut item.options];
    for operation in safe.into_iter().flatten() {
        add_common(operation);
    }
    let unsafe_ones = [
        &mut item.post,
        &mut item.put,
        &mut item.patch,
        &mut item.delete,
    ];
    for operation in unsafe_ones.into_iter().flatten() {
        add_common(operation);
        add::<Forbidden>(operation);
    }
}

fn add_common(operation: &mut Operation) {
    for (status, answer) in &mut operation.responses.responses {
        fill(status, answer);
    }
    add::<BadRequest>(operation);
    add::<TooLarge>(operation);
    add::<RateLimited>(operation);
    add::<Internal>(operation);
    add::<BadGateway>(operation);
    add::<Unavailable>(operation);
    add::<GatewayTimeout>(operation);
    if operation.request_body.is_some() {
        add::<UnsupportedMediaType>(operation);
    }
    // One that says nothing takes what the document says for all.
    if operation.security.is_none() {
        add::<Unauthenticated>(operation);
    }
}

/// A refusal that a handler describes in its own words, and nothing more, has the form of all.
fn fill(status: &str, answer: &mut RefOr<Response>) {
    let RefOr::T(answer) = answer else { return };
    let mut known = REFUSALS.iter();
    let of_all = known.find(|refusal| refusal.status.to_string() == status);
    if let Some(refusal) = of_all.filter(|_| answer.content.is_empty()) {
        let description = std::mem::take(&mut answer.description);
        *answer = refusal.answer();
        answer.description = description;
    }
}

/// What the handler says itself stands.
fn add<R: IntoResponses>(operation: &mut Operation) {
    for (status, answer) in R::responses() {
        operation
            .responses
            .responses
            .entry(status)
            .or_insert(answer);
    }
}

#[cfg(test)]
pub(in crate::http) fn is_described(status: u16, code: Code) -> bool {
    REFUSALS
        .iter()
        .any(|refusal| refusal.status == status && refusal.codes.contains(&code))
}
