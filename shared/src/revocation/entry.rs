//! One revocation: what it names, and until when it must be remembered.

use crate::id::Fingerprint;
use crate::time::UnixTime;

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// One access token, by its `jti`.
    Token(Fingerprint),
    /// Every access token of a session, by its `sid`.
    Session(Fingerprint),
    /// Every access token of a user, or of a service, (`sub`) whose `ver` is below `below`: their claims have changed since.
    User {
        /// The user, or the service.
        user: Fingerprint,
        /// The first version that is good.
        below: u32,
    },
    /// Every access token that was signed with this key, which was withdrawn.
    Key(Fingerprint),
    /// Every access token that was issued (`iat`) before this second.
    Everyone {
        /// The first second that is good.
        before: UnixTime,
    },
}

/// An entry, and when it may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revocation {
    /// What is refused.
    pub entry: Entry,
    /// The last `exp` of any access token that the entry names. From then on their time refuses them.
    pub expires: UnixTime,
}
