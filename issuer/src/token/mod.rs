//! Tokens, and the keys that sign them.

pub mod client_keys;
pub mod keyring;
pub mod mint;
pub mod service;
