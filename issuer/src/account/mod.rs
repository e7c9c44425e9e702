//! Accounts: who has one, and what they may do.

mod administrators;
mod checks;
pub mod clients;
pub mod export;
pub mod impersonation;
pub mod import;
pub mod invitations;
pub mod line;
pub mod password;
pub mod users;

pub use administrators::{ADMIN, keep_one};
pub use checks::MAX_ROLES;
