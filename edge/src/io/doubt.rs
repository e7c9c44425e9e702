//! What is told where nothing young enough is known of revocations: on the log line and in the metric
//! `revocations_stale`, with why neither KV nor the issuer helped.

use std::time::Duration;

use worker::Env;

use super::{isolate, log, metrics, upstream};
use crate::view::View;

/// What became of the request, as its rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Refused.
    Refused,
    /// Served all the same.
    Served,
}

/// Tells it. The metric's blobs are the outcome and the two reasons, its double the age of what is known in seconds, or
/// -1 where nothing is, or nobody knows how old.
pub(crate) fn tell(env: &Env, outcome: Outcome, path: &str) {
    let (name, message) = match outcome {
        Outcome::Refused => (
            "refused",
            "refused: what is known of revocations is too old",
        ),
        Outcome::Served => (
            "served",
            "served although what is known of revocations is too old, as the rule says",
        ),
    };
    let now = upstream::now();
    let age = isolate::of_view(|view: &View| view.age(now));
    let troubles = isolate::troubles();
    let kv = troubles
        .kv
        .unwrap_or_else(|| "KV shows nothing younger".to_owned());
    let issuer = troubles
        .issuer
        .unwrap_or_else(|| "the issuer's answer was not younger, or too slow".to_owned());
    let (age_text, seconds) = match age {
        None => ("nothing is known".to_owned(), -1.0),
        Some(Duration::MAX) => ("nobody knows: the clock was put back".to_owned(), -1.0),
        Some(age) => (format!("{:.1} s", age.as_secs_f64()), age.as_secs_f64()),
    };
    let fields = [
        ("path", path),
        ("age", &age_text),
        ("kv", &kv),
        ("issuer", &issuer),
    ];
    log::warn(message, &fields);
    metrics::count(env, "revocations_stale", &[name, &kv, &issuer], &[seconds]);
}
