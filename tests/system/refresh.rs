//! Refreshing: rotation, two tabs, theft, limits, races.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::system::{ADA, BOB, Client, Link, System};
use shared::cookie;

use crate::support::operator;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A client that holds a refresh token and nothing else: a thief, or a tab that missed an answer.
fn holding(system: &System, refresh_token: &str) -> Result<Client> {
    let client = system.client()?;
    client.set_cookie(cookie::REFRESH, refresh_token);
    Ok(client)
}

fn refresh_token(client: &Client) -> Result<String> {
    client.cookie(cookie::REFRESH).context("a refresh cookie")
}

#[tokio::test]
async fn every_refresh_gives_new_tokens_of_the_same_session() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let session = client.get("/auth/session").await?.expect(200)?.json()?["session"]["id"].clone();
    let mut seen = vec![(refresh_token(&client)?, client.cookie(cookie::ACCESS))];
    for _ in 0..3 {
        let answer = client.refresh().await?.expect(200)?;
        assert_eq!(answer.json()?["session"]["id"], session);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let now = (refresh_token(&client)?, client.cookie(cookie::ACCESS));
        ensure!(
            seen.iter()
                .all(|before| before.0 != now.0 && before.1 != now.1),
            "new tokens"
        );
        seen.push(now);
        client.get("/api/x").await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn two_tabs_at_once_both_stay_signed_in() -> Result<()> {
    let system = System::start().await?;
    let tab = system.login(&BOB).await?;
    let tabs: Vec<Client> = (0..10).map(|_| tab.copy()).collect();
    let mut running = tokio::task::JoinSet::new();
    for tab in tabs {
        running.spawn(async move { tab.refresh().await?.expect(200).map(|_| tab) });
    }
    let tabs = running
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut db = system.db.connect().await?;
    let generation: i64 = sqlx::query_scalar("select generation from sessions")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(generation, 1, "one successor for all");
    // Whichever answer came last is in the browser's one cookie jar: each of them goes on.
    tabs[7].refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_stolen_token_used_again_ends_the_session_for_thief_and_owner() -> Result<()> {
    let system = System::start().await?;
    let owner = system.login(&BOB).await?;
    let stolen = refresh_token(&owner)?;
    owner.refresh().await?.expect(200)?;
    owner.refresh().await?.expect(200)?;

    let thief = holding(&system, &stolen)?;
    let answer = thief
        .refresh()
        .await?
        .expect_problem(401, "refresh_reused")?;
    ensure!(
        answer
            .headers_named("set-cookie")
            .iter()
            .all(|set| set.contains("Max-Age=0")),
        "cookies are cleared"
    );
    owner
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    let mut db = system.db.connect().await?;
    let reason: String = sqlx::query_scalar("select end_reason from sessions")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(reason, "refresh_reused");
    let events: i64 = sqlx::query_scalar(
        "select count(*) from events where kind = 'session_ended' and detail->>'reason' = 'refresh_reused'",
    )
    .fetch_one(&mut db)
    .await?;
    assert_eq!(events, 1, "the security log knows");
    Ok(())
}

#[tokio::test]
async fn the_token_before_the_current_one_works_for_ten_seconds_that_do_not_slide() -> Result<()> {
    let system = System::start().await?;
    let owner = system.login(&BOB).await?;
    let previous = refresh_token(&owner)?;
    owner.refresh().await?.expect(200)?;
    for _ in 0..2 {
        system.advance(Duration::from_secs(4)).await?;
        holding(&system, &previous)?.refresh().await?.expect(200)?;
    }
    system.advance(Duration::from_secs(4)).await?;
    holding(&system, &previous)?
        .refresh()
        .await?
        .expect_problem(401, "refresh_reused")?;
    Ok(())
}

#[tokio::test]
async fn a_session_that_rests_too_long_is_over() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    system.advance(23 * HOUR).await?;
    client.refresh().await?.expect(200)?;
    system.advance(23 * HOUR).await?;
    client.refresh().await?.expect(200)?;
    system.advance(24 * HOUR + MINUTE).await?;
    client
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn a_session_ends_a_week_after_sign_in_however_busy() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    for _ in 0..8 {
        system.advance(20 * HOUR).await?;
        client.refresh().await?.expect(200)?;
    }
    let last = refresh_token(&client)?;
    system.advance(8 * HOUR).await?;
    ensure!(
        client.cookie(cookie::REFRESH).is_none(),
        "the cookie expires with the session"
    );
    holding(&system, &last)?
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn forged_tokens_cost_no_sql() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let good = refresh_token(&client)?;
    let mut forged: Vec<String> = vec!["x".into(), "A".repeat(good.len()), "A".repeat(3900)];
    for at in (0..good.len()).step_by(7) {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes)?);
    }
    // Without Postgres a good token cannot be answered, and a forged one is refused as ever.
    system.cut(Link::IssuerDb);
    let answer = client.copy().refresh().await?;
    ensure!(answer.status() >= 500, "{}", answer.status());
    for token in &forged {
        let answer = holding(&system, token)?.refresh().await?;
        assert_eq!(answer.status(), 401, "{token}");
        ensure!(
            answer.headers_named("set-cookie").is_empty(),
            "only a definite end clears cookies"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_logout_that_races_refreshes_wins() -> Result<()> {
    let system = System::start().await?;
    for _ in 0..10 {
        let client = system.login(&BOB).await?;
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let tab = client.copy();
            running.spawn(async move { tab.refresh().await.map(|_| tab) });
        }
        let leaving = client.copy();
        leaving.logout().await?.expect(204)?;
        for tab in running.join_all().await {
            let tab = tab?;
            if tab.cookie(cookie::REFRESH).is_some() {
                tab.refresh().await?.expect_problem(401, "session_ended")?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn changed_roles_arrive_with_the_next_refresh() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client
        .get("/admin/x")
        .await?
        .expect_problem(403, "forbidden")?;
    operator(
        &system,
        &["users", "grant", "--email", BOB.email, "--role", "admin"],
    )
    .await?;
    client.refresh().await?.expect(200)?;
    client.get("/admin/x").await?.expect(200)?;
    operator(
        &system,
        &["users", "revoke", "--email", BOB.email, "--role", "admin"],
    )
    .await?;
    client.refresh().await?.expect(200)?;
    client
        .get("/admin/x")
        .await?
        .expect_problem(403, "forbidden")?;
    Ok(())
}

#[tokio::test]
async fn tokens_survive_a_rotation_of_the_encryption_key() -> Result<()> {
    let (old, new) = (
        "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J",
        "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p",
    );
    let mut system = System::builder()
        .setting("ENCRYPTION_KEY", old)
        .start()
        .await?;
    let client = system.login(&ADA).await?;
    system.issuers[0]
        .reconfigure("ENCRYPTION_KEY", &format!("{new},{old}"))
        .await?;
    client.refresh().await?.expect(200)?;
    let by_new = client.cookie(cookie::REFRESH);
    client.refresh().await?.expect(200)?;
    ensure!(by_new != client.cookie(cookie::REFRESH));
    Ok(())
}
