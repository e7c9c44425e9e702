//! Roles by a claim of the provider: taken anew at each sign-in, and a lost group is a lost role within the bound.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::idp::Hostile;
use harness::idp::hostile::SignIn;
use harness::system::{ADA, Client, System};
use serde_json::{Value, json};

use super::{signed_in, system_with};

/// Of `/admin/*` in wrangler.toml.
const BOUND: Duration = Duration::from_secs(2);

fn of(groups: Value) -> SignIn {
    SignIn::of("carol").person(&json!({"groups": groups}))
}

async fn start(provider: &Hostile) -> Result<System> {
    let table = [
        ("OIDC_EVIL_ROLES_CLAIM", "groups"),
        (
            "OIDC_EVIL_ROLES",
            "users=user,operators=admin,operators=user",
        ),
        ("OIDC_EVIL_LINK", "verified-email"),
    ];
    system_with(provider, &table).await
}

async fn roles(client: &Client) -> Result<Value> {
    Ok(client.get("/auth/session").await?.expect(200)?.json()?["user"]["roles"].clone())
}

#[tokio::test]
async fn groups_are_roles_as_the_table_says() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    for (groups, expected) in [
        (json!(["users"]), json!(["user"])),
        (json!("operators"), json!(["admin", "user"])),
        (
            json!(["OPERATORS", "admin", "users,operators", "strangers"]),
            json!([]),
        ),
        (
            json!([["operators"], {"operators": true}, 7, null]),
            json!([]),
        ),
        (json!({"operators": "operators"}), json!([])),
        (json!(null), json!([])),
    ] {
        let plan = of(groups.clone()).userinfo(json!({"groups": null}));
        let client = signed_in(&system, &provider, &plan).await?;
        assert_eq!(roles(&client).await?, expected, "{groups}");
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_group_is_a_lost_role_everywhere_within_the_bound() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let first = signed_in(&system, &provider, &of(json!(["operators"]))).await?;
    first.get("/admin/x").await?.expect(200)?;

    let second = signed_in(&system, &provider, &of(json!(["users"]))).await?;
    let lost = Instant::now();
    second
        .get("/admin/x")
        .await?
        .expect_problem(403, "forbidden")?;
    loop {
        let sent = lost.elapsed();
        let answer = first.get("/admin/x").await?;
        if answer.status() != 200 {
            answer.expect_problem(403, "forbidden")?;
            break;
        }
        ensure!(sent <= BOUND, "let in {sent:?} after the role was lost");
    }
    // It is not signed out, and its roles are the new ones, without a new sign-in.
    assert_eq!(roles(&first).await?, json!(["user"]));
    first.get("/app/x").await?.expect(200)?;

    // And back: a group that is there again is a role again, in the older session too.
    signed_in(&system, &provider, &of(json!(["operators"]))).await?;
    harness::wait::until("the role to be back", Duration::from_secs(10), async || {
        first
            .get("/admin/x")
            .await
            .is_ok_and(|answer| answer.status() == 200)
    })
    .await
}

#[tokio::test]
async fn roles_that_the_table_does_not_know_are_none_of_the_providers_business() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let table = [
        ("OIDC_EVIL_ROLES_CLAIM", "groups"),
        ("OIDC_EVIL_ROLES", "staff=support"),
        ("OIDC_EVIL_LINK", "verified-email"),
    ];
    let system = system_with(&provider, &table).await?;
    let ada = |groups: Value| of(groups).person(&json!({"email": ADA.email}));
    let client = signed_in(&system, &provider, &ada(json!(["staff"]))).await?;
    assert_eq!(roles(&client).await?, json!(["admin", "support", "user"]));
    let client = signed_in(&system, &provider, &ada(json!([]))).await?;
    assert_eq!(roles(&client).await?, json!(["admin", "user"]));
    Ok(())
}
