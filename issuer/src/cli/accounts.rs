//! `issuer users …`, `issuer sessions …` and `issuer tokens …`.

use std::io::Read as _;

use clap::{ArgGroup, Subcommand};
use shared::id::{SessionId, TokenId};
use shared::secret::SecretText;

use super::CliError;
use crate::account::users::{AccountError, Accounts, NewUser};
use crate::revoke::ending::{end_everyone, end_one, revoke_token};
use crate::services::Services;
use crate::session::EndReason;
use crate::store::events::{Event, Kind};
use crate::store::users::Access;
use crate::store::{sessions as session_rows, users as user_rows};

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

pub(super) async fn users(command: UsersCommand, services: &Services) -> Result<(), CliError> {
    let accounts = accounts(services);
    match command {
        UsersCommand::Create { email, name, roles } => {
            let new = NewUser {
                email: &email,
                name: &name,
                roles: &roles,
            };
            println!(
                "{}",
                accounts
                    .create(&new, password()?, &services.passwords)
                    .await?
            );
        }
        UsersCommand::List => list(services).await?,
        UsersCommand::Password { email } => {
            accounts
                .set_password(&email, password()?, &services.passwords)
                .await?
        }
        UsersCommand::Grant { email, role } => {
            let roles = accounts
                .change_roles(&email, |roles| roles.push(role))
                .await?;
            println!("{}", roles.join(","));
        }
        UsersCommand::Revoke { email, role } => {
            let roles = accounts
                .change_roles(&email, |roles| roles.retain(|held| *held != role))
                .await?;
            println!("{}", roles.join(","));
        }
        UsersCommand::Disable { email } => accounts.disable(&email).await?,
        UsersCommand::Enable { email } => accounts.enable(&email).await?,
    }
    Ok(())
}

pub(super) async fn sessions(
    command: SessionsCommand,
    services: &Services,
) -> Result<(), CliError> {
    let now = services.clock.now();
    match command {
        SessionsCommand::List { email } => {
            let mut conn = services.store.conn().await?;
            let (user, _) = user_rows::by_email(&mut conn, &email)
                .await?
                .ok_or(AccountError::Unknown)?;
            for session in
                session_rows::live(&mut conn, user.id, services.config.policy.idle, now).await?
            {
                let ip = session
                    .ip
                    .map_or_else(|| "-".to_owned(), |ip| ip.to_string());
                let minutes = now.since(session.last_seen_at).as_secs() / 60;
                println!(
                    "{}  {ip}  {}  seen {minutes} min ago  {:?}",
                    session.id, session.provider, session.user_agent
                );
            }
        }
        SessionsCommand::End { id: Some(id), .. } => {
            let id: SessionId = id.parse()?;
            let from = Event::new(Kind::SessionEnded);
            if !end_one(&services.store, id, EndReason::Administrator, &from, now).await? {
                return Err(CliError::NoSession);
            }
        }
        SessionsCommand::End { everyone: true, .. } => {
            let policy = &services.config.policy;
            let from = Event::new(Kind::EveryoneEnded);
            let ended = end_everyone(&services.store, &services.clock, policy, &from).await?;
            println!("{ended} ended");
        }
        SessionsCommand::End { email, .. } => {
            let ended = accounts(services)
                .end_sessions(&email.unwrap_or_default())
                .await?;
            println!("{ended} ended");
        }
    }
    Ok(())
}

pub(super) async fn tokens(command: TokensCommand, services: &Services) -> Result<(), CliError> {
    let TokensCommand::Revoke { jti } = command;
    let token: TokenId = jti.parse()?;
    let (policy, now) = (&services.config.policy, services.clock.now());
    Ok(revoke_token(&services.store, token, policy, now).await?)
}

const fn accounts(services: &Services) -> Accounts<'_> {
    Accounts {
        store: &services.store,
        clock: &services.clock,
        policy: &services.config.policy,
    }
}

async fn list(services: &Services) -> Result<(), CliError> {
    for user in user_rows::all(&mut *services.store.conn().await?).await? {
        let disabled = match user.access {
            Access::Enabled => "",
            Access::Disabled { .. } => "  disabled",
        };
        println!(
            "{}  {}  {:?}  {}{disabled}",
            user.id,
            user.email,
            user.name,
            user.roles.join(",")
        );
    }
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
