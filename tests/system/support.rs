//! What several tests ask of the stack, over what [`System`] itself can do.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{Client, Method, System, issuer_program};
use harness::wait::until;
use issuer::store::revocations;
use shared::claims::Claims;
use shared::cookie;
use shared::key::{KeySet, SigningKey};
use shared::revocation::{Entry, OpenUpdate, Update};
use shared::secret::RootSecret;
use shared::token::{self, Expected, Verified};
use shared::wire::{edge_token, header, kv};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Waits until KV holds every live revocation that Postgres holds now.
pub(crate) async fn until_published(system: &System) -> Result<()> {
    let mut db = system.db.connect().await?;
    let live: BTreeSet<Entry> = revocations::tail(&mut db, 0, system.clock().now())
        .await?
        .rows
        .into_iter()
        .map(|(_, revocation)| revocation.entry)
        .collect();
    until(
        "KV to hold what Postgres holds",
        Duration::from_secs(40),
        async || published(system).is_ok_and(|found| live.is_subset(&found.entries())),
    )
    .await
}

/// What KV holds of revocations.
pub(crate) struct Published {
    pub(crate) head: Update,
    /// The base that the head names.
    pub(crate) base: Update,
}

impl Published {
    /// What is refused.
    pub(crate) fn entries(&self) -> BTreeSet<Entry> {
        let both = self.head.entries.iter().chain(&self.base.entries);
        both.map(|revocation| revocation.entry).collect()
    }
}

/// What KV holds now. Looks inside without checking the MAC: that is the edge's business.
pub(crate) fn published(system: &System) -> Result<Published> {
    let head = update_in_kv(system, kv::REVOCATIONS_HEAD)?;
    let name = head.base.context("a head names its base")?;
    let base = update_in_kv(system, &name.key())?;
    ensure!((base.base, base.since) == (Some(name), 0), "{base:?}");
    Ok(Published { head, base })
}

fn update_in_kv(system: &System, key: &str) -> Result<Update> {
    let bytes = system
        .kv
        .value(key)
        .with_context(|| format!("no {key} in KV"))?;
    let (payload, _) = bytes.split_last_chunk::<32>().context("no MAC")?;
    Ok(OpenUpdate::untrusted_decode(payload)?.to_update())
}

/// Asks issuer 0 as an edge does who knows everything below `after`.
pub(crate) async fn feed(system: &System, after: u64) -> Result<Update> {
    let path = format!("/edge/revocations?after={after}");
    let (status, answer) = as_edge(system, Method::GET, &path, String::new()).await?;
    ensure!(status == 200, "{path}: {status}");
    Ok(OpenUpdate::open(&answer, &edge_secrets(system)?)?.to_update())
}

/// Asks issuer 0 as an edge does, with JSON: the status and the body of its answer.
pub(crate) async fn as_edge(
    system: &System,
    method: Method,
    path: &str,
    json: String,
) -> Result<(u16, Vec<u8>)> {
    let url = format!("http://{}{path}", system.issuers[0].addr());
    let token = edge_token(&edge_secrets(system)?[0]);
    let request = harness::system::http_client()?
        .request(method, url)
        .header(header::EDGE_TOKEN, token)
        .header("content-type", "application/json");
    let answer = request.body(json).send().await?;
    Ok((answer.status().as_u16(), answer.bytes().await?.into()))
}

fn edge_secrets(system: &System) -> Result<Vec<RootSecret>> {
    let settings = system.issuers[0].settings();
    let secret = settings.get("EDGE_SECRET").context("EDGE_SECRET")?;
    Ok(RootSecret::parse_list(secret)?)
}

/// The access token that `client` holds, of a stack whose `JWT_SECRET` is set.
pub(crate) fn access_token(system: &System, client: &Client) -> Result<Verified<Claims>> {
    let settings = system.issuers[0].settings();
    let secret = settings.get("JWT_SECRET").context("JWT_SECRET")?;
    let newest = secret.split(',').next().unwrap_or_default();
    let key = SigningKey::hs256(&RootSecret::parse(newest)?);
    let token = client.cookie(cookie::ACCESS).context("an access cookie")?;
    let expected = Expected {
        issuer: system.public_url(),
        audience: system.public_url(),
    };
    let keys = KeySet::new(vec![key.verifying_key().clone()]);
    Ok(token::verify(&token, &keys, &expected)?)
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) success: bool,
    /// Both outputs.
    pub(crate) printed: String,
}

/// Runs the issuer's command line with these settings and no others.
pub(crate) async fn issuer(
    arguments: &[&str],
    settings: &[(&str, &str)],
    input: &str,
) -> Result<Ran> {
    let mut child = Command::new(issuer_program().await?)
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("stdin")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output())
        .await
        .with_context(|| format!("issuer {arguments:?} does not end"))??;
    let printed = [output.stdout, output.stderr].concat();
    Ok(Ran {
        success: output.status.success(),
        printed: String::from_utf8(printed)?,
    })
}

/// Runs a command of the operator that must succeed.
pub(crate) async fn operator(system: &System, arguments: &[&str]) -> Result<String> {
    let ran = typed_by_operator(system, arguments, "").await?;
    ensure!(ran.success, "issuer {arguments:?}: {}", ran.printed);
    Ok(ran.printed)
}

/// Runs a command of the operator, who types `typed`, with the settings of issuer 0.
pub(crate) async fn typed_by_operator(
    system: &System,
    arguments: &[&str],
    typed: &str,
) -> Result<Ran> {
    let settings: Vec<(&str, &str)> = system.issuers[0]
        .settings()
        .iter()
        .filter(|(name, _)| *name != "ORIGIN_SECRET")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    issuer(arguments, &settings, typed).await
}

/// Waits until so many connections to the database of `system` wait for a lock.
pub(crate) async fn until_waiting(system: &System, connections: i64) -> Result<()> {
    let waiting = async || {
        let mut db = system.db.connect().await?;
        let asked = "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'";
        anyhow::Ok(
            sqlx::query_scalar::<_, i64>(asked)
                .fetch_one(&mut db)
                .await?,
        )
    };
    let limit = Duration::from_secs(20);
    until("connections to wait for a lock", limit, async || {
        waiting().await.is_ok_and(|count| count >= connections)
    })
    .await
}

/// What issuer 0 says about its health.
pub(crate) async fn health(system: &System, path: &str) -> Result<u16> {
    let url = format!("http://{}{path}", system.issuers[0].admin_addr());
    Ok(harness::system::http_client()?
        .get(url)
        .send()
        .await?
        .status()
        .as_u16())
}
