//! Accounts: who has one, and what they may do.

pub mod users;
