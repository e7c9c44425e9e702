//! What clients are told when something is refused or fails: the only table of status codes in the issuer.

mod account;
mod challenge;
mod oauth;

use std::fmt::Display;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared::rejection::{Code, Rejection};
use shared::wire::{PROBLEM_JSON, Problem};

use super::limit;
use crate::account::impersonation::ImpersonationError;
use crate::entropy::EntropyError;
use crate::fault::{Fault, via_fault};
use crate::limits::{Exceeded, Limit, Usage};
use crate::sign_in::oidc::OidcError;
use crate::sign_in::password::PasswordError;
use crate::store::StoreError;
use crate::token::mint::MintError;

pub(super) use oauth::OAuthFailure;

/// Why a request was not served. Many reasons inside, few codes outside.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no credential")]
    Unauthenticated,
    #[error("wrong address or password, or no such account, or disabled")]
    BadCredentials,
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("two cookies of one name, or two Cookie headers joined by a comma")]
    SeveralCookies,
    #[error("both a cookie and a bearer token")]
    TwoCredentials,
    #[error("no edge token, or not ours")]
    NotAnEdge,
    #[error("the session has ended")]
    SessionEnded,
    #[error("the access token was revoked")]
    TokenRevoked,
    #[error("a refresh token was used again")]
    RefreshReused,
    #[error("a newer refresh token was given out")]
    Superseded,
    #[error("the role {0} is missing")]
    Forbidden(&'static str),
    #[error("the sign-in is older than {} s", .0.as_secs())]
    StepUp(Duration),
    #[error("somebody acts as the user, and this is for the user alone")]
    Impersonated,
    #[error(transparent)]
    Impersonation(ImpersonationError),
    #[error("the limit of sessions is reached")]
    LimitReached,
    #[error(transparent)]
    Limited(Exceeded),
    #[error("no sign-in of this browser waits for this answer, or not any more")]
    NoSuchSignIn,
    #[error("the provider did not sign the person in: {0:?}")]
    NotSignedInThere(String),
    #[error("signed in at the provider, but: {0}")]
    NoAccount(&'static str),
    #[error(transparent)]
    Provider(#[from] OidcError),
    #[error("the logout token is not to be believed: {0}")]
    BadLogoutToken(String),
    #[error("the provider's bearer token is not to be believed: {0}")]
    BadCaller(String),
    #[error("the client did not prove who it is: {0}")]
    InvalidClient(&'static str),
    #[error("this client may not ask about tokens")]
    MayNotIntrospect,
    #[error("the token was issued to another client")]
    OthersToken,
    #[error("unknown grant_type")]
    UnsupportedGrantType,
    #[error("a scope that the client does not have, or none")]
    InvalidScope,
    #[error("cross-site request")]
    Csrf,
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    // What came may be a secret in a wrong place: the log does not repeat it.
    #[error("bad request: a field is missing or wrong")]
    BadField(String),
    #[error("neither JSON nor a form")]
    UnsupportedMediaType,
    #[error("contradicts what there is: {0}")]
    Conflict(&'static str),
    #[error("the present password is not right")]
    WrongPassword,
    #[error("an invitation that was used or replaced, or has expired")]
    BadInvitation,
    #[error("body too large or broken off")]
    Body,
    #[error("no such thing")]
    NotFound,
    #[error("no such method here")]
    MethodNotAllowed,
    #[error("took too long")]
    TimedOut,
    #[error("about to stop")]
    Leaving,
    #[error("lost every race")]
    Contended,
    #[error("revocations were never read")]
    Unread,
    #[error("rendering a page: {0}")]
    Page(#[from] askama::Error),
    #[error(transparent)]
    Fault(#[from] Fault),
}

via_fault!(Failure: StoreError, EntropyError, MintError, PasswordError);

/// Rides along with the answer, for the log line and for the page that a person gets instead of JSON.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) code: Code,
    pub(super) detail: String,
    /// For the log: may say more than the client learns.
    pub(super) reason: String,
    /// Whether the answer is a page already.
    pub(super) has_page: bool,
    /// `WWW-Authenticate`, which every 401 has (RFC 9110 §15.5.2).
    pub(super) challenge: Option<HeaderValue>,
    /// `Retry-After` in seconds, where trying again helps (RFC 9110 §10.2.3).
    pub(super) retry_after: Option<u64>,
    /// The limit that refused.
    pub(super) limited: Option<Usage>,
}

impl Failure {
    /// A request in which `field` is wrong, and how: "must be a string". Neither may hold what was sent.
    pub(super) fn field(field: &str, problem: impl Display) -> Self {
        Self::BadField(format!("{field} {problem}."))
    }

    /// The table.
    pub(super) const fn answer(&self) -> Answer<'_> {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => unauthenticated(""),
            Self::BadCredentials => {
                unauthenticated("The e-mail address or the password is not right.")
            }
            Self::Rejected(rejection) => (S::UNAUTHORIZED, rejection.code(), ""),
            Self::SeveralCookies => {
                invalid("The same cookie was sent twice, or in one of several Cookie headers.")
            }
            Self::TwoCredentials => invalid("Send a cookie or a bearer token, not both."),
            Self::NotAnEdge => unauthenticated("This is for edges that share EDGE_SECRET."),
            Self::SessionEnded => (S::UNAUTHORIZED, Code::SessionEnded, "Sign in again."),
            // Its session may stand: a refresh brings another token.
            Self::TokenRevoked => (S::UNAUTHORIZED, Code::SessionEnded, ""),
            Self::RefreshReused => (S::UNAUTHORIZED, Code::RefreshReused, "Sign in again."),
            Self::Superseded => conflict("A newer refresh token was given out."),
            Self::Impersonated => forbidden("Only the user themselves can do this."),
            Self::Impersonation(error) => impersonation_answer(error),
            Self::LimitReached => {
                conflict("There are as many sessions as allowed. Sign out somewhere else first.")
            }
            Self::Limited(Exceeded(usage)) => {
                (S::TOO_MANY_REQUESTS, Code::RateLimited, over(usage.limit))
            }
            Self::NoSuchSignIn => {
                invalid("This sign-in has expired or was used already. Start again.")
            }
            Self::NotSignedInThere(_) => forbidden(
                "The sign-in was cancelled, or the provider refused it. Try again, or sign in another way.",
            ),
            // Whether somebody else has an account of that address is nobody's business.
            Self::NoAccount(_) => forbidden(
                "You have no account here that this sign-in leads to. Ask who runs this site.",
            ),
            Self::Provider(error) => provider_answer(error),
            Self::BadLogoutToken(_) => {
                invalid("logout_token is not to be believed, or was sent before.")
            }
            Self::BadCaller(_) => (S::UNAUTHORIZED, Code::TokenInvalid, ""),
            Self::Forbidden(_) => forbidden("This account lacks the role that this needs."),
            Self::StepUp(_) => (
                S::UNAUTHORIZED,
                Code::StepUpRequired,
                "The last sign-in was too long ago for this. Sign in again.",
            ),
            Self::InvalidClient(_) => {
                unauthenticated("The client is unknown, was revoked, or did not prove who it is.")
            }
            Self::MayNotIntrospect => forbidden("This client is not registered with --introspect."),
            Self::OthersToken => invalid("The token was issued to another client."),
            Self::UnsupportedGrantType => {
                invalid("grant_type must be refresh_token or client_credentials.")
            }
            Self::InvalidScope => {
                invalid("scope names something that this client is not registered for.")
            }
            Self::Csrf => (
                S::FORBIDDEN,
                Code::Csrf,
                "Open this site's own page and try again.",
            ),
            Self::BadRequest(detail) => invalid(detail),
            Self::BadField(detail) => invalid(detail.as_str()),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                Code::InvalidRequest,
                "Send application/json or a form.",
            ),
            Self::Conflict(detail) => conflict(detail),
            Self::WrongPassword => forbidden("current is not the present password."),
            Self::BadInvitation => {
                not_found("This link was used or replaced, or it has expired. Ask for a new one.")
            }
            Self::Body => (S::PAYLOAD_TOO_LARGE, Code::InvalidRequest, ""),
            Self::NotFound => not_found(""),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, Code::InvalidRequest, ""),
            Self::TimedOut | Self::Leaving | Self::Contended => for_now("Try again in a moment."),
            Self::Unread => (
                S::SERVICE_UNAVAILABLE,
                Code::RevocationsStale,
                "Try again in a moment.",
            ),
            Self::Page(_) => ours(""),
            Self::Fault(fault) => fault_answer(fault),
        }
    }

    /// The word for it in the security log.
    pub(super) const fn noted_as(&self) -> &'static str {
        match self {
            Self::Forbidden(_) | Self::Impersonation(ImpersonationError::NotAllowed) => "role",
            Self::StepUp(_) => "step_up_required",
            Self::Impersonated => "impersonated",
            Self::Impersonation(ImpersonationError::Privileged) => "privileged_user",
            _ => self.answer().1.as_str(),
        }
    }

    pub(super) fn told(&self) -> Told {
        let (status, code, detail) = self.answer();
        let is_challenge = status == StatusCode::UNAUTHORIZED || matches!(self, Self::Forbidden(_));
        Told {
            status,
            code,
            detail: detail.to_owned(),
            reason: self.to_string(),
            has_page: false,
            challenge: is_challenge.then(|| self.challenge(code)),
            retry_after: match self {
                Self::Limited(Exceeded(usage)) => Some(usage.wait_secs()),
                _ => is_temporary(status).then_some(1),
            },
            limited: match self {
                Self::Limited(Exceeded(usage)) => Some(*usage),
                _ => None,
            },
        }
    }
}

/// Status, code, and what the client may do about it.
type Answer<'a> = (StatusCode, Code, &'a str);

const fn invalid(detail: &str) -> Answer<'_> {
    (StatusCode::BAD_REQUEST, Code::InvalidRequest, detail)
}

const fn unauthenticated(detail: &str) -> Answer<'_> {
    (StatusCode::UNAUTHORIZED, Code::Unauthenticated, detail)
}

const fn forbidden(detail: &str) -> Answer<'_> {
    (StatusCode::FORBIDDEN, Code::Forbidden, detail)
}

const fn not_found(detail: &str) -> Answer<'_> {
    (StatusCode::NOT_FOUND, Code::NotFound, detail)
}

const fn conflict(detail: &str) -> Answer<'_> {
    (StatusCode::CONFLICT, Code::Conflict, detail)
}

const fn ours(detail: &str) -> Answer<'_> {
    (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, detail)
}

/// Ours too, and over soon.
const fn for_now(detail: &str) -> Answer<'_> {
    (StatusCode::SERVICE_UNAVAILABLE, Code::Internal, detail)
}

/// What to do about a limit.
const fn over(limit: Limit) -> &'static str {
    match limit {
        Limit::Account => {
            "Too many wrong passwords for this account. Wait, or sign in with a browser that you have used here before."
        }
        Limit::Device => "Too many wrong passwords for this account from this browser.",
        Limit::SignIn | Limit::Refresh | Limit::Admin | Limit::OAuth | Limit::Other => {
            "Too many requests from your address."
        }
    }
}

/// The part of the table for sign-ins that fail at a provider.
const fn provider_answer(error: &OidcError) -> Answer<'static> {
    match error {
        OidcError::Unavailable { .. } => for_now(
            "The sign-in provider does not answer. Try again in a moment, or sign in another way.",
        ),
        OidcError::NotTheirs(_) => {
            invalid("This is not the answer of the provider that you chose. Start again.")
        }
        OidcError::CodeRefused => {
            invalid("This sign-in has expired or was used already. Start again.")
        }
        OidcError::Unverified(_) => unauthenticated(
            "The provider's answer could not be verified. Try again, or sign in another way.",
        ),
    }
}

/// The part of the table for who may act as whom.
const fn impersonation_answer(error: &ImpersonationError) -> Answer<'static> {
    match error {
        ImpersonationError::NotAllowed => forbidden("This account lacks a role that this needs."),
        ImpersonationError::Privileged => forbidden("Nobody can act as an administrator."),
        ImpersonationError::Unknown => not_found(""),
        ImpersonationError::Disabled => conflict("This account is disabled."),
        ImpersonationError::Fault(fault) => fault_answer(fault),
    }
}

/// The part of the table for what goes wrong on our side.
const fn fault_answer(fault: &Fault) -> Answer<'static> {
    use StatusCode as S;
    match fault {
        Fault::Store(StoreError::Unavailable(_)) => for_now("Try again in a moment."),
        Fault::Password(PasswordError::Busy) => (
            S::TOO_MANY_REQUESTS,
            Code::RateLimited,
            "Try again in a moment.",
        ),
        Fault::Mint(MintError::TooLarge(_)) => {
            ours("This account has more roles than fit into a cookie.")
        }
        Fault::Store(StoreError::Database(_) | StoreError::Corrupt(_) | StoreError::Migrate(_))
        | Fault::Password(
            PasswordError::Entropy(_)
            | PasswordError::Argon2(_)
            | PasswordError::Stored(_)
            | PasswordError::Task(_),
        )
        | Fault::Mint(MintError::Keyring(_) | MintError::Entropy(_) | MintError::Sign(_))
        | Fault::Entropy(_)
        | Fault::Keyring(_) => ours(""),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let told = self.told();
        let body = Problem::new(told.code, told.status.as_u16(), told.detail.as_str()).to_json();
        let mut response =
            (told.status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        told.put_headers(response.headers_mut());
        response.extensions_mut().insert(told);
        response
    }
}

impl Failure {
    /// The table for OAuth endpoints: status and `error` (RFC 6749 §5.2); nothing where RFC 6749 has no word, such as for what is wrong on
    /// our side. Where a credential stands in the body and not in a header, its refusal is a 400.
    const fn oauth_answer(&self) -> Option<(StatusCode, &'static str)> {
        let (status, _, _) = self.answer();
        let error = match self {
            Self::Rejected(_)
            | Self::SessionEnded
            | Self::TokenRevoked
            | Self::RefreshReused
            | Self::Superseded
            | Self::OthersToken => return Some((StatusCode::BAD_REQUEST, "invalid_grant")),
            Self::InvalidClient(_) => "invalid_client",
            Self::MayNotIntrospect => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::Unauthenticated
            | Self::BadCredentials
            | Self::SeveralCookies
            | Self::TwoCredentials
            | Self::NotAnEdge
            | Self::LimitReached
            | Self::Csrf
            | Self::BadRequest(_)
            | Self::BadField(_)
            | Self::UnsupportedMediaType
            | Self::NotFound
            | Self::MethodNotAllowed => "invalid_request",
            Self::Forbidden(_)
            | Self::Impersonated
            | Self::Impersonation(_)
            | Self::StepUp(_)
            | Self::Conflict(_)
            | Self::WrongPassword
            | Self::BadInvitation
            | Self::NoSuchSignIn
            | Self::NotSignedInThere(_)
            | Self::NoAccount(_)
            | Self::Provider(_)
            | Self::BadLogoutToken(_)
            | Self::BadCaller(_)
            | Self::Body
            | Self::Limited(_)
            | Self::TimedOut
            | Self::Leaving
            | Self::Contended
            | Self::Unread
            | Self::Page(_)
            | Self::Fault(_) => return None,
        };
        Some((status, error))
    }
}

impl Told {
    /// Says when to come back, and what the limit is.
    pub(super) fn put_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(usage) = &self.limited {
            limit::tell(headers, usage);
        }
    }
}

const fn is_temporary(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_learns_nothing_of_a_fault() {
        let fault = Failure::from(StoreError::Corrupt("sessions.generation"));
        let told = fault.told();
        assert_eq!(
            (told.status, told.code),
            (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal)
        );
        assert_eq!(told.detail, "");
        assert!(
            told.reason.contains("sessions.generation"),
            "but the log does"
        );
    }

    #[test]
    fn a_sign_in_that_is_too_old_is_challenged_as_rfc_9470_says() {
        let told = Failure::StepUp(Duration::from_secs(600)).told();
        assert_eq!(
            (told.status, told.code.as_str()),
            (StatusCode::UNAUTHORIZED, "step_up_required")
        );
        let challenge = told.challenge.unwrap();
        let challenge = challenge.to_str().unwrap();
        assert!(
            challenge.starts_with(
                r#"Bearer realm="portcullis", error="insufficient_user_authentication", max_age="600", "#
            ),
            "{challenge}"
        );
    }

    #[test]
    fn an_absent_postgres_is_temporary() {
        let response = Failure::from(StoreError::from(sqlx::Error::PoolTimedOut)).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    }
}
