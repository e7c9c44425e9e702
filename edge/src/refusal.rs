//! Why a request goes no further: the reasons inside. What the client is told of them is in [`crate::reply`].

use std::time::Duration;

use shared::rejection::Rejection;
use shared::wire;

use crate::credential::BadCredential;
use crate::target::BadTarget;

/// Why a request is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path could be read in two ways.
    #[error("{0}")]
    Target(#[from] BadTarget),
    /// For an authority that is not this worker's.
    #[error("this guard does not serve the site that the request names")]
    Misdirected,
    /// It is not clear which credential is meant.
    #[error("{0}")]
    Credential(#[from] BadCredential),
    /// A method that no guard should pass on.
    #[error(
        "this method is not passed on: CONNECT opens a tunnel, TRACE and TRACK show headers that pages must not see"
    )]
    Method,
    /// A path between edge and issuer.
    #[error("there is nothing here")]
    Hidden,
    /// A path that differs from a ruled one only in capitals.
    #[error("the path differs from another one only in capitals")]
    Respelled,
    /// No credential.
    #[error("no credential came with the request")]
    Anonymous,
    /// The access token does not hold.
    #[error("{0}")]
    Token(#[from] Rejection),
    /// The sign-in or the token is new, and by the guard's clock too old or not made yet.
    #[error(
        "the clocks of this guard and of the sign-in service differ: by this one the sign-in is too old, or not made yet"
    )]
    ClocksDiffer,
    /// Straight from the sign-in page, without a session.
    #[error(
        "no session came back from the sign-in page: if you have just signed in, this browser blocks cookies for this site"
    )]
    CookiesBlocked,
    /// No session, and an address that the sign-in page cannot lead back to.
    #[error(
        "you are not signed in, and this address is too long for the sign-in page to lead back to: sign in, then open it again"
    )]
    WayBackTooLong,
    /// The session was ended.
    #[error("the session has ended")]
    SessionEnded,
    /// A service's token was revoked, or all of its client's were.
    #[error("the token was revoked: ask for another one")]
    TokenRevoked,
    /// A refresh token came back; the issuer ended the session.
    #[error("the refresh token was used before")]
    RefreshReused,
    /// The token's claims are older than the user's, and it could not be renewed.
    #[error("the user's rights have changed since the token was made")]
    ClaimsStale,
    /// The user signed in too long ago for this route.
    #[error("this route needs a sign-in of the last {} seconds", .0.as_secs())]
    SignInTooOld(Duration),
    /// Signed in, without a role that the route asks for.
    #[error("this route needs one of the roles: {0}")]
    Role(String),
    /// A user, where the route is for services.
    #[error("this route is for services, with an access token by client_credentials")]
    NotAService,
    /// A service, where the route is for users.
    #[error("this route is for signed-in users, and the token is a service's")]
    NotAUser,
    /// A service, without every scope that the route asks for.
    #[error("this route needs all of the scopes: {0}")]
    Scope(String),
    /// Not made by this site's own pages.
    #[error("a request that changes something must come from this site's own pages")]
    Csrf,
    /// A preflight for what the rule's `cors` does not allow.
    #[error("this route's rule does not let scripts of other sites use {0}")]
    Preflight(&'static str),
    /// Nothing young enough is known of ended sessions.
    #[error("what is known of ended sessions is older than this route allows")]
    RevocationsStale,
    /// The issuer could not be reached, or answered nonsense.
    #[error("the sign-in service could not be reached")]
    IssuerUnreachable,
    /// The issuer did not answer in time.
    #[error("the sign-in service did not answer in time")]
    IssuerTimeout,
    /// The issuer renews no more sessions for this address for now.
    #[error("this address has renewed its sessions too often: try again in {} seconds", .0.as_secs())]
    RateLimited(Duration),
    /// The body is longer than the issuer takes.
    #[error(
        "the body is longer than the {} bytes that the sign-in service takes",
        wire::LONGEST_BODY
    )]
    TooLarge,
    /// The origin could not be reached.
    #[error("the site behind this guard could not be reached")]
    OriginUnreachable,
    /// The worker's own configuration is wrong.
    #[error("the guard's configuration is wrong: {0}")]
    Misconfigured(String),
}
