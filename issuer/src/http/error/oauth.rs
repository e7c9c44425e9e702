//! Refusals at OAuth endpoints.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared::wire::Problem;

use super::Failure;

/// A refusal at an OAuth endpoint: JSON with `error` and `error_description` (RFC 6749 §5.2), which standard clients look at, and
/// the members of a problem beside them. The media type is that of RFC 6749. What is wrong on our side stays a problem.
#[derive(Debug)]
pub(in crate::http) struct OAuthFailure(Failure);

impl From<Failure> for OAuthFailure {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for OAuthFailure {
    fn into_response(self) -> Response {
        let Some((status, error)) = self.0.oauth_answer() else {
            return self.0.into_response();
        };
        let mut told = self.0.told();
        // A challenge is for the status that the failure has elsewhere.
        told.challenge = told.challenge.filter(|_| status == told.status);
        told.status = status;
        let description = match told.detail.as_str() {
            "" => told.code.title(),
            detail => detail,
        };
        let body = OAuthProblem {
            error,
            error_description: description,
            problem: Problem::new(told.code, status.as_u16(), told.detail.as_str()),
        };
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(told);
        response
    }
}

#[derive(Serialize)]
struct OAuthProblem<'a> {
    error: &'static str,
    error_description: &'a str,
    #[serde(flatten)]
    problem: Problem,
}

#[cfg(test)]
mod tests {
    use axum::http::header;
    use shared::rejection::Rejection;
    use shared::wire::PROBLEM_JSON;

    use super::*;
    use crate::http::error::Told;
    use crate::store::StoreError;

    /// No sentence of ours may hold a character that `error_description` cannot (RFC 6749 §5.2).
    #[test]
    fn standard_clients_understand_a_refusal_at_an_oauth_endpoint() {
        for (failure, status, error) in [
            (Failure::InvalidClient("x"), 401, "invalid_client"),
            (Failure::MayNotIntrospect, 403, "unauthorized_client"),
            (Failure::OthersToken, 400, "invalid_grant"),
            (Failure::UnsupportedGrantType, 400, "unsupported_grant_type"),
            (Failure::InvalidScope, 400, "invalid_scope"),
            (Failure::RefreshReused, 400, "invalid_grant"),
            (Failure::SessionEnded, 400, "invalid_grant"),
            (Rejection::BadSignature.into(), 400, "invalid_grant"),
            (Failure::BadRequest("Send token."), 400, "invalid_request"),
            (Failure::UnsupportedMediaType, 415, "invalid_request"),
            (
                Failure::BadField("x must be y.".into()),
                400,
                "invalid_request",
            ),
        ] {
            let told = failure.told();
            let described = [told.detail.as_str(), told.code.title()].concat();
            assert!(
                described
                    .bytes()
                    .all(|byte| matches!(byte, 0x20..=0x7e) && !b"\"\\".contains(&byte)),
                "{described}"
            );
            let (found, said) = failure.oauth_answer().unwrap();
            assert_eq!((found.as_u16(), said), (status, error));
            let response = OAuthFailure::from(failure).into_response();
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            let told = response.extensions().get::<Told>().unwrap();
            assert_eq!(told.challenge.is_some(), status == 401, "{error}");
        }
        // RFC 6749 has no word for what is wrong on our side.
        let ours = OAuthFailure::from(Failure::from(StoreError::Corrupt("x"))).into_response();
        assert_eq!(ours.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    }
}
