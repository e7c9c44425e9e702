//! What the edge says of a request's way here, for `entry/forwarded.js`, which puts it on the request: the headers do not
//! cross otherwise.

use wasm_bindgen::prelude::wasm_bindgen;
use worker::Env;

use super::settings;
use crate::client_ip::{ForwardedFor, Source, forwarded_for as list_for, from_header, from_peer};

/// What is the same for all requests of an isolate, in lines: `X-Forwarded-Proto`, `X-Forwarded-Host`, the header that names
/// the client (nothing: no header does), `peer` if the other end of the connection is the client, and `append` if the
/// `X-Forwarded-For` that comes is kept. Nothing where the settings are wrong, for then nothing goes on.
#[wasm_bindgen]
#[allow(
    clippy::needless_pass_by_value,
    reason = "wasm-bindgen hands objects over as owned"
)]
pub fn forwarding(env: Env, at_cloudflare: bool) -> Option<String> {
    let settings = settings::held_or_read(&env);
    let config = settings.as_ref().as_ref().ok()?;
    let (header, peer) = match config.client_ip.source(at_cloudflare) {
        Source::Header(name) => (name, ""),
        Source::Peer => ("", "peer"),
        Source::Nowhere => ("", ""),
    };
    let kept = match config.forwarded_for {
        ForwardedFor::Replace => "",
        ForwardedFor::Append => "append",
    };
    let public = &config.public;
    Some([public.scheme(), public.authority(), header, peer, kept].join("\n"))
}

/// `X-Forwarded-For` of a request: `client` is what the header that names it says, or the other end of the connection if
/// `is_peer`; `list` is the one that came, if it is to be kept. See [`list_for`].
#[wasm_bindgen]
#[allow(
    clippy::needless_pass_by_value,
    reason = "wasm-bindgen hands optional texts over as owned"
)]
pub fn forwarded_for(
    client: Option<String>,
    is_peer: bool,
    list: Option<String>,
) -> Option<String> {
    let read = if is_peer { from_peer } else { from_header };
    list_for(client.as_deref().and_then(read), is_peer, list.as_deref())
}
