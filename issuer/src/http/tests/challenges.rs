//! Every 401 says what it asks for (RFC 9110 §15.5.2): whatever failed, wherever, in whatever form it is told.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, Method};
use axum::routing::any;

use super::*;
use crate::account::impersonation::ImpersonationError;
use crate::fault::Fault;
use crate::http::error::Told;
use crate::limits::tests::rate;
use crate::limits::{Exceeded, Limit, Usage};
use crate::sign_in::oidc::OidcError;
use crate::store::StoreError;
use shared::rejection::Rejection;

/// Every path of the router, with something in place of its parameters.
fn routes() -> BTreeSet<String> {
    let all = site().merge(edge::routes()).into_openapi();
    let paths = all.paths.paths.into_keys();
    paths.map(|path| filled(&path)).collect()
}

fn filled(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') {
            "AAAAAAAAAAAAAAAAAAAAAA"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Credentials as they come wrong or not at all, each as a header.
const CREDENTIALS: [Option<(&str, &str)>; 5] = [
    None,
    Some(("authorization", "Bearer x")),
    Some(("authorization", "Basic eDp5")),
    Some(("cookie", "__Host-Http-access=x")),
    Some(("cookie", "__Host-Http-refresh=x")),
];

#[tokio::test]
async fn on_every_route_a_401_is_a_challenge() {
    let services = services().await;
    let mut refused = BTreeSet::new();
    for path in routes() {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ] {
            for credential in CREDENTIALS {
                for mode in ["cors", "navigate"] {
                    let mut request = Request::builder()
                        .method(&method)
                        .uri(&path)
                        .header("sec-fetch-site", "same-origin")
                        .header("sec-fetch-mode", mode);
                    if let Some((name, value)) = credential {
                        request = request.header(name, value);
                    }
                    let request = request.body(Body::empty()).unwrap();
                    let response = call(&services, request).await;
                    let (status, headers) = (response.status(), response.headers());
                    let what =
                        format!("{method} {path} {credential:?} {mode}: {status} {headers:?}");
                    check(status, headers, &what);
                    if status == StatusCode::UNAUTHORIZED {
                        refused.insert(path.clone());
                    }
                }
            }
        }
    }
    let expected = [
        "/auth/admin/revoke-everyone",
        "/auth/admin/status",
        "/auth/refresh",
        "/auth/session",
        "/auth/sessions",
        "/auth/sessions/AAAAAAAAAAAAAAAAAAAAAA",
        "/auth/sessions/revoke-others",
        "/edge/keys",
        "/edge/revocations",
    ];
    for path in expected {
        assert!(refused.contains(path), "{path} among {refused:?}");
    }
}

fn check(status: StatusCode, headers: &HeaderMap, what: &str) {
    let challenges: Vec<&str> = headers
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    // A 403 may say which role is missing (RFC 6750 §3.1).
    if status != StatusCode::UNAUTHORIZED
        && challenges
            != [
                r#"Bearer realm="portcullis", error="insufficient_scope", error_description="Not allowed""#,
            ]
    {
        assert!(challenges.is_empty(), "{what}");
        return;
    }
    if status == StatusCode::FORBIDDEN {
        return;
    }
    let [challenge] = challenges[..] else {
        panic!("{what}");
    };
    assert!(challenge.contains(r#" realm="portcullis""#), "{what}");
    assert!(challenge.matches('"').count().is_multiple_of(2), "{what}");
}

/// One of each kind. A new kind is first missed by the compiler, in [`number`], and then by [`every`]'s test.
fn every() -> Vec<Failure> {
    vec![
        Failure::Unauthenticated,
        Failure::BadCredentials,
        Failure::Rejected(Rejection::Expired),
        Failure::SeveralCookies,
        Failure::TwoCredentials,
        Failure::NotAnEdge,
        Failure::SessionEnded,
        Failure::TokenRevoked,
        Failure::RefreshReused,
        Failure::Superseded,
        Failure::LimitReached,
        Failure::Csrf,
        Failure::BadRequest("so"),
        Failure::field("so", "is wrong"),
        Failure::UnsupportedMediaType,
        Failure::Body,
        Failure::NotFound,
        Failure::MethodNotAllowed,
        Failure::TimedOut,
        Failure::Contended,
        Failure::Unread,
        Failure::Page(askama::Error::Fmt),
        Failure::Fault(Fault::Store(StoreError::Corrupt("so"))),
        Failure::Limited(Exceeded(Usage {
            limit: Limit::Account,
            rate: rate(10, 900),
            remaining: 0,
            wait: Duration::from_secs(90),
        })),
        Failure::Leaving,
        Failure::NoSuchSignIn,
        Failure::NotSignedInThere("so".to_owned()),
        Failure::NoAccount("so"),
        Failure::Provider(OidcError::Unverified("so".to_owned())),
        Failure::BadLogoutToken("so".to_owned()),
        Failure::BadCaller("so".to_owned()),
        Failure::Forbidden("admin"),
        Failure::StepUp(Duration::from_secs(600)),
        Failure::Conflict("so"),
        Failure::WrongPassword,
        Failure::BadInvitation,
        Failure::Impersonated,
        Failure::Impersonation(ImpersonationError::Privileged),
        Failure::InvalidClient("so"),
        Failure::MayNotIntrospect,
        Failure::OthersToken,
        Failure::UnsupportedGrantType,
        Failure::InvalidScope,
    ]
}

const fn number(failure: &Failure) -> usize {
    match failure {
        Failure::Unauthenticated => 0,
        Failure::BadCredentials => 1,
        Failure::Rejected(_) => 2,
        Failure::SeveralCookies => 3,
        Failure::TwoCredentials => 4,
        Failure::NotAnEdge => 5,
        Failure::SessionEnded => 6,
        Failure::TokenRevoked => 7,
        Failure::RefreshReused => 8,
        Failure::Superseded => 9,
        Failure::LimitReached => 10,
        Failure::Csrf => 11,
        Failure::BadRequest(_) => 12,
        Failure::BadField(_) => 13,
        Failure::UnsupportedMediaType => 14,
        Failure::Body => 15,
        Failure::NotFound => 16,
        Failure::MethodNotAllowed => 17,
        Failure::TimedOut => 18,
        Failure::Contended => 19,
        Failure::Unread => 20,
        Failure::Page(_) => 21,
        Failure::Fault(_) => 22,
        Failure::Limited(_) => 23,
        Failure::Leaving => 24,
        Failure::NoSuchSignIn => 25,
        Failure::NotSignedInThere(_) => 26,
        Failure::NoAccount(_) => 27,
        Failure::Provider(_) => 28,
        Failure::BadLogoutToken(_) => 29,
        Failure::BadCaller(_) => 30,
        Failure::Forbidden(_) => 31,
        Failure::StepUp(_) => 32,
        Failure::Conflict(_) => 33,
        Failure::WrongPassword => 34,
        Failure::BadInvitation => 35,
        Failure::Impersonated => 36,
        Failure::Impersonation(_) => 37,
        Failure::InvalidClient(_) => 38,
        Failure::MayNotIntrospect => 39,
        Failure::OthersToken => 40,
        Failure::UnsupportedGrantType => 41,
        Failure::InvalidScope => 42,
    }
}

#[tokio::test]
async fn every_failure_that_is_a_401_is_a_challenge_in_every_form() {
    let numbers: Vec<usize> = every().iter().map(number).collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
    for index in numbers {
        let problem = async move || every().swap_remove(index);
        // As the sign-in form explains it.
        let form = async move || {
            let told = Told {
                has_page: true,
                ..every().swap_remove(index).told()
            };
            (told.status, axum::Extension(told), "the form once more")
        };
        let router: Router = Router::new()
            .route("/problem", any(problem))
            .route("/form", any(form))
            .layer(middleware::from_fn(layers::frame));
        let expected = every().swap_remove(index).answer().0;
        for (path, mode) in [
            ("/problem", "cors"),
            ("/problem", "navigate"),
            ("/form", "navigate"),
        ] {
            let request = Request::get(path).header("sec-fetch-mode", mode);
            let request = request.body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let what = format!("{:?} as {path} to {mode}", every().swap_remove(index));
            assert_eq!(response.status(), expected, "{what}");
            check(response.status(), response.headers(), &what);
        }
    }
}

#[test]
fn every_refusal_is_described() {
    for failure in every() {
        let (status, code, _) = failure.answer();
        // Nobody describes what a method does that there is not.
        if status != StatusCode::METHOD_NOT_ALLOWED {
            let is_described = openapi::refusals::is_described(status.as_u16(), code);
            assert!(is_described, "{failure:?}");
        }
    }
}

#[test]
fn no_error_is_named_where_no_token_came() {
    let challenge = |failure: Failure| failure.told().challenge.unwrap();
    for failure in [Failure::Unauthenticated, Failure::BadCredentials] {
        assert_eq!(challenge(failure), r#"Bearer realm="portcullis""#);
    }
    assert_eq!(
        challenge(Failure::Rejected(Rejection::Expired)),
        r#"Bearer realm="portcullis", error="invalid_token", error_description="The access token has expired""#
    );
}
