//! The worker as Cloudflare's own tool sees it: served by `wrangler dev`, and built by `wrangler deploy --dry-run`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{setup, worker_build, workspace};
use tokio::process::Command;

/// The budget of the worker, compressed.
const MAX_GZIP_KIB: f64 = 300.0;

#[tokio::test]
async fn the_whole_path_works_under_wrangler_dev() -> Result<()> {
    let options = harness::dev::Options {
        port: harness::ports::free()?,
        fresh: true,
    };
    let dev = harness::dev::Dev::start(options).await?;
    let client = dev.client()?;
    let credentials = serde_json::json!({"email": "ada@example.test", "password": "correct horse battery staple"});
    client
        .post_json("/auth/login", &credentials)
        .await?
        .expect(200)?;
    client.get("/admin/x").await?.expect(200)?;
    client.refresh().await?.expect(200)?;
    let thief = client.copy();
    client.logout().await?.expect(204)?;
    client
        .get("/admin/x")
        .await?
        .expect_problem(401, "unauthenticated")?;
    harness::wait::until(
        "the ended session is refused",
        std::time::Duration::from_secs(20),
        async || {
            thief
                .get("/admin/x")
                .await
                .is_ok_and(|answer| answer.code().as_deref() == Some("session_ended"))
        },
    )
    .await
}

#[tokio::test]
async fn the_worker_can_be_deployed_and_is_small() -> Result<()> {
    let printed = dry_run().await?;
    // "Total Upload: 512.34 KiB / gzip: 201.11 KiB"
    let gzip = printed
        .lines()
        .find_map(|line| line.split("gzip: ").nth(1))
        .and_then(|rest| rest.split(' ').next())
        .context("a gzip figure in what wrangler prints")?;
    let gzip: f64 = gzip.parse()?;
    ensure!(
        gzip > 10.0 && gzip <= MAX_GZIP_KIB,
        "{gzip} KiB of {MAX_GZIP_KIB}"
    );
    for binding in [
        "REVOCATIONS",
        "ROUTES",
        "ISSUER_URL",
        "ORIGIN_URL",
        "PUBLIC_URL",
    ] {
        ensure!(printed.contains(binding), "{binding} in:\n{printed}");
    }
    Ok(())
}

/// What `wrangler deploy --dry-run` prints.
async fn dry_run() -> Result<String> {
    let npm = tokio::task::spawn_blocking(|| {
        let tools = setup::for_build()?;
        worker_build::build(&tools, worker_build::Variant::Production)?;
        anyhow::Ok(tools.npm)
    })
    .await??;
    let wrangler = Command::new(npm.bin("wrangler"))
        .args(["deploy", "--dry-run"])
        .current_dir(workspace::root())
        .env("PATH", npm.path())
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CI", "true")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(300), wrangler)
        .await
        .context("wrangler does not end")??;
    let printed = String::from_utf8([output.stdout, output.stderr].concat())?;
    ensure!(output.status.success(), "{printed}");
    Ok(printed)
}
