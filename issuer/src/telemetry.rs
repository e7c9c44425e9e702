//! Logs: one JSON object a line, to standard output. JSON escapes line breaks, so no value can forge a line.

use tracing_subscriber::EnvFilter;

/// Begins to log. `RUST_LOG` chooses how much; without it, `info`. A second call does nothing.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // An error means that somebody logs already, such as a test.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init();
}
