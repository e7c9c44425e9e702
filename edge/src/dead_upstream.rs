//! Answers that Cloudflare gives in the name of an upstream that it could not reach.
//!
//! Where a proxy of Cloudflare's stands in front of origin or issuer, `fetch` does not fail if that is down: it gets a page of
//! Cloudflare's with a status of Cloudflare's own. The statuses are not registered (RFC 9110 §16.2), so hardly anybody else
//! answers with them, and nothing else tells such a page apart: `Server: cloudflare` and `CF-RAY` are on every answer that
//! came through the same proxy.

/// How an upstream was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It cannot be reached, or says nothing that makes sense.
    Unreachable,
    /// It did not answer in time.
    TimedOut,
}

/// What `status` says of the upstream; nothing, if the answer is the upstream's own.
pub const fn told_by(status: u16) -> Option<Lost> {
    match status {
        // No connection, or no answer, in time.
        522 | 524 => Some(Lost::TimedOut),
        // Nonsense, refused, no way there, no TLS or no good certificate, a broken tunnel; no such name, and the like.
        520 | 521 | 523 | 525..=527 | 530 => Some(Lost::Unreachable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cloudflares_own_statuses_tell_of_a_lost_upstream() {
        let lost = |wanted: Lost| -> Vec<u16> {
            (100..=999)
                .filter(|status| told_by(*status) == Some(wanted))
                .collect()
        };
        assert_eq!(lost(Lost::TimedOut), [522, 524]);
        assert_eq!(lost(Lost::Unreachable), [520, 521, 523, 525, 526, 527, 530]);
    }
}
