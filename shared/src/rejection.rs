//! Why a request is refused: many reasons inside, few codes outside (`code` of an RFC 9457 problem).

/// The codes that clients see. Fixed: programs depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No credential.
    Unauthenticated,
    /// The access token's time is over.
    TokenExpired,
    /// The token is not one of ours, or is damaged.
    TokenInvalid,
    /// The session was ended or has run out.
    SessionEnded,
    /// A refresh token came back that was used before: the session was ended.
    RefreshReused,
    /// The token's claims are older than the user's.
    ClaimsStale,
    /// Signed in, but too long ago for this.
    StepUpRequired,
    /// Signed in, but not allowed.
    Forbidden,
    /// An unsafe request that this site's own pages did not make.
    Csrf,
    /// What is known of revocations is older than the route allows.
    RevocationsStale,
    /// The issuer did not answer.
    IssuerUnreachable,
    /// Too many requests.
    RateLimited,
    /// The request does not make sense.
    InvalidRequest,
    /// No such thing.
    NotFound,
    /// It contradicts the present state.
    Conflict,
    /// Our fault.
    Internal,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::SessionEnded,
        Self::RefreshReused,
        Self::ClaimsStale,
        Self::StepUpRequired,
        Self::Forbidden,
        Self::Csrf,
        Self::RevocationsStale,
        Self::IssuerUnreachable,
        Self::RateLimited,
        Self::InvalidRequest,
        Self::NotFound,
        Self::Conflict,
        Self::Internal,
    ];

    /// The code as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::SessionEnded => "session_ended",
            Self::RefreshReused => "refresh_reused",
            Self::ClaimsStale => "claims_stale",
            Self::StepUpRequired => "step_up_required",
            Self::Forbidden => "forbidden",
            Self::Csrf => "csrf",
            Self::RevocationsStale => "revocations_stale",
            Self::IssuerUnreachable => "issuer_unreachable",
            Self::RateLimited => "rate_limited",
            Self::InvalidRequest => "invalid_request",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Internal => "internal",
        }
    }

    /// One sentence for the `title` member (RFC 9457 §3.1.3): the same for every occurrence of the code.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "Sign in to continue",
            Self::TokenExpired => "The access token has expired",
            Self::TokenInvalid => "The token is not valid",
            Self::SessionEnded => "The session has ended",
            Self::RefreshReused => "The refresh token was used before; the session has ended",
            Self::ClaimsStale => "The access token is older than the user's current rights",
            Self::StepUpRequired => "Sign in once more to do this",
            Self::Forbidden => "Not allowed",
            Self::Csrf => "The request did not come from this site",
            Self::RevocationsStale => "Knowledge of ended sessions is too old for this route",
            Self::IssuerUnreachable => "The issuer did not answer",
            Self::RateLimited => "Too many requests",
            Self::InvalidRequest => "The request is not valid",
            Self::NotFound => "Not found",
            Self::Conflict => "The request contradicts the current state",
            Self::Internal => "Something went wrong on our side",
        }
    }
}

// A new code, which stands before the last, is missed here if it is missing in the list.
const _: () = assert!(Code::ALL.len() == Code::Internal as usize + 1);

/// Why a token was refused. The variants are for logs; [`Rejection::code`] is what the client learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// Longer than any token of ours.
    #[error("the token is longer than {max} bytes")]
    Oversized {
        /// The bound.
        max: usize,
    },
    /// Not three base64url parts, or not the JSON that we mint: a member missing, doubled, of a wrong type, or one
    /// that we never write in a header (`jku`, `jwk`, `x5u`, `crit`).
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// `typ` is of another kind of token.
    #[error("the token is of another type")]
    WrongType,
    /// `alg` is not the algorithm of the key that `kid` names.
    #[error("the token's algorithm is not its key's")]
    WrongAlgorithm,
    /// No key has this `kid`.
    #[error("no key with the token's kid is known")]
    UnknownKey,
    /// The signature or the seal does not hold.
    #[error("the signature or seal does not hold")]
    BadSignature,
    /// `iss` is another issuer.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// `aud` is another audience.
    #[error("the token is for another audience")]
    WrongAudience,
    /// A service's token where a user's is needed, or the other way round.
    #[error("the token is of another kind of holder")]
    WrongHolder,
    /// `iat` lies in the future, beyond the tolerated skew.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// An assertion that was made for another method, host or path.
    #[error("the assertion was made for another request")]
    OtherRequest,
}

impl Rejection {
    /// What the client is told.
    pub const fn code(self) -> Code {
        match self {
            Self::Expired => Code::TokenExpired,
            Self::Oversized { .. }
            | Self::Malformed(_)
            | Self::WrongType
            | Self::WrongAlgorithm
            | Self::UnknownKey
            | Self::BadSignature
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::WrongHolder
            | Self::NotYetValid
            | Self::OtherRequest => Code::TokenInvalid,
        }
    }
}
