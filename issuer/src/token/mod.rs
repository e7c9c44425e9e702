//! Tokens, and the keys that sign them.

pub mod keyring;
pub mod mint;
