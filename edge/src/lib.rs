//! The worker: decides next to the user whether a request may reach the origin.
//!
//! `entry.js` calls `guard` for every request; what that cannot pass at once goes to `answer`. Both tell the story in
//! [`gate`]. The modules of the first group are pure: no clock, no randomness, no await; they are tested natively.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod caching;
pub mod client_ip;
pub mod config;
pub mod credential;
pub mod csrf;
pub mod dead_upstream;
pub mod freshness;
pub mod gate;
pub mod identity;
pub mod open;
pub mod policy;
pub mod preflight;
pub mod refusal;
pub mod reply;
pub mod rule;
pub mod sessions;
pub mod target;
pub mod token_cache;
pub mod verdict;
pub mod view;

#[cfg(test)]
mod fixtures;

#[cfg(target_arch = "wasm32")]
pub mod io;
