//! The command line.

mod accounts;
mod clients;
mod events;
mod keys;
mod output;
mod transfer;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;
use shared::id::BadId;
use shared::scope::BadScope;
use tokio::signal::unix::{SignalKind, signal};

use crate::account::clients::ClientError;
use crate::account::export::ExportError;
use crate::account::import::ImportError;
use crate::account::users::AccountError;
use crate::app::{App, AppError};
use crate::config::{Config, ConfigErrors};
use crate::events::make_weeks;
use crate::fault::Fault;
use crate::revoke::publish::{self, KvClient, KvError, PublishError};
use crate::services::Services;
use crate::store::{self, Store, StoreError};
use crate::telemetry;
use crate::time::Clock;
use crate::token::client_keys::BadKeys;
use accounts::{SessionsCommand, TokensCommand, UsersCommand};
use clients::ClientsCommand;
use events::EventsCommand;
use keys::KeysCommand;
use output::Output;

/// The issuer of Portcullis. Its settings come from the environment; `issuer check` says what is wrong with them.
#[derive(Parser)]
#[command(name = "issuer", version)]
struct Arguments {
    /// Print JSON; an error too, on standard error
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT
    Serve,
    /// Bring the database's schema up to date (needs DATABASE_URL only)
    Migrate,
    /// Say everything that is wrong with the configuration
    Check,
    /// Write revocations and keys from Postgres to KV once more, where KV was emptied or damaged
    Republish,
    /// The keys that sign tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Accounts
    #[command(subcommand)]
    Users(UsersCommand),
    /// Signed-in browsers and clients
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Access tokens
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// The security log
    #[command(subcommand)]
    Events(EventsCommand),
    /// Services that get tokens of their own
    #[command(subcommand)]
    Clients(ClientsCommand),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Keys(#[from] BadKeys),
    #[error(transparent)]
    Scope(#[from] BadScope),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(
        "KV_API_URL, KV_API_TOKEN and KV_NAMESPACE_ID are not set: there is nowhere to publish to"
    )]
    NoKv,
    #[error("no such session, or it has ended")]
    NoSession,
    #[error("{0:?} is neither a moment such as 2026-11-28T18:00:00Z nor an age such as 7d")]
    Moment(String),
    #[error(transparent)]
    Id(#[from] BadId),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<KvError> for CliError {
    fn from(error: KvError) -> Self {
        Self::Publish(error.into())
    }
}

/// Runs the command that the process was started with.
pub async fn run() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    let output = Output { json };
    match execute(command, output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command, output: Output) -> Result<(), CliError> {
    match command {
        Command::Serve => serve().await,
        Command::Migrate => {
            store::migrate(&Config::database_url(environment())?).await?;
            output.done();
            Ok(())
        }
        Command::Check => {
            Config::from_env(environment())?;
            output.say(&json!({"ok": true}), || {
                "the configuration is good".to_owned()
            });
            Ok(())
        }
        Command::Republish => {
            let services = services().await?;
            let kv = KvClient::new(services.config.kv.as_ref().ok_or(CliError::NoKv)?)?;
            publish::republish(&services, &kv).await?;
            output.done();
            Ok(())
        }
        Command::Keys(command) => keys::run(command, &services().await?, output).await,
        Command::Users(command) => accounts::users(command, &services().await?, output).await,
        Command::Sessions(command) => accounts::sessions(command, &services().await?, output).await,
        Command::Events(command) => events::run(command, &services().await?).await,
        Command::Tokens(command) => accounts::tokens(command, &services().await?, output).await,
        Command::Clients(command) => clients::clients(command, &services().await?, output).await,
    }
}

async fn serve() -> Result<(), CliError> {
    telemetry::init();
    let config = Config::from_env(environment())?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let app = App::build(config, Clock::system()).await?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(app.run_until_stopped(stop).await?)
}

/// What commands on a running system work with.
async fn services() -> Result<Services, CliError> {
    let config = Config::from_env(environment())?;
    let store = Store::connect(&config.database_url, 4).await?;
    let missing = store.missing_migrations().await?;
    if !missing.is_empty() {
        return Err(AppError::Unmigrated(missing).into());
    }
    let clock = Clock::system();
    make_weeks(&store, clock.now()).await?;
    Ok(Services::new(config, clock, store).await?)
}

/// The environment; what is not UTF-8 is none of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
