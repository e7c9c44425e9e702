//! The parts of `cargo dev`, each started the way it is run in earnest.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::state::State;
use crate::idp::{self, DemoId, demo};
use crate::postgres::{Cluster, Durability};
use crate::private::write_private;
use crate::process::{self, Process, Stop};
use crate::setup::Npm;
use crate::system::settings::{self, Settings};
use crate::system::{ADA, Account, BOB};
use crate::{ports, workspace};

const LIMIT: Duration = Duration::from_secs(120);
/// What can be tried with it: `ada` and `bob` are the demo accounts, the group `staff` is a role, and signing out leads through it.
/// The roles `admin` and `user` are left alone, or Ada would lose hers by signing in without a group.
const OF_DEMO_ID: [(&str, &str); 4] = [
    ("LINK", "verified-email"),
    ("ROLES_CLAIM", "groups"),
    ("ROLES", "staff=staff"),
    ("END_SESSION", "true"),
];

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a task has panicked")?
}

/// The embedded Postgres, unless the settings name another.
pub(super) async fn postgres(
    npm: &Npm,
    state: &State,
    settings: &mut Settings,
) -> Result<Option<Cluster>> {
    if settings.contains_key("DATABASE_URL") {
        super::say("using the Postgres of DATABASE_URL");
        return Ok(None);
    }
    super::say("starting the embedded Postgres");
    let cluster = Cluster::start(npm, &state.folder().join("postgres"), Durability::Kept).await?;
    settings.insert(
        "DATABASE_URL".to_owned(),
        cluster.server().base_url().to_owned(),
    );
    Ok(Some(cluster))
}

/// Demo ID, and what the issuer is told of it. What the environment says wins.
pub(super) async fn demo_id(npm: Npm, state: &State, settings: &mut Settings) -> Result<DemoId> {
    super::say("starting Demo ID");
    let site = super::state::public_url(settings).to_owned();
    let log = state.folder().join("demo-id.log");
    let demo_id = DemoId::start(npm, state.demo_id_port()?, &site, log).await?;
    let told = demo_id.settings().into_iter();
    let of_dev = OF_DEMO_ID.map(|(name, value)| (idp::setting(demo::NAME, name), value.to_owned()));
    for (name, value) in told.chain(of_dev) {
        settings.entry(name).or_insert(value);
    }
    Ok(demo_id)
}

/// Brings the schema up to date and makes the demo accounts, with the commands that production has.
pub(super) async fn migrate(program: &'static Path, settings: &Settings) -> Result<()> {
    let settings = settings.clone();
    blocking(move || {
        process::run(
            "issuer migrate",
            issuer_command(program, &settings, &["migrate"]),
            LIMIT,
        )?;
        for account in [ADA, BOB] {
            create(program, &settings, &account)?;
        }
        Ok(())
    })
    .await
}

fn create(program: &Path, settings: &Settings, account: &Account) -> Result<()> {
    let mut arguments = vec![
        "users",
        "create",
        "--email",
        account.email,
        "--name",
        account.name,
    ];
    for role in account.roles {
        arguments.extend(["--role", role]);
    }
    let command = issuer_command(program, settings, &arguments);
    match process::run_with_input("issuer users create", command, account.password, LIMIT) {
        Ok(_) => Ok(()),
        // From an earlier run.
        Err(error) if error.to_string().contains("exists already") => Ok(()),
        Err(error) => Err(error),
    }
}

/// The issuer.
pub(super) fn issuer(program: &Path, state: &State, settings: &Settings) -> Result<Process> {
    let command = issuer_command(program, settings, &["serve"]);
    Process::spawn(
        "the issuer",
        command,
        &state.folder().join("issuer.log"),
        Stop::Term,
    )
}

fn issuer_command(program: &Path, settings: &Settings, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(settings)
        .env_remove("ORIGIN_SECRET");
    command
}

/// The settings and secrets of the edge.
pub(super) fn edge_texts(settings: &Settings, origin: SocketAddr) -> Result<Vec<(String, String)>> {
    let issuer = settings
        .get("LISTEN_ADDR")
        .context("the issuer has no address")?;
    let (issuer, origin) = (format!("http://{issuer}"), format!("http://{origin}"));
    Ok(settings::edge_texts(settings, &issuer, &origin))
}

/// The edge, under `wrangler dev`; `texts` win over what `wrangler.toml` says.
pub(super) fn edge(npm: &Npm, state: &State, texts: &[(String, String)]) -> Result<Process> {
    let secrets = state.folder().join("worker.env");
    write_private(&secrets, &dotenv(texts)?)?;
    let mut command = npm.command(npm.bin("wrangler"));
    command.args([
        "dev",
        "--ip",
        "127.0.0.1",
        "--show-interactive-dev-session=false",
    ]);
    command.args([
        "--port",
        &state.port().to_string(),
        "--inspector-port",
        &ports::free()?.to_string(),
    ]);
    // However it is called, and whatever domain wrangler.toml names: here the site is PUBLIC_URL.
    let site = format!("localhost:{}", state.port());
    command.args(["--local-upstream", &site]);
    command
        .arg("--env-file")
        .arg(&secrets)
        .arg("--persist-to")
        .arg(state.folder().join("wrangler"));
    command.current_dir(workspace::root());
    // It calls cargo.
    for name in workspace::told_by_cargo() {
        command.env_remove(name);
    }
    // Nothing is sent anywhere, and stacks on several ports know nothing of each other.
    command
        .env("WRANGLER_SEND_METRICS", "false")
        .env("NO_COLOR", "1")
        .env("CI", "1");
    command.env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
    command.env("WRANGLER_LOG_PATH", state.folder().join("wrangler-logs"));
    command.env(
        "WRANGLER_REGISTRY_PATH",
        state.folder().join("wrangler-registry"),
    );
    Process::spawn(
        "the edge (wrangler dev)",
        command,
        &state.folder().join("edge.log"),
        Stop::Term,
    )
}

/// A file of settings that wrangler reads.
fn dotenv(texts: &[(String, String)]) -> Result<String> {
    let mut file = String::new();
    for (name, value) in texts {
        if value.contains(['\'', '\n', '\r']) {
            bail!("{name} holds a quote or a line break, which wrangler cannot be given");
        }
        file.push_str(&format!("{name}='{value}'\n"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted_or_refused() {
        let one = |value: &str| dotenv(&[("A".to_owned(), value.to_owned())]);
        assert_eq!(one("x y#$z").unwrap(), "A='x y#$z'\n");
        assert!(one("it's").is_err());
    }
}
