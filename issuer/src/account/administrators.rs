//! Somebody who can administer is always left.

use super::users::AccountError;
pub use crate::store::administrators::ADMIN;
use crate::store::users::{Access, User};
use crate::store::{Tx, administrators};

/// Refuses a change after which no enabled administrator would be left. `user` is as before the change, `remains` whether they
/// are an enabled administrator after it. Of no administrator it lets everything pass.
///
/// [`administrators::lock`] must be held, since before the user's row was locked: else two administrators who demote each other
/// at the same moment would each find the other.
///
/// # Errors
/// [`AccountError::LastAdministrator`]; the transaction is to be dropped then.
pub async fn keep_one(tx: &mut Tx, user: &User, remains: bool) -> Result<(), AccountError> {
    let is_one = user.access == Access::Enabled && user.roles.iter().any(|role| role == ADMIN);
    if !is_one || remains || administrators::others_exist(tx, user.id).await? {
        return Ok(());
    }
    Err(AccountError::LastAdministrator)
}
