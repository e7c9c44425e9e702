//! The two session cookies on an answer.

use axum::http::header;
use axum::response::AppendHeaders;
use shared::cookie;

use crate::token::mint::Minted;

/// The two cookies as headers of an answer.
pub(in crate::http) fn set_cookies(
    minted: &Minted,
) -> AppendHeaders<[(header::HeaderName, String); 2]> {
    AppendHeaders([
        (header::SET_COOKIE, minted.access_cookie.clone()),
        (header::SET_COOKIE, minted.refresh_cookie.clone()),
    ])
}

/// Removes both cookies.
pub(super) fn clear_cookies() -> AppendHeaders<[(header::HeaderName, String); 2]> {
    AppendHeaders([
        (header::SET_COOKIE, cookie::clear(cookie::ACCESS)),
        (header::SET_COOKIE, cookie::clear(cookie::REFRESH)),
    ])
}
