//! Roles by a claim of the provider: taken anew at each sign-in, and a lost group is a lost role within the bound.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::idp::Hostile;
use harness::idp::hostile::SignIn;
use harness::system::{ADA, BOB, Client, System};
use serde_json::{Value, json};

use super::{sign_in, signed_in, system_with};
use crate::support::{operator, until_waiting};

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

/// Ada's sign-in at the provider.
fn ada(groups: Value) -> SignIn {
    SignIn::of("ada").person(&json!({"email": ADA.email, "groups": groups}))
}

#[tokio::test]
async fn the_last_enabled_administrator_stays_one_without_the_group_and_the_log_says_so()
-> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let older = signed_in(&system, &provider, &ada(json!(["operators"]))).await?;
    assert_eq!(roles(&older).await?, json!(["admin", "user"]));
    // One who is disabled does not count.
    let bob = ["--email", BOB.email];
    operator(
        &system,
        &[&["users", "grant", "--role", "admin"][..], &bob].concat(),
    )
    .await?;
    operator(&system, &[&["users", "disable"][..], &bob].concat()).await?;

    // The other role of the table goes, and the second time nothing is left to go.
    for _ in 0..2 {
        let client = signed_in(&system, &provider, &ada(json!([]))).await?;
        assert_eq!(roles(&client).await?, json!(["admin"]));
        client.get("/admin/x").await?.expect(200)?;
        let query = "/auth/admin/events?kind=roles_changed&limit=1";
        let page = client.get(query).await?.expect(200)?.json()?;
        let event = &page["events"][0];
        assert_eq!(event["actor"], json!({"type": "provider"}));
        assert_eq!(
            event["detail"],
            json!({"roles": ["admin"], "provider": "evil", "kept": "admin"})
        );
    }

    operator(&system, &[&["users", "enable"][..], &bob].concat()).await?;
    let client = signed_in(&system, &provider, &ada(json!([]))).await?;
    assert_eq!(roles(&client).await?, json!([]));
    client
        .get("/admin/x")
        .await?
        .expect_problem(403, "forbidden")?;
    Ok(())
}

#[tokio::test]
async fn of_two_administrators_who_lose_the_group_at_once_one_stays() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    signed_in(&system, &provider, &ada(json!(["operators"]))).await?;
    signed_in(&system, &provider, &of(json!(["operators"]))).await?;
    let mut db = system.db.connect().await?;
    sqlx::query("begin").execute(&mut db).await?;
    sqlx::query("select from users for update")
        .execute(&mut db)
        .await?;
    let at_once = async {
        let (first, second) = (system.client()?, system.client()?);
        let (of_ada, of_carol) = (ada(json!([])), of(json!([])));
        tokio::try_join!(
            sign_in(&first, &provider, &of_ada),
            sign_in(&second, &provider, &of_carol),
        )
    };
    let release = async {
        until_waiting(&system, 2).await?;
        sqlx::query("commit").execute(&mut db).await?;
        Ok(())
    };
    let ((first, second), ()) = tokio::try_join!(at_once, release)?;
    first.expect(303)?;
    second.expect(303)?;
    let left: i64 = sqlx::query_scalar(
        "select count(*) from users where 'admin' = any (roles) and disabled_at is null",
    )
    .fetch_one(&mut db)
    .await?;
    assert_eq!(left, 1);
    Ok(())
}
