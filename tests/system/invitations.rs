//! Invitations: a link that leads to a first or a new password, once.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, Answer, BOB, Client, System};
use serde_json::{Value, json};
use shared::cookie;

use crate::administration::id_of;
use crate::support::{operator, typed_by_operator};
use crate::wire::of_session;

const NEW: &str = "wrong donkey capacitor paperclip";

async fn invite(client: &Client, user: &str) -> Result<Answer> {
    client
        .post(&format!("/auth/admin/users/{user}/invite"))
        .await
}

/// The path of the link that was given out.
fn link(system: &System, invitation: &Value) -> Result<String> {
    let url = invitation["url"].as_str().context("url")?;
    let path = url
        .strip_prefix(system.public_url())
        .context("of this site")?;
    ensure!(path.starts_with("/auth/invite/"), "{url}");
    Ok(path.to_owned())
}

async fn sign_in(system: &System, email: &str, password: &str) -> Result<Answer> {
    let credentials = json!({"email": email, "password": password});
    system
        .client()?
        .post_json("/auth/login", &credentials)
        .await
}

#[tokio::test]
async fn a_new_user_gets_to_a_password_by_a_link_that_works_once() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let new = json!({"email": "eve@example.test", "name": "Eve <b>"});
    let eve = ada
        .post_json("/auth/admin/users", &new)
        .await?
        .expect(201)?
        .json()?;
    let id = eve["id"].as_str().context("id")?;
    let refused = sign_in(&system, "eve@example.test", NEW).await?;
    refused.expect_problem(401, "unauthenticated")?;
    let invitation = invite(&ada, id).await?.expect(200)?.json()?;
    let path = link(&system, &invitation)?;

    let browser = system.client()?;
    // Whoever looks, a mail scanner perhaps, uses nothing up.
    for _ in 0..2 {
        let page = browser.navigate(&path).await?.expect(200)?;
        ensure!(page.text().contains("eve@example.test"), "{}", page.text());
        ensure!(!page.text().contains("<b>"), "escaped");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    }
    let short = browser
        .submit(&path, &[("password", "short")])
        .await?
        .expect(400)?;
    ensure!(
        short.text().contains("8 to 1024 characters"),
        "{}",
        short.text()
    );
    let set = browser
        .submit(&path, &[("password", NEW)])
        .await?
        .expect(303)?;
    assert_eq!(set.location(), Some("/auth/login"));
    sign_in(&system, "eve@example.test", NEW)
        .await?
        .expect(200)?;

    let used = browser.navigate(&path).await?.expect(404)?;
    ensure!(used.text().contains("Ask for a new one"), "{}", used.text());
    browser
        .submit(&path, &[("password", "another password")])
        .await?
        .expect(404)?;
    let used = browser.post_json(&path, &json!({"password": NEW})).await?;
    used.expect_problem(404, "not_found")?;
    for bad in ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let unknown = browser.get(&format!("/auth/invite/{bad}")).await?;
        unknown.expect_problem(404, "not_found")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_link_leads_to_a_new_password_and_ends_every_session() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    bob.get("/api/x").await?.expect(200)?;
    let id = of_session(&bob, "/user/id").await?;
    let invitation = invite(&ada, &id).await?.expect(200)?.json()?;
    let path = link(&system, &invitation)?;
    // Until then all is as before.
    sign_in(&system, BOB.email, BOB.password)
        .await?
        .expect(200)?;
    let stranger = system.client()?;
    let answer = stranger.post_json(&path, &json!({"password": 7})).await?;
    let answer = answer.expect_problem(400, "invalid_request")?.text();
    ensure!(answer.contains("password must"), "{answer}");
    stranger
        .post_json(&path, &json!({"password": NEW}))
        .await?
        .expect(204)?;
    bob.refresh().await?.expect_problem(401, "session_ended")?;
    let refused = sign_in(&system, BOB.email, BOB.password).await?;
    refused.expect_problem(401, "unauthenticated")?;
    sign_in(&system, BOB.email, NEW).await?.expect(200)?;

    // At the edge, on a route with a bound of 2 s.
    let grant = ["users", "grant", "--email", BOB.email, "--role", "admin"];
    operator(&system, &grant).await?;
    let bob = system.client()?;
    let credentials = json!({"email": BOB.email, "password": NEW});
    bob.post_json("/auth/login", &credentials)
        .await?
        .expect(200)?;
    bob.get("/admin/x").await?.expect(200)?;
    let invitation = invite(&ada, &id).await?.expect(200)?.json()?;
    let path = link(&system, &invitation)?;
    stranger
        .post_json(&path, &json!({"password": BOB.password}))
        .await?
        .expect(204)?;
    system.advance(Duration::from_secs(2)).await?;
    bob.remove_cookie(cookie::REFRESH);
    bob.get("/admin/x")
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn a_link_is_replaced_withdrawn_and_expires() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let bob = id_of(&system, &BOB).await?;
    let open = async |path: &str| anyhow::Ok(system.client()?.get(path).await?.status());
    let next = async || link(&system, &invite(&ada, &bob).await?.expect(200)?.json()?);

    let (first, second) = (next().await?, next().await?);
    assert_eq!((open(&first).await?, open(&second).await?), (404, 200));
    let shown = ada.get(&format!("/auth/admin/users/{bob}")).await?.json()?;
    ensure!(shown["invitation_expires_at"].is_string(), "{shown}");

    // Disabling withdraws it, and a disabled user gets none.
    ada.post(&format!("/auth/admin/users/{bob}/disable"))
        .await?
        .expect(200)?;
    assert_eq!(open(&second).await?, 404);
    let refused = invite(&ada, &bob).await?;
    refused.expect_problem(409, "conflict")?;
    ada.post(&format!("/auth/admin/users/{bob}/enable"))
        .await?
        .expect(200)?;
    assert_eq!(open(&second).await?, 404);

    // So does a password that is set in another way.
    let third = next().await?;
    let set = ["users", "password", "--email", BOB.email];
    let ran = typed_by_operator(&system, &set, BOB.password).await?;
    ensure!(ran.success, "{}", ran.printed);
    assert_eq!(open(&third).await?, 404);

    let last = next().await?;
    system
        .advance(Duration::from_secs(7 * 24 * 3600 - 60))
        .await?;
    assert_eq!(open(&last).await?, 200);
    system.advance(Duration::from_secs(61)).await?;
    assert_eq!(open(&last).await?, 404);
    let late = system
        .client()?
        .post_json(&last, &json!({"password": NEW}))
        .await?;
    late.expect_problem(404, "not_found")?;
    sign_in(&system, BOB.email, BOB.password)
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn of_two_who_use_a_link_at_once_one_sets_the_password() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let bob = id_of(&system, &BOB).await?;
    let path = link(&system, &invite(&ada, &bob).await?.expect(200)?.json()?)?;
    let passwords = ["the first password", "the second password"];
    let use_up = |password: &'static str| {
        let (path, client) = (path.clone(), system.client());
        tokio::spawn(async move {
            client?
                .post_json(&path, &json!({"password": password}))
                .await
        })
    };
    let [first, second] = passwords.map(use_up);
    let statuses = [first.await??.status(), second.await??.status()];
    ensure!([[204, 404], [404, 204]].contains(&statuses), "{statuses:?}");
    for (status, password) in statuses.into_iter().zip(passwords) {
        let expected = if status == 204 { 200 } else { 401 };
        sign_in(&system, BOB.email, password)
            .await?
            .expect(expected)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_command_line_makes_links_too_and_only_a_hash_is_stored() -> Result<()> {
    let system = System::start().await?;
    let command = ["users", "invite", "--email", BOB.email];
    let url = operator(&system, &command).await?;
    let path = link(&system, &json!({ "url": url.trim() }))?;
    system.client()?.get(&path).await?.expect(200)?;
    let token = path.rsplit('/').next().context("token")?;
    let mut db = system.db.connect().await?;
    for table in ["invitations", "events"] {
        let query = format!("select coalesce(string_agg(t::text, ' '), '') from {table} t");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut db)
            .await?;
        ensure!(!rows.contains(token), "{table}");
    }
    let json = operator(&system, &[&command[..], &["--json"]].concat()).await?;
    let json: Value = serde_json::from_str(&json)?;
    let newer = link(&system, &json)?;
    ensure!(json["expires_at"].is_string(), "{json}");
    system.client()?.get(&newer).await?.expect(200)?;
    system.client()?.get(&path).await?.expect(404)?;
    Ok(())
}
