//! The issuer of Portcullis: it owns users, sessions, keys and revocations, and is the only one who makes tokens.
//!
//! Imports go down this list, never back up: [`cli`] → [`app`] → `http`, [`publish`], [`sweep`], [`signals`] →
//! [`services`] → [`users`], [`sign_in`], [`ending`] → [`mint`] → [`keyring`], [`ledger`], [`password`] → [`store`] →
//! [`session`], [`config`]. Below all: [`time`] and [`entropy`], the only sources of time and chance.
//!
//! All SQL is in [`store`]. [`session`] decides and touches nothing. Status codes are chosen in `http/error.rs`.
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::expect_used, clippy::panic, clippy::unwrap_used)
)]

pub mod app;
pub mod cli;
pub mod config;
pub mod ending;
pub mod entropy;
pub mod fault;
mod http;
pub mod keyring;
pub mod ledger;
pub mod mint;
pub mod password;
pub mod publish;
pub mod services;
pub mod session;
pub mod sign_in;
pub mod signals;
pub mod store;
pub mod sweep;
pub mod telemetry;
pub mod time;
pub mod users;

pub use app::App;
pub use config::Config;
pub use publish::install_tls_provider;
pub use store::MIGRATOR;
