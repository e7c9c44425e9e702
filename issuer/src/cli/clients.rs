//! `issuer clients …`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use shared::id::ClientId;
use shared::scope::Scopes;
use shared::secret::SecretText;

use super::CliError;
use super::output::Output;
use crate::account::clients::{Clients, NewClient};
use crate::services::Services;
use crate::store::clients::{self as client_rows, Client, Proof, State};
use crate::token::client_keys::ClientKeys;

#[derive(Subcommand)]
pub(super) enum ClientsCommand {
    /// Register a service; its secret is shown this once
    Create {
        /// What to call it
        #[arg(long)]
        name: String,
        /// What it may do; may be given several times
        #[arg(long = "scope")]
        scopes: Vec<String>,
        /// Let it ask about the tokens of others at /oauth/introspect
        #[arg(long)]
        introspect: bool,
        /// It gets no secret but signs with a key of its own: a file with the public JWK or JWK set, `-` for standard input
        #[arg(long)]
        public_key: Option<PathBuf>,
    },
    /// List services, oldest first
    List,
    /// Revoke a service: it gets no more tokens, and those that it has are refused
    Revoke {
        /// Its client_id
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// Give a service another secret, shown this once; the old one opens nothing from now on
    RotateSecret {
        /// Its client_id
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Refuse the tokens that it has
        #[arg(long)]
        revoke_tokens: bool,
    },
}

pub(super) async fn clients(
    command: ClientsCommand,
    services: &Services,
    Output { json }: Output,
) -> Result<(), CliError> {
    let clients = Clients {
        store: &services.store,
        clock: &services.clock,
    };
    match command {
        ClientsCommand::Create {
            name,
            scopes,
            introspect,
            public_key,
        } => {
            let new = NewClient {
                name: &name,
                scopes: Scopes::of(scopes.iter().map(String::as_str))?,
                may_introspect: introspect,
                keys: public_key.as_deref().map(keys).transpose()?,
            };
            let (client, secret) = clients.create(new).await?;
            if json {
                let mut shown = shown(&client);
                shown["client_secret"] = secret.as_ref().map(SecretText::expose).into();
                println!("{shown}");
            } else {
                println!("client_id      {}", client.id);
                print_secret(secret.as_ref());
            }
        }
        ClientsCommand::List => {
            let all = client_rows::all(&mut *services.store.conn().await?).await?;
            if json {
                println!("{}", Value::from_iter(all.iter().map(shown)));
            } else {
                all.iter().for_each(print_line);
            }
        }
        ClientsCommand::Revoke { id } => {
            let id: ClientId = id.parse()?;
            clients.revoke(id).await?;
            if json {
                println!("{}", json!({"client_id": id, "revoked": true}));
            } else {
                println!("{id} is revoked");
            }
        }
        ClientsCommand::RotateSecret { id, revoke_tokens } => {
            let id: ClientId = id.parse()?;
            let secret = clients.rotate_secret(id, revoke_tokens).await?;
            if json {
                let shown = json!({"client_id": id, "client_secret": secret.expose(), "tokens_revoked": revoke_tokens});
                println!("{shown}");
            } else {
                print_secret(Some(&secret));
            }
        }
    }
    Ok(())
}

fn keys(path: &Path) -> Result<ClientKeys, CliError> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path)?
    };
    Ok(ClientKeys::parse(&text)?)
}

fn print_secret(secret: Option<&SecretText>) {
    if let Some(secret) = secret {
        println!("client_secret  {}", secret.expose());
        eprintln!("The secret is shown this once: only its hash is stored.");
    }
}

fn print_line(client: &Client) {
    let revoked = match client.state {
        State::Active => "",
        State::Revoked { .. } => "  revoked",
    };
    let introspect = if client.may_introspect {
        "  introspects"
    } else {
        ""
    };
    println!(
        "{}  {:?}  {}  {}{introspect}{revoked}",
        client.id,
        client.name,
        proof(client),
        client.scopes
    );
}

const fn proof(client: &Client) -> &'static str {
    match client.proof {
        Proof::Secret(_) => "client_secret",
        Proof::Keys(_) => "private_key_jwt",
    }
}

fn shown(client: &Client) -> Value {
    let revoked_at = match client.state {
        State::Active => None,
        State::Revoked { at } => Some(at.to_secs()),
    };
    json!({
        "client_id": client.id,
        "name": client.name,
        "scope": client.scopes,
        "introspect": client.may_introspect,
        "proof": proof(client),
        "created_at": client.created_at.to_secs(),
        "revoked_at": revoked_at,
    })
}
