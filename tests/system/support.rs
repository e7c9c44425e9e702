//! What several tests ask of the stack, over what [`System`] itself can do.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{System, issuer_program};
use harness::wait::until;
use shared::revocation::Snapshot;
use shared::wire::kv;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Waits until KV holds a snapshot that the publisher began to make after this call: with all that was committed before.
pub(crate) async fn until_published(system: &System) -> Result<()> {
    let asked_at = system.clock().now();
    until(
        "a newer snapshot in KV",
        Duration::from_secs(40),
        async || published(system).is_ok_and(|snapshot| snapshot.made_at >= asked_at),
    )
    .await
}

/// What KV holds. The tests look inside without checking the MAC: that is the edge's business.
pub(crate) fn published(system: &System) -> Result<Snapshot> {
    let bytes = system
        .kv
        .value(kv::REVOCATIONS_HEAD)
        .context("no snapshot in KV")?;
    let (payload, _) = bytes.split_last_chunk::<32>().context("no MAC")?;
    Ok(Snapshot::untrusted_decode(payload)?)
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

/// Runs a command of the operator, with the settings of issuer 0.
pub(crate) async fn operator(system: &System, arguments: &[&str]) -> Result<String> {
    let settings: Vec<(&str, &str)> = system.issuers[0]
        .settings()
        .iter()
        .filter(|(name, _)| *name != "ORIGIN_SECRET")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let ran = issuer(arguments, &settings, "").await?;
    ensure!(ran.success, "issuer {arguments:?}: {}", ran.printed);
    Ok(ran.printed)
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
