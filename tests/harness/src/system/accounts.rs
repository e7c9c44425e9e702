//! The demo accounts: in every test database, and in that of `cargo dev`; never outside these.

use anyhow::{Context as _, Result};
use issuer::account::users::{AccountError, Accounts, NewUser};
use issuer::events::By;
use issuer::sign_in::password::Passwords;
use issuer::store::Store;
use issuer::time::Clock;
use shared::secret::SecretText;

/// Changes when the accounts do, and with them the template database.
pub(crate) const VERSION: &[u8] = b"ada, bob: 1";

/// Somebody who can sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The address to sign in with.
    pub email: &'static str,
    /// What to call them.
    pub name: &'static str,
    /// It is public: these accounts exist on developers' machines only.
    pub password: &'static str,
    /// What they may do.
    pub roles: &'static [&'static str],
}

/// An administrator.
pub const ADA: Account = Account {
    email: "ada@example.test",
    name: "Ada Lovelace",
    password: PASSWORD,
    roles: &["admin", "user"],
};
/// A user.
pub const BOB: Account = Account {
    email: "bob@example.test",
    name: "Bob Kahn",
    password: PASSWORD,
    roles: &["user"],
};

const PASSWORD: &str = "correct horse battery staple";

/// Makes [`ADA`] and [`BOB`] in a migrated database, unless they are there.
///
/// # Errors
/// Postgres does not answer.
pub(crate) async fn create(database_url: &str) -> Result<()> {
    let store = Store::connect(&SecretText::new(database_url.to_owned()), 4)
        .await
        .context("cannot reach the new database")?;
    let passwords = Passwords::new(1).await.context("cannot hash passwords")?;
    let policy = super::settings::policy()?;
    let accounts = Accounts {
        store: &store,
        clock: &Clock::system(),
        policy: &policy,
        by: By::CLI,
    };
    for account in [ADA, BOB] {
        let roles: Vec<String> = account.roles.iter().map(|&role| role.to_owned()).collect();
        let new = NewUser {
            email: account.email,
            name: account.name,
            roles: &roles,
        };
        match accounts
            .create(
                &new,
                SecretText::new(account.password.to_owned()),
                &passwords,
            )
            .await
        {
            Ok(_) | Err(AccountError::Taken) => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot make the account {}", account.email));
            }
        }
    }
    store.close().await;
    Ok(())
}
