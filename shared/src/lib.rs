//! What the issuer and the edge must agree on: claims, tokens, seals, revocations and the names on the wire.
//!
//! This crate contains no I/O, reads no clock, draws no randomness and awaits nothing. `now` and random bytes are
//! arguments. It is compiled natively into the issuer and to wasm32 into the edge, and the same vectors test both.
//!
//! Imports go down this list, never back up: [`time`], [`id`], [`secret`] ← [`rejection`], [`wire`], [`cookie`], [`scope`] ←
//! [`envelope`], [`within`], [`claims`] ← [`key`] ← [`token`], [`assertion`], [`client_assertion`], [`seal`], [`refresh_token`],
//! [`revocation`].
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod assertion;
pub mod claims;
pub mod client_assertion;
pub mod cookie;
pub mod csrf;
pub mod envelope;
pub mod id;
pub mod key;
pub mod refresh_token;
pub mod rejection;
pub mod revocation;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod time;
pub mod token;
pub mod wire;
pub mod within;

mod base64url;
mod hmac_sha256;
mod jws;
mod provider;
mod strict;
