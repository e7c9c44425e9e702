//! A real Chromium: a person signs in, reaches a guarded page, and signs out; or is told why that does not work.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::setup;
use harness::system::System;
use tokio::process::Command;

#[tokio::test]
async fn a_person_signs_in_sees_the_page_and_signs_out() -> Result<()> {
    let system = System::start().await?;
    run("sign-in.mjs", system.public_url()).await
}

#[tokio::test]
async fn a_browser_that_blocks_cookies_is_told_so_and_does_not_loop() -> Result<()> {
    let system = System::start().await?;
    run("blocked-cookies.mjs", system.public_url()).await
}

/// Runs a script of `browser/` with Node and the Chromium of the set-up.
async fn run(script: &str, url: &str) -> Result<()> {
    let (npm, chromium) = tokio::task::spawn_blocking(|| {
        anyhow::Ok((setup::npm::ready()?, setup::browser::ready()?))
    })
    .await??;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("browser")
        .join(script);
    let node = Command::new("node")
        .arg(path)
        .arg(url)
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
