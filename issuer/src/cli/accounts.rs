//! `issuer users …`, `issuer sessions …` and `issuer tokens …`.

use std::io::Read as _;

use clap::{ArgGroup, Subcommand};
use serde_json::json;
use shared::id::{SessionId, TokenId};
use shared::secret::SecretText;

use super::CliError;
use super::output::Output;
use super::transfer;
use crate::account::users::Whose::Email;
use crate::account::users::{AccountError, NewUser};
use crate::events::{By, Kind};
use crate::revoke::ending::{end_everyone, end_one, revoke_token};
use crate::services::Services;
use crate::session::EndReason;
use crate::store::{sessions as session_rows, users as user_rows};
use crate::time::rfc3339;

#[derive(Subcommand)]
pub(super) enum UsersCommand {
    /// Make an account; the password is read from standard input
    Create {
        /// The address to sign in with
        #[arg(long)]
        email: String,
        /// What to call them
        #[arg(long)]
        name: String,
        /// What they may do; may be given several times
        #[arg(long = "role")]
        roles: Vec<String>,
    },
    /// List accounts
    List,
    /// Set the password, read from standard input, and end every session
    Password {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// Grant a role; it takes effect at the next request
    Grant {
        /// To whom
        #[arg(long)]
        email: String,
        /// Which
        #[arg(long)]
        role: String,
    },
    /// Revoke a role; it takes effect at the next request
    Revoke {
        /// From whom
        #[arg(long)]
        email: String,
        /// Which
        #[arg(long)]
        role: String,
    },
    /// Forbid to sign in and end every session
    Disable {
        /// Whom
        #[arg(long)]
        email: String,
    },
    /// Allow to sign in again
    Enable {
        /// Whom
        #[arg(long)]
        email: String,
    },
    /// Make a one-time link, good for 7 days, that leads to a first or a new password, and print it
    Invite {
        /// Whom
        #[arg(long)]
        email: String,
    },
    /// Delete an account; of the security log its id stays
    Delete {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// Make accounts from lines of JSON, all of them or none
    Import {
        /// The file; - for standard input
        file: String,
    },
    /// Print all accounts as lines of JSON
    Export {
        /// With the hashes of their passwords
        #[arg(long)]
        with_password_hashes: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum SessionsCommand {
    /// List a user's live sessions, oldest first
    List {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// End one session, all of a user's, or all there are
    #[command(group = ArgGroup::new("which").required(true))]
    End {
        /// The session's id
        #[arg(long, group = "which", allow_hyphen_values = true)]
        id: Option<String>,
        /// Whose
        #[arg(long, group = "which")]
        email: Option<String>,
        /// Of all users: everybody has to sign in anew
        #[arg(long, group = "which")]
        everyone: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum TokensCommand {
    /// Revoke one access token; its session stands
    Revoke {
        /// The token's jti
        #[arg(allow_hyphen_values = true)]
        jti: String,
    },
}

pub(super) async fn users(
    command: UsersCommand,
    services: &Services,
    output: Output,
) -> Result<(), CliError> {
    let accounts = services.accounts(By::CLI);
    match command {
        UsersCommand::Create { email, name, roles } => {
            let new = NewUser {
                email: &email,
                name: &name,
                roles: &roles,
            };
            let created = accounts.create(&new, password()?, &services.passwords);
            let id = created.await?;
            output.say(&json!({ "id": id }), || id.to_string());
        }
        UsersCommand::List => list(services, output).await?,
        UsersCommand::Password { email } => {
            let set = accounts.set_password(Email(&email), password()?, &services.passwords);
            set.await?;
            output.done();
        }
        UsersCommand::Grant { email, role } => {
            let changed = accounts.change_roles(Email(&email), |roles| roles.push(role));
            output.roles(&changed.await?);
        }
        UsersCommand::Revoke { email, role } => {
            let changed = accounts.change_roles(Email(&email), |roles| {
                roles.retain(|held| *held != role);
            });
            output.roles(&changed.await?);
        }
        UsersCommand::Disable { email } => {
            output.changed(&accounts.disable(Email(&email)).await?);
        }
        UsersCommand::Enable { email } => output.changed(&accounts.enable(Email(&email)).await?),
        UsersCommand::Invite { email } => {
            let (token, expires_at) = accounts.invite(Email(&email)).await?;
            let url = token.link(&services.config.public_url);
            let json = json!({"url": url, "expires_at": rfc3339(expires_at)});
            output.say(&json, || url.clone());
        }
        UsersCommand::Delete { email } => {
            accounts.delete(Email(&email)).await?;
            output.done();
        }
        UsersCommand::Import { file } => transfer::import(services, &file, output).await?,
        UsersCommand::Export {
            with_password_hashes,
        } => transfer::export(services, with_password_hashes).await?,
    }
    Ok(())
}

pub(super) async fn sessions(
    command: SessionsCommand,
    services: &Services,
    output: Output,
) -> Result<(), CliError> {
    let now = services.clock.now();
    match command {
        SessionsCommand::List { email } => {
            let mut conn = services.store.conn().await?;
            let (user, _) = user_rows::by_email(&mut conn, &email)
                .await?
                .ok_or(AccountError::Unknown)?;
            let idle = services.config.policy.idle;
            let live = session_rows::live(&mut conn, user.id, idle, now).await?;
            output.sessions(&live, now);
        }
        SessionsCommand::End { id: Some(id), .. } => {
            let id: SessionId = id.parse()?;
            if !end_one(&services.store, id, EndReason::Administrator, By::CLI, now).await? {
                return Err(CliError::NoSession);
            }
            if output.json {
                output.ended(1);
            }
        }
        SessionsCommand::End { everyone: true, .. } => {
            let policy = &services.config.policy;
            let ended = end_everyone(&services.store, &services.clock, policy, By::CLI).await?;
            output.ended(ended);
        }
        SessionsCommand::End { email, .. } => {
            let email = email.unwrap_or_default();
            let ended = services
                .accounts(By::CLI)
                .end_sessions(Email(&email))
                .await?;
            output.ended(u64::try_from(ended).unwrap_or(u64::MAX));
        }
    }
    Ok(())
}

pub(super) async fn tokens(
    command: TokensCommand,
    services: &Services,
    output: Output,
) -> Result<(), CliError> {
    let TokensCommand::Revoke { jti } = command;
    let token: TokenId = jti.parse()?;
    let (policy, now) = (&services.config.policy, services.clock.now());
    revoke_token(
        &services.store,
        token,
        policy,
        By::CLI.event(Kind::TokenRevoked),
        now,
    )
    .await?;
    output.done();
    Ok(())
}

async fn list(services: &Services, output: Output) -> Result<(), CliError> {
    let users = user_rows::all(&mut *services.store.conn().await?).await?;
    output.users(&users);
    Ok(())
}

/// The password, without the line break at its end.
fn password() -> Result<SecretText, CliError> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(SecretText::new(text))
}
