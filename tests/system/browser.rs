//! A real Chromium: a person signs in, reaches a guarded page, and signs out; or is told why that does not work.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::response::Html;
use harness::system::{BOB, System, background};
use harness::{setup, workspace};
use serde_json::json;
use shared::cookie;
use tokio::process::Command;

#[tokio::test]
async fn a_person_signs_in_sees_the_page_and_signs_out() -> Result<()> {
    let system = System::start().await?;
    run("sign-in.mjs", &[system.public_url()]).await
}

#[tokio::test]
async fn a_browser_that_blocks_cookies_is_told_so_and_does_not_loop() -> Result<()> {
    let system = System::start().await?;
    run("blocked-cookies.mjs", &[system.public_url()]).await
}

/// A page at 127.0.0.1 is another site than one at localhost.
#[tokio::test]
async fn a_script_of_another_site_reads_what_the_rule_lets_it_read() -> Result<()> {
    let other_site = Router::new().fallback(async || Html("<title>other</title>"));
    let other_site = background::serve(other_site).await?;
    let page = format!("http://{}", other_site.addr());
    let system = System::builder()
        .routes(json!([
            {"path": "/api/*", "access": "user", "api": true, "cors": {"origins": [page], "methods": ["GET", "PUT"]}},
            {"path": "/app/*", "access": "user"},
        ]))
        .start()
        .await?;
    let bob = system.login(&BOB).await?;
    let token = bob.cookie(cookie::ACCESS).context("access cookie")?;
    let site = system.public_url();
    run("cross-origin.mjs", &[site, &page, &token, "ok"]).await?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    run("cross-origin.mjs", &[site, &page, &token, "token_expired"]).await
}

#[tokio::test]
async fn every_address_comes_back_with_its_query_and_its_fragment() -> Result<()> {
    let system = System::start().await?;
    run("way-back.mjs", &[system.public_url()]).await
}

#[tokio::test]
async fn back_after_a_sign_out_shows_nothing() -> Result<()> {
    let system = System::builder()
        .routes(json!([
            {"path": "/", "access": "public"},
            {"path": "/app/*", "access": "user"},
            {"path": "/app/never/*", "access": "user", "cache": "no-store"},
        ]))
        .start()
        .await?;
    run("back.mjs", &[system.public_url()]).await
}

/// The screenshots are left in the target folder, for whoever wants to look.
#[tokio::test]
async fn demo_id_leads_back_with_query_and_fragment_from_five_tabs_at_once() -> Result<()> {
    let system = System::builder()
        .demo_id()
        .setting("OIDC_DEMO_END_SESSION", "true")
        .start()
        .await?;
    let provider = system.idp.as_ref().context("Demo ID")?.issuer_url();
    let folder = workspace::target().join("screenshots");
    std::fs::create_dir_all(&folder)?;
    let folder = folder.to_str().context("a path that is no text")?;
    run("demo-id.mjs", &[system.public_url(), &provider, folder]).await
}

/// Runs a script of `browser/` with Node and the Chromium of the set-up.
async fn run(script: &str, arguments: &[&str]) -> Result<()> {
    let (npm, chromium) = tokio::task::spawn_blocking(|| {
        anyhow::Ok((setup::npm::ready()?, setup::browser::ready()?))
    })
    .await??;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("browser")
        .join(script);
    let node = Command::new("node")
        .arg(path)
        .args(arguments)
        .env("PATH", npm.path())
        .env("NPM_MODULES", npm.modules())
        .env("CHROMIUM", chromium)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(120), node)
        .await
        .context("the browser does not end")??;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
