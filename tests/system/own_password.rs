//! Users change their own password.

use anyhow::{Result, ensure};
use harness::system::{Answer, BOB, Client, System};
use serde_json::{Value, json};

use crate::support::until_waiting;

const NEW: &str = "wrong donkey capacitor paperclip";

async fn change(client: &Client, body: &Value) -> Result<Answer> {
    client.post_json("/auth/account/password", body).await
}

async fn sign_in(system: &System, password: &str) -> Result<u16> {
    let credentials = json!({"email": BOB.email, "password": password});
    let client = system.client()?;
    Ok(client
        .post_json("/auth/login", &credentials)
        .await?
        .status())
}

#[tokio::test]
async fn it_wants_the_old_one_and_ends_all_other_sessions() -> Result<()> {
    let system = System::start().await?;
    let (here, there) = (system.login(&BOB).await?, system.login(&BOB).await?);
    let wrong = change(&here, &json!({"current": "wrong horse", "new": NEW})).await?;
    let wrong = wrong.expect_problem(403, "forbidden")?;
    ensure!(wrong.text().contains("current "), "{}", wrong.text());
    there.refresh().await?.expect(200)?;
    assert_eq!(sign_in(&system, BOB.password).await?, 200);

    let body = json!({"current": BOB.password, "new": NEW});
    change(&here, &body).await?.expect(204)?;
    there
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    here.get("/auth/session").await?.expect(200)?;
    here.refresh().await?.expect(200)?;
    here.get("/api/x").await?.expect(200)?;
    assert_eq!(sign_in(&system, BOB.password).await?, 401);
    assert_eq!(sign_in(&system, NEW).await?, 200);
    // What was the present one is none any more.
    change(&here, &body)
        .await?
        .expect_problem(403, "forbidden")?;

    let mut db = system.db.connect().await?;
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from events where kind like 'password%' order by number")
            .fetch_all(&mut db)
            .await?;
    let (refused, changed) = ("password_change_refused", "password_changed");
    assert_eq!(kinds, [refused, changed, refused]);
    Ok(())
}

#[tokio::test]
async fn whoever_has_no_password_or_no_session_is_told_so() -> Result<()> {
    let system = System::start().await?;
    let body = json!({"current": BOB.password, "new": NEW});
    let stranger = change(&system.client()?, &body).await?;
    stranger.expect_problem(401, "unauthenticated")?;
    let bob = system.login(&BOB).await?;
    for (body, field) in [
        (json!({"new": NEW}), "current"),
        (json!({"current": BOB.password}), "new"),
        (json!({"current": BOB.password, "new": "short"}), "new"),
        (
            json!({"current": BOB.password, "new": "x".repeat(1025)}),
            "new",
        ),
        (
            json!({"current": BOB.password, "new": NEW, "email": "x"}),
            "email",
        ),
    ] {
        let answer = change(&bob, &body)
            .await?
            .expect_problem(400, "invalid_request")?;
        let detail = answer.json()?["detail"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        ensure!(detail.starts_with(&format!("{field} ")), "{detail}");
    }
    let mut db = system.db.connect().await?;
    sqlx::query("delete from credentials")
        .execute(&mut db)
        .await?;
    let none = change(&bob, &body).await?.expect_problem(409, "conflict")?;
    ensure!(none.text().contains("has no password"), "{}", none.text());
    Ok(())
}

/// Both were shown the right present password; when the second is to be set, it is another one.
#[tokio::test]
async fn of_two_changes_at_once_one_counts() -> Result<()> {
    let system = System::start().await?;
    let (here, there) = (system.login(&BOB).await?, system.login(&BOB).await?);
    let mut db = system.db.connect().await?;
    sqlx::query("begin").execute(&mut db).await?;
    sqlx::query("select from users for update")
        .execute(&mut db)
        .await?;
    let passwords = ["the first password", "the second password"];
    let changes: Vec<_> = [here, there]
        .into_iter()
        .zip(passwords)
        .map(|(client, new)| {
            let body = json!({"current": BOB.password, "new": new});
            tokio::spawn(async move { change(&client, &body).await })
        })
        .collect();
    until_waiting(&system, 2).await?;
    sqlx::query("commit").execute(&mut db).await?;
    let mut statuses = Vec::new();
    for change in changes {
        statuses.push(change.await??.status());
    }
    ensure!(
        [[204, 403], [403, 204]]
            .iter()
            .any(|expected| statuses == expected),
        "{statuses:?}"
    );
    for (status, password) in statuses.into_iter().zip(passwords) {
        let expected = if status == 204 { 200 } else { 401 };
        assert_eq!(sign_in(&system, password).await?, expected);
    }
    Ok(())
}
