//! The issuer of Portcullis: it owns users, sessions, keys and revocations, and is the only one who makes tokens.
//!
//! Imports go down this list, never back up: [`cli`] → [`app`] → `http`, [`revoke::publish`] → [`services`] → [`account`],
//! [`sign_in`], [`revoke::ending`] → [`token`], [`revoke::ledger`], [`limits`], [`sign_in::password`] → [`events`] → [`store`] →
//! [`session`], [`config`]. Below all: [`time`] and [`entropy`], the only sources of time and chance.
//!
//! All SQL is in [`store`]. [`session`] decides and touches nothing. Status codes are chosen in `http/error.rs`.
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::panic, clippy::unwrap_used)
)]

pub mod account;
pub mod app;
pub mod cli;
pub mod config;
pub mod entropy;
pub mod events;
pub mod fault;
mod http;
mod json;
pub mod limits;
pub mod revoke;
pub mod services;
pub mod session;
pub mod sign_in;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod token;

pub use app::App;
pub use config::Config;
pub use revoke::publish::install_tls_provider;
pub use store::MIGRATOR;
