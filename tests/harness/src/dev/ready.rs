//! When `cargo dev` is ready, and what it says then.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use shared::wire::header;

use super::Dev;
use crate::idp::{self, demo};
use crate::process::Process;
use crate::system::{ADA, BOB, Client};
use crate::wait::{eventually, until};

const LIMIT: Duration = Duration::from_secs(90);
/// wrangler builds the worker again, and that waits for any other cargo at work in this target folder.
const EDGE_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Waits until the edge answers with the public page of the origin.
pub(super) async fn edge(edge: &Process, client: &Client) -> Result<()> {
    let outcome = eventually("the edge", EDGE_LIMIT, async || {
        // wrangler waits for a change of the code after a failure, and says so only in its log.
        if edge.exited().is_some() || edge.log_contains("ERROR") {
            return Some(Err(anyhow!("wrangler dev has failed")));
        }
        client
            .get("/")
            .await
            .is_ok_and(|answer| answer.status() == 200)
            .then_some(Ok(()))
    });
    outcome
        .await
        .flatten()
        .with_context(|| format!("The end of the edge's log:\n{}", edge.log_tail()))
}

/// Waits until a sign-in has gone edge → issuer → Postgres and back, and its cookies have opened a guarded page.
pub(super) async fn path(dev: &Dev) -> Result<()> {
    let client = dev.client()?;
    let issuer_up = until("the issuer behind the edge", LIMIT, async || {
        client
            .get("/auth/session")
            .await
            .is_ok_and(|answer| answer.status() == 401)
    });
    issuer_up
        .await
        .with_context(|| format!("The end of the issuer's log:\n{}", dev.issuer.log_tail()))?;
    let client = dev
        .login(&BOB)
        .await
        .context("a demo user cannot sign in")?;
    let page = client.get("/app/").await?.expect(200)?.received()?;
    page.header(header::USER)
        .context("the origin was not told who the user is")?;
    client.logout().await?.expect(204)?;
    by_demo_id(dev).await
}

/// Whether the site sends whoever wants to sign in with Demo ID there, unless the environment says that it is somebody else.
async fn by_demo_id(dev: &Dev) -> Result<()> {
    let issuer = dev.settings.get(&idp::setting(demo::NAME, "ISSUER"));
    if issuer != Some(&dev.demo_id.issuer_url()) {
        return Ok(());
    }
    let client = dev.client()?;
    let path = format!("/auth/login/{}", demo::NAME);
    let answer = client.navigate(&path).await?.expect(303)?;
    let to = answer.location().unwrap_or_default();
    ensure!(to.starts_with(&dev.demo_id.issuer_url()), "{answer}");
    Ok(())
}

/// What is printed when everything works.
pub(super) fn welcome(url: &str, logs: &str) -> String {
    let jar = "portcullis.cookies";
    format!(
        r#"ready {url}

  {ada}  (roles {ada_roles})    password: {password}
  {bob}  (roles {bob_roles})           password: {password}

  {label}: any name signs in without a password, by the button at {url}/auth/login
  or at {url}/auth/login/{demo}

  curl -sS -c {jar} --json '{{"email":"{bob}","password":"{password}"}}' {url}/auth/login
  curl -sS -b {jar} {url}/api/hello
  curl -sS -b {jar} -c {jar} -X POST -H 'Origin: {url}' -w '%{{http_code}}\n' {url}/auth/logout

  Logs and data: {logs}. Ctrl-C stops everything."#,
        label = demo::LABEL,
        demo = demo::NAME,
        ada = ADA.email,
        ada_roles = ADA.roles.join(", "),
        bob = BOB.email,
        bob_roles = BOB.roles.join(", "),
        password = BOB.password,
    )
}
