//! `WWW-Authenticate` (RFC 9110 §11.6.1).

use axum::http::HeaderValue;
use shared::rejection::Code;

use super::Failure;

impl Failure {
    /// What a 401 asks for: a bearer token, which the access cookie holds too (RFC 6750 §3). No error is named where no
    /// token came (§3.1). `Basic` would make browsers ask for a password in a window of their own. Of a sign-in that is too
    /// old it says how young one must be (RFC 9470 §3).
    pub(super) fn challenge(&self, code: Code) -> HeaderValue {
        match self {
            Self::Unauthenticated | Self::BadCredentials | Self::Provider(_) => {
                HeaderValue::from_static(r#"Bearer realm="portcullis""#)
            }
            Self::NotAnEdge => HeaderValue::from_static(r#"Portcullis-Edge realm="portcullis""#),
            // Clients are programs, and RFC 6749 §5.2 asks for the scheme that they may have used.
            Self::InvalidClient(_) => HeaderValue::from_static(r#"Basic realm="portcullis""#),
            Self::StepUp(most) => challenge_of(
                "insufficient_user_authentication",
                &format!(r#"max_age="{}", "#, most.as_secs()),
                code,
            ),
            Self::Forbidden(_) => challenge_of("insufficient_scope", "", code),
            _ => challenge_of("invalid_token", "", code),
        }
    }
}

/// A challenge that names an error. The titles are our own sentences: without quotes or backslashes, so they stand in a
/// quoted-string as they are.
fn challenge_of(error: &str, parameters: &str, code: Code) -> HeaderValue {
    let title = code.title();
    let text = format!(
        r#"Bearer realm="portcullis", error="{error}", {parameters}error_description="{title}""#
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(r#"Bearer realm="portcullis""#))
}
