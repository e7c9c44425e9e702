//! Revocations: what is ended, the list of what is, and its way to the edges.

pub mod ending;
pub mod ledger;
pub mod publish;
