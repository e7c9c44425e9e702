//! What an edge made of a request.

use crate::raw::Answer;

/// An answer, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was let in.
    Accepted,
    /// 401 or 403: the session is not, or no more, what it says.
    Refused,
    /// 503 `revocations_stale`: the edge does not know enough to say, and says that.
    Stale,
    /// Anything else: no connection, no answer, another status.
    Unavailable,
}

impl Verdict {
    /// The verdict of an answer.
    pub(super) fn of(answer: &Answer) -> Self {
        match answer.status() {
            Some(200) => Self::Accepted,
            Some(401 | 403) => Self::Refused,
            Some(503) if answer.text().contains(r#""code":"revocations_stale""#) => Self::Stale,
            _ => Self::Unavailable,
        }
    }
}
