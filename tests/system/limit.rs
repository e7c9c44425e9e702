//! At most five sessions a user, exactly, however many sign in at once.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use harness::system::{BOB, Client, System};
use sqlx::Row as _;

use crate::support::until_published;

#[tokio::test]
async fn two_hundred_sign_ins_at_once_on_two_issuers_leave_the_newest_five() -> Result<()> {
    let system = System::builder().issuers(2).processes().start().await?;
    let clients = (0..200).map(|index| system.issuer_client(index % 2));
    let clients = clients.collect::<Result<Vec<_>>>()?;
    let sign_ins = clients.into_iter().map(|client| async move {
        let credentials = serde_json::json!({"email": BOB.email, "password": BOB.password});
        let answer = client
            .post_json("/auth/login", &credentials)
            .await?
            .expect(200)?
            .json()?;
        let id = answer["session"]["id"]
            .as_str()
            .context("session id")?
            .to_owned();
        Ok::<(Client, String), anyhow::Error>((client, id))
    });
    let mut running = tokio::task::JoinSet::new();
    for sign_in in sign_ins {
        running.spawn(sign_in);
    }
    let clients = running
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()?;

    let mut db = system.db.connect().await?;
    let rows = sqlx::query(
        "select id, ended_at is null as live, end_reason from sessions order by ordinal desc",
    )
    .fetch_all(&mut db)
    .await?;
    assert_eq!(rows.len(), 200);
    let live: Vec<bool> = rows.iter().map(|row| row.get("live")).collect();
    ensure!(live[..5].iter().all(|live| *live), "the newest five live");
    ensure!(live[5..].iter().all(|live| !*live), "all others ended");
    ensure!(
        rows[5..]
            .iter()
            .all(|row| row.get::<String, _>("end_reason") == "evicted")
    );

    let ended: BTreeSet<Vec<u8>> = rows[5..].iter().map(|row| row.get("id")).collect();
    let revoked: BTreeSet<Vec<u8>> =
        sqlx::query_scalar("select subject from revocations where kind = 'session'")
            .fetch_all(&mut db)
            .await?
            .into_iter()
            .collect();
    assert_eq!(revoked, ended, "each evicted session is revoked");

    let mut still_refresh = 0;
    for (client, _) in &clients {
        match client.refresh().await?.status() {
            200 => still_refresh += 1,
            status => assert_eq!(status, 401),
        }
    }
    assert_eq!(still_refresh, 5);
    Ok(())
}

#[tokio::test]
async fn the_evicted_browser_is_refused_at_the_edge() -> Result<()> {
    let system = System::builder()
        .setting("MAX_CONCURRENT_SESSIONS", "1")
        .start()
        .await?;
    let first = system.login(&BOB).await?;
    first.get("/api/x").await?.expect(200)?;
    let second = system.login(&BOB).await?;
    second.get("/api/x").await?.expect(200)?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    first
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;
    second.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn or_the_sixth_sign_in_is_refused() -> Result<()> {
    let system = System::builder()
        .setting("SESSION_LIMIT_POLICY", "refuse")
        .start()
        .await?;
    for _ in 0..5 {
        system.login(&BOB).await?;
    }
    let client = system.client()?;
    let credentials = serde_json::json!({"email": BOB.email, "password": BOB.password});
    client
        .post_json("/auth/login", &credentials)
        .await?
        .expect_problem(409, "conflict")?;
    ensure!(client.cookies().is_empty());
    Ok(())
}
