//! The worker as Cloudflare's own tool sees it: served by `wrangler dev`, and built by `wrangler deploy --dry-run`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::dev::{self, Data, Dev};
use harness::idp::demo::Typed;
use harness::system::ADA;
use harness::{setup, worker_build, workspace, wrangler};
use serde_json::{Value, json};
use tokio::process::Command;

/// The budget of the worker, compressed.
const MAX_GZIP_KIB: f64 = 300.0;

#[tokio::test]
async fn the_whole_path_works_under_wrangler_dev() -> Result<()> {
    let dev = start(None).await?;
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

/// As somebody does who has just cloned the repository, with what `cargo dev` sets.
#[tokio::test]
async fn any_name_and_the_demo_accounts_sign_in_with_demo_id() -> Result<()> {
    let dev = start(None).await?;
    for (name, email, roles) in [
        ("Zoë Smith", "zoe.smith@example.test", json!(["staff"])),
        ("ada", ADA.email, json!(["admin", "staff", "user"])),
    ] {
        let (client, there) = (dev.client()?, dev.demo_id().browser()?);
        let begun = client.navigate("/auth/login/demo").await?.expect(303)?;
        let address = begun.location().context("a location")?;
        let typed = Typed {
            name,
            groups: "staff",
        };
        let back = dev.demo_id().sign_in(&there, address, typed).await?;
        client.navigate(&back).await?.expect(303)?;
        let session = client.get("/auth/session").await?.expect(200)?.json()?;
        assert_eq!(session["user"]["email"], email);
        assert_eq!(session["user"]["roles"], roles);
    }
    Ok(())
}

/// Each request of `wrangler dev` names a data centre, as at Cloudflare, and unlike those of plain workerd.
#[tokio::test]
async fn no_cache_before_the_origin_keeps_what_is_guarded() -> Result<()> {
    let mut rules = wrangler::read()?.vars.routes;
    let api = rules.as_array_mut().context("a list of rules")?.iter_mut();
    let api = api.filter(|rule| rule["path"] == "/api/*");
    for rule in api {
        rule["cache"] = "origin".into();
    }
    let dev = start(Some(rules)).await?;
    let client = dev.login(&ADA).await?;
    // What the origin is told of caches when this page is asked for.
    let told = async |page: &str| -> Result<Option<String>> {
        client.get(page).await?.expect(200)?;
        let received = dev.origin().received();
        let last = received.last().context("nothing came")?;
        ensure!(last.path == page, "{} came", last.path);
        Ok(last.header("cache-control").map(str::to_owned))
    };
    // workerd writes this for `cache: "no-store"`.
    let bypassed = Some("no-cache".to_owned());
    ensure!(told("/").await?.is_none(), "/ is public");
    for guarded in ["/app/logo.png", "/api/logo.png", "/admin/logo.png"] {
        let told = told(guarded).await?;
        ensure!(told == bypassed, "{guarded}: {told:?}");
    }
    Ok(())
}

/// A stack as `cargo dev` runs it, which leaves nothing behind.
async fn start(routes: Option<Value>) -> Result<Dev> {
    let (port, data) = (harness::ports::free()?, Data::Thrown);
    Dev::start(dev::Options { port, data, routes }).await
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
    let mut wrangler = Command::new(npm.bin("wrangler"));
    // It calls cargo.
    for name in workspace::told_by_cargo() {
        wrangler.env_remove(name);
    }
    let wrangler = wrangler
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
