//! Which tokens are refused although their signature and time are good.

mod codec;
mod entry;
mod set;

pub use codec::{OpenSnapshot, Snapshot};
pub use entry::{Entry, Revocation};
pub use set::{RevocationSet, Standing};
