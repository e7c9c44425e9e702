//! The security log: what is in it, that nothing changes it, and how it is read.

mod kept;
mod read;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, BOB, Client, Method, System};
use serde_json::{Value, json};
use shared::cookie;
use sqlx::PgConnection;

use crate::support::{operator, typed_by_operator};
use crate::wire::of_session;

/// Later than any event: the command line ends at its own time, and that of the stack may have been moved.
const LATER: [&str; 2] = ["--until", "9999-01-01T00:00:00Z"];

/// What the command line exports, line by line.
pub(crate) async fn exported(system: &System, arguments: &[&str]) -> Result<Vec<Value>> {
    let printed = operator(
        system,
        &[&["events", "export"], &LATER[..], arguments].concat(),
    )
    .await?;
    let lines = printed.lines();
    lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect()
}

/// Kind, reason, who did it and in whose session, of every event: `cli` or `system`, or the names given to users' ids.
fn told(events: &[Value], names: &[(&str, &str)]) -> Vec<String> {
    let name = |id: &Value| {
        let known = names.iter().find(|(known, _)| id == known);
        known.map_or_else(|| "-".to_owned(), |(_, name)| (*name).to_owned())
    };
    let line = |event: &Value| {
        let actor = match event["actor"]["type"].as_str() {
            Some("user") => name(&event["actor"]["id"]),
            other => other.unwrap_or_default().to_owned(),
        };
        let reason = event["detail"]["reason"].as_str().unwrap_or_default();
        let kind = event["kind"].as_str().unwrap_or_default();
        format!("{kind} {reason} by {actor} to {}", name(&event["user"]))
    };
    events.iter().map(line).collect()
}

/// The id of whoever is signed in.
pub(crate) async fn id_of(client: &Client) -> Result<String> {
    of_session(client, "/user/id").await
}

#[tokio::test]
async fn every_beginning_and_end_of_a_session_is_there_with_who_did_it() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let bob = system.login(&BOB).await?;
    let (ada_id, bob_id) = (id_of(&ada).await?, id_of(&bob).await?);
    let names = [(ada_id.as_str(), "ada"), (bob_id.as_str(), "bob")];
    let since_then = async |done: &str| -> Result<Vec<String>> {
        let mut told = told(&exported(&system, &[]).await?, &names);
        // What came before, and the exports themselves.
        told.retain(|line| {
            !line.starts_with("events_exported")
                && !line.starts_with("user_created")
                && !line.starts_with("key_created")
        });
        let seen = told.len();
        ensure!(seen > 0, "{done}");
        Ok(told)
    };
    let mut seen = since_then("two sign-ins").await?;
    assert_eq!(seen, ["sign_in  by ada to ada", "sign_in  by bob to bob"]);
    let mut expect = async |done: &str, expected: &[&str]| -> Result<()> {
        let now = since_then(done).await?;
        assert_eq!(now[seen.len()..], *expected, "{done}");
        seen = now;
        Ok(())
    };

    let wrong = json!({"email": BOB.email, "password": "wrong horse"});
    system
        .client()?
        .post_json("/auth/login", &wrong)
        .await?
        .expect(401)?;
    let nobody = json!({"email": "nobody@example.test", "password": "wrong horse"});
    system
        .client()?
        .post_json("/auth/login", &nobody)
        .await?
        .expect(401)?;
    let failed = [
        "sign_in_failed  by unknown to bob",
        "sign_in_failed  by unknown to -",
    ];
    expect("failed sign-ins", &failed).await?;

    bob.sign_in(&BOB).await?.expect(200)?;
    let again = [
        "session_ended replaced by bob to bob",
        "sign_in  by bob to bob",
    ];
    expect("a second sign-in in one browser", &again).await?;
    bob.logout().await?.expect(204)?;
    expect("a sign-out", &["session_ended logout by bob to bob"]).await?;

    let (phone, laptop) = (system.login(&BOB).await?, system.login(&BOB).await?);
    let id = of_session(&phone, "/session/id").await?;
    let end = laptop.request(Method::DELETE, &format!("/auth/sessions/{id}"));
    end.send().await?.expect(204)?;
    let ended = [
        "sign_in  by bob to bob",
        "sign_in  by bob to bob",
        "session_ended ended_by_user by bob to bob",
    ];
    expect("an end from another session", &ended).await?;

    let stolen = laptop.copy();
    laptop.refresh().await?.expect(200)?;
    laptop.refresh().await?.expect(200)?;
    stolen.refresh().await?.expect(401)?;
    let reused = ["session_ended refresh_reused by unknown to bob"];
    expect("reuse", &reused).await?;

    for _ in 0..6 {
        system.login(&BOB).await?;
    }
    let mut evicted = vec!["sign_in  by bob to bob"; 5];
    evicted.extend([
        "session_ended evicted by bob to bob",
        "sign_in  by bob to bob",
    ]);
    expect("one more than five", &evicted).await?;
    operator(&system, &["sessions", "end", "--email", BOB.email]).await?;
    let by_operator = ["session_ended administrator by cli to bob"; 5];
    expect("an end by the operator", &by_operator).await?;

    let old = system.login(&BOB).await?;
    let typed = format!("{}\n", "wrong donkey capacitor");
    let set = ["users", "password", "--email", BOB.email];
    ensure!(typed_by_operator(&system, &set, &typed).await?.success);
    drop(old);
    let password = [
        "sign_in  by bob to bob",
        "password_changed  by cli to bob",
        "session_ended password_changed by cli to bob",
    ];
    expect("a new password", &password).await?;

    operator(
        &system,
        &["users", "grant", "--email", BOB.email, "--role", "auditor"],
    )
    .await?;
    operator(&system, &["users", "disable", "--email", BOB.email]).await?;
    operator(&system, &["users", "enable", "--email", BOB.email]).await?;
    let account = [
        "roles_changed  by cli to bob",
        "user_disabled  by cli to bob",
        "user_enabled  by cli to bob",
    ];
    expect("changes of the account", &account).await?;

    ada.post("/auth/admin/revoke-everyone").await?.expect(200)?;
    expect("an end of everyone", &["everyone_ended  by ada to -"]).await?;
    let ada = system.login(&ADA).await?;
    system.advance(Duration::from_secs(25 * 3600)).await?;
    ada.refresh().await?.expect(401)?;
    let rested = [
        "sign_in  by ada to ada",
        "session_ended idle by system to ada",
    ];
    expect("a session that rested", &rested).await?;
    Ok(())
}

#[tokio::test]
async fn refusals_of_those_who_are_signed_in_are_noted_and_strangers_write_nothing() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let bob_id = id_of(&bob).await?;
    let path = "/auth/admin/revoke-everyone";
    bob.post(path).await?.expect_problem(403, "forbidden")?;
    bob.get("/auth/admin/events")
        .await?
        .expect_problem(403, "forbidden")?;
    system
        .client()?
        .post(path)
        .await?
        .expect_problem(401, "unauthenticated")?;
    system
        .client()?
        .get("/auth/admin/events")
        .await?
        .expect_problem(401, "unauthenticated")?;
    system.advance(Duration::from_secs(11 * 60)).await?;
    ada.post(path)
        .await?
        .expect_problem(401, "step_up_required")?;

    let refused = exported(&system, &["--kind", "access_refused"]).await?;
    let details: Vec<&Value> = refused.iter().map(|event| &event["detail"]).collect();
    assert_eq!(
        details,
        [
            &json!({"reason": "role", "call": "POST /auth/admin/revoke-everyone"}),
            &json!({"reason": "role", "call": "GET /auth/admin/events"}),
            &json!({"reason": "step_up_required", "call": "POST /auth/admin/revoke-everyone"}),
        ]
    );
    assert_eq!(refused[0]["actor"], json!({"type": "user", "id": bob_id}));
    assert_eq!(refused[0]["ip"], "127.0.0.1");
    Ok(())
}

/// The whole log as text, as somebody who reads the table sees it.
async fn whole(db: &mut PgConnection) -> Result<String> {
    let rows: Vec<String> = sqlx::query_scalar("select e::text from events e")
        .fetch_all(db)
        .await?;
    Ok(rows.join("\n"))
}

#[tokio::test]
async fn no_token_no_password_and_no_address_of_a_persons_is_in_it() -> Result<()> {
    let system = System::start().await?;
    let bob = system.login(&BOB).await?;
    let mut secrets = Vec::new();
    for name in [cookie::ACCESS, cookie::REFRESH] {
        let token = bob.cookie(name).context(name)?;
        // Any third of it would be too much.
        secrets.extend(
            token
                .as_bytes()
                .chunks(24)
                .filter(|part| part.len() == 24)
                .map(<[u8]>::to_vec),
        );
    }
    for email in [BOB.email, "stranger@elsewhere.test"] {
        let wrong = json!({"email": email, "password": "a-password-in-the-wrong-field"});
        system
            .client()?
            .post_json("/auth/login", &wrong)
            .await?
            .expect(401)?;
    }
    let stolen = bob.copy();
    bob.refresh().await?.expect(200)?;
    bob.refresh().await?.expect(200)?;
    stolen.refresh().await?.expect(401)?;
    operator(
        &system,
        &["users", "grant", "--email", BOB.email, "--role", "auditor"],
    )
    .await?;

    let log = whole(&mut system.db.connect().await?).await?;
    ensure!(
        log.lines().count() > 6 && log.contains("127.0.0.1"),
        "{log}"
    );
    for word in [
        "bob@",
        "Kahn",
        "stranger",
        "elsewhere",
        "horse",
        "a-password",
    ] {
        ensure!(!log.contains(word), "{word}: {log}");
    }
    for part in &secrets {
        let part = std::str::from_utf8(part)?;
        ensure!(!log.contains(part), "a part of a token: {part}");
    }
    Ok(())
}
