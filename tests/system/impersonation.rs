//! Acting as a user, for support: what it opens, what it does not, who sees it, and how it ends.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::examples::{ExampleOrigin, Language};
use harness::ports;
use harness::system::{ADA, Account, Answer, BOB, Client, Method, Mode, System};
use serde_json::{Value, json};
use shared::cookie;

use crate::events::{exported, id_of};
use crate::support::{access_token, operator, typed_by_operator, until_published};
use crate::wire::of_session;

const JWT_SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
const MINUTE: Duration = Duration::from_secs(60);
/// The `freshness` of the rules below.
const BOUND: Duration = Duration::from_secs(2);

async fn grant(system: &System, account: &Account, role: &str) -> Result<()> {
    operator(
        system,
        &["users", "grant", "--email", account.email, "--role", role],
    )
    .await?;
    Ok(())
}

/// A stack in which Ada may act as others.
async fn stack() -> Result<System> {
    let rules = json!([
        {"path": "/app/*", "access": "user"},
        {"path": "/api/*", "access": "user", "api": true, "freshness": "2s", "when_stale": "refuse"},
        {"path": "/api/transfer", "access": "user", "api": true, "max_auth_age": "365d"},
        {"path": "/admin/*", "access": "user", "roles": ["admin"]},
    ]);
    let system = System::builder().setting("JWT_SECRET", JWT_SECRET);
    let system = system.routes(rules).start().await?;
    grant(&system, &ADA, "impersonate").await?;
    Ok(system)
}

async fn impersonate(client: &Client, user: &str) -> Result<Answer> {
    client
        .post(&format!("/auth/admin/users/{user}/impersonate"))
        .await
}

/// Ada in a browser in which she acts as Bob; her id and his.
async fn as_bob(system: &System) -> Result<(Client, String, String)> {
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let (ada_id, bob_id) = (id_of(&ada).await?, id_of(&bob).await?);
    bob.logout().await?.expect(204)?;
    impersonate(&ada, &bob_id).await?.expect(200)?;
    Ok((ada, ada_id, bob_id))
}

#[tokio::test]
async fn the_origin_the_user_and_the_log_learn_who_is_behind_it() -> Result<()> {
    let system = stack().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let (ada_id, bob_id) = (id_of(&ada).await?, id_of(&bob).await?);
    let hers = of_session(&ada, "/session/id").await?;
    // Somebody who acts themselves is nobody's actor, whatever they say.
    let plain = ada
        .request(Method::GET, "/api/x")
        .header("portcullis-actor", &bob_id);
    let received = plain.send().await?.expect(200)?.received()?;
    assert_eq!(received.header("portcullis-actor"), None);
    assert_eq!(access_token(&system, &ada)?.claims().act, None);

    let answer = impersonate(&ada, &bob_id).await?.expect(200)?;
    let told = answer.json()?;
    assert_eq!(told["user"]["id"], bob_id);
    assert_eq!(told["session"]["actor"], ada_id);
    let token = access_token(&system, &ada)?;
    let claims = token.claims();
    assert_eq!(claims.sub.to_string(), bob_id);
    assert_eq!(
        claims.act.map(|act| act.sub.to_string()),
        Some(ada_id.clone())
    );
    assert_eq!(claims.roles, ["user"]);

    let received = ada.get("/api/x").await?.expect(200)?.received()?;
    assert_eq!(received.header("portcullis-user"), Some(bob_id.as_str()));
    assert_eq!(received.header("portcullis-actor"), Some(ada_id.as_str()));
    assert_eq!(received.header("portcullis-roles"), Some("user"));
    ada.get("/admin/x")
        .await?
        .expect_problem(403, "forbidden")?;
    let session = ada.get("/auth/session").await?.expect(200)?.json()?;
    assert_eq!(session["session"]["actor"], ada_id);

    let sessions = bob.get("/auth/sessions").await?.expect(200)?.json()?;
    let sessions = sessions.as_array().context("a list")?.clone();
    let actors: Vec<&Value> = sessions.iter().map(|session| &session["actor"]).collect();
    assert_eq!(actors, [&json!(ada_id), &Value::Null], "the newest first");
    let theirs = sessions[0]["id"].as_str().context("id")?.to_owned();

    // The user ends it, as any session of theirs.
    let end = bob.request(Method::DELETE, &format!("/auth/sessions/{theirs}"));
    end.send().await?.expect(204)?;
    until_published(&system).await?;
    system.advance(BOUND).await?;
    ada.get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;

    let events = exported(&system, &["--actor", &ada_id]).await?;
    let told: Vec<(&Value, &Value, &Value)> = events
        .iter()
        .map(|event| (&event["kind"], &event["user"], &event["session"]))
        .collect();
    let (hers, theirs) = (json!(hers), json!(theirs));
    let expected = [
        ("sign_in", &ada_id, &hers),
        ("session_ended", &ada_id, &hers),
        ("impersonation_started", &bob_id, &theirs),
    ];
    let expected = expected.map(|(kind, user, session)| (json!(kind), json!(user), session));
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, user, session)| (kind, user, *session))
        .collect();
    assert_eq!(told, expected);
    Ok(())
}

#[tokio::test]
async fn it_has_no_refresh_token_and_is_over_after_thirty_minutes() -> Result<()> {
    let system = stack().await?;
    let ada = system.login(&ADA).await?;
    let before = ada.copy();
    let bob_id = id_of(&system.login(&BOB).await?).await?;
    let answer = impersonate(&ada, &bob_id).await?.expect(200)?;
    let cookies = answer.headers_named("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    ensure!(
        cookies[0].starts_with(cookie::ACCESS) && cookies[0].contains("Max-Age=1800;"),
        "{cookies:?}"
    );
    ensure!(
        cookies[1].starts_with(cookie::REFRESH) && cookies[1].contains("Max-Age=0"),
        "{cookies:?}"
    );
    assert_eq!(ada.cookies().len(), 1);
    let claims = access_token(&system, &ada)?;
    let claims = claims.claims();
    assert_eq!(claims.exp.since(claims.iat), 30 * MINUTE);
    ada.refresh()
        .await?
        .expect_problem(401, "unauthenticated")?;
    // Her own session made way, and does not come back with the cookie that it had.
    before
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;

    system.advance(29 * MINUTE).await?;
    ada.get("/api/x").await?.expect(200)?;
    system.advance(MINUTE).await?;
    ada.get("/api/x")
        .await?
        .expect_problem(401, "unauthenticated")?;
    let navigation = ada.navigate("/app/").await?.expect(303)?;
    ensure!(
        navigation
            .location()
            .is_some_and(|to| to.starts_with("/auth/login"))
    );
    Ok(())
}

#[tokio::test]
async fn it_makes_no_sensitive_call() -> Result<()> {
    let system = stack().await?;
    let (ada, ada_id, bob_id) = as_bob(&system).await?;
    let bob = system.login(&BOB).await?;
    let own = of_session(&bob, "/session/id").await?;

    ada.get("/api/x").await?.expect(200)?;
    ada.get("/api/transfer")
        .await?
        .expect_problem(401, "step_up_required")?;
    bob.get("/api/transfer").await?.expect(200)?;
    ada.post("/auth/sessions/revoke-others")
        .await?
        .expect_problem(403, "forbidden")?;
    let end = ada.request(Method::DELETE, &format!("/auth/sessions/{own}"));
    end.send().await?.expect_problem(403, "forbidden")?;
    for (method, path) in [
        (Method::GET, "/auth/admin/status".to_owned()),
        (Method::GET, "/auth/admin/events".to_owned()),
        (Method::POST, "/auth/admin/revoke-everyone".to_owned()),
        (
            Method::POST,
            format!("/auth/admin/users/{bob_id}/impersonate"),
        ),
    ] {
        let answer = ada.request(method, &path).send().await?;
        answer.expect_problem(403, "forbidden")?;
    }
    let new = json!({"current": BOB.password, "new": "wrong donkey capacitor"});
    let change = ada.post_json("/auth/account/password", &new).await?;
    change.expect_problem(403, "forbidden")?;
    bob.get("/auth/session").await?.expect(200)?;
    let refused = exported(&system, &["--kind", "access_refused"]).await?;
    assert_eq!(refused.len(), 7);
    for event in &refused {
        assert_eq!(event["detail"]["reason"], "impersonated");
        assert_eq!(event["actor"]["id"], ada_id);
        assert_eq!(event["user"], bob_id);
    }

    // What it may end is itself, either way.
    let theirs = of_session(&ada, "/session/id").await?;
    let end = ada.request(Method::DELETE, &format!("/auth/sessions/{theirs}"));
    end.send().await?.expect(204)?;
    ada.sign_in(&ADA).await?.expect(200)?;
    impersonate(&ada, &bob_id).await?.expect(200)?;
    ada.logout().await?.expect(204)?;
    ada.get("/auth/session")
        .await?
        .expect_problem(401, "unauthenticated")?;
    bob.get("/auth/session").await?.expect(200)?;
    let ended = exported(&system, &["--kind", "session_ended", "--user", &bob_id]).await?;
    let last = ended.last().context("an end")?;
    assert_eq!(last["detail"]["reason"], "logout");
    assert_eq!(last["actor"]["id"], ada_id);
    Ok(())
}

#[tokio::test]
async fn only_an_administrator_with_the_role_and_a_young_sign_in_acts_as_others() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let (ada_id, bob_id) = (id_of(&ada).await?, id_of(&bob).await?);
    impersonate(&ada, &bob_id)
        .await?
        .expect_problem(403, "forbidden")?;
    grant(&system, &BOB, "impersonate").await?;
    impersonate(&bob, &ada_id)
        .await?
        .expect_problem(403, "forbidden")?;
    system
        .client()?
        .post(&format!("/auth/admin/users/{bob_id}/impersonate"))
        .await?
        .expect_problem(401, "unauthenticated")?;

    grant(&system, &ADA, "impersonate").await?;
    // Who may act as others, or administers, is nobody whom others act as.
    for user in [&ada_id, &bob_id] {
        impersonate(&ada, user)
            .await?
            .expect_problem(403, "forbidden")?;
    }
    operator(
        &system,
        &[
            "users",
            "revoke",
            "--email",
            BOB.email,
            "--role",
            "impersonate",
        ],
    )
    .await?;
    let nobody = impersonate(&ada, "AAAAAAAAAAAAAAAAAAAAAA").await?;
    nobody.expect_problem(404, "not_found")?;
    for bad in [
        "bob",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAB",
        "%7e",
    ] {
        let answer = impersonate(&ada, bad).await?;
        let problem = answer.expect_problem(400, "invalid_request")?.json()?;
        ensure!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.starts_with("id ")),
            "{problem}"
        );
    }
    let path = format!("/auth/admin/users/{bob_id}/impersonate");
    let elsewhere = ada.request(Method::POST, &path).mode(Mode::CrossSite);
    elsewhere.send().await?.expect(403)?;
    operator(&system, &["users", "disable", "--email", BOB.email]).await?;
    impersonate(&ada, &bob_id)
        .await?
        .expect_problem(409, "conflict")?;
    operator(&system, &["users", "enable", "--email", BOB.email]).await?;
    let old = ada.copy();
    system.advance(10 * MINUTE + Duration::from_secs(1)).await?;
    impersonate(&old, &bob_id)
        .await?
        .expect_problem(401, "step_up_required")?;
    ada.refresh().await?.expect(200)?;
    impersonate(&ada, &bob_id)
        .await?
        .expect_problem(401, "step_up_required")?;
    ada.sign_in(&ADA).await?.expect(200)?;
    impersonate(&ada, &bob_id).await?.expect(200)?;

    let started = exported(&system, &["--kind", "impersonation_started"]).await?;
    assert_eq!(started.len(), 1);
    let refused = exported(&system, &["--kind", "access_refused"]).await?;
    let reasons: Vec<&str> = refused
        .iter()
        .filter_map(|event| event["detail"]["reason"].as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "role",
            "role",
            "privileged_user",
            "privileged_user",
            "step_up_required",
            "step_up_required"
        ]
    );
    assert_eq!(
        refused[0]["user"], bob_id,
        "to whom it would have been done"
    );
    Ok(())
}

#[tokio::test]
async fn it_ends_with_the_rights_of_either_within_the_bound() -> Result<()> {
    let ways: [&[&str]; 6] = [
        &["users", "disable", "--email", ADA.email],
        &[
            "users",
            "revoke",
            "--email",
            ADA.email,
            "--role",
            "impersonate",
        ],
        &["users", "revoke", "--email", ADA.email, "--role", "admin"],
        &["sessions", "end", "--email", ADA.email],
        &["users", "disable", "--email", BOB.email],
        &["users", "grant", "--email", BOB.email, "--role", "admin"],
    ];
    let system = stack().await?;
    // Somebody must be left who administers.
    let create = [
        "users",
        "create",
        "--email",
        "carol@example.test",
        "--name",
        "Carol",
        "--role",
        "admin",
    ];
    let typed = format!("{}\n", ADA.password);
    ensure!(typed_by_operator(&system, &create, &typed).await?.success);
    for way in ways {
        let (ada, _, bob_id) = as_bob(&system).await?;
        ada.get("/api/x").await?.expect(200)?;
        let theirs = of_session(&ada, "/session/id").await?;
        operator(&system, way).await?;
        ada.get("/auth/session")
            .await?
            .expect_problem(401, "session_ended")?;
        until_published(&system).await?;
        system.advance(BOUND).await?;
        ada.get("/api/x")
            .await?
            .expect_problem(401, "session_ended")?;
        let ended = exported(&system, &["--kind", "session_ended", "--user", &bob_id]).await?;
        let ended = ended.iter().find(|event| event["session"] == *theirs);
        let ended = ended.with_context(|| format!("{way:?}: no event"))?;
        assert_eq!(ended["actor"]["type"], "cli", "{way:?}");
        for account in [ADA, BOB] {
            operator(&system, &["users", "enable", "--email", account.email]).await?;
        }
        grant(&system, &ADA, "admin").await?;
        grant(&system, &ADA, "impersonate").await?;
        operator(
            &system,
            &["users", "revoke", "--email", BOB.email, "--role", "admin"],
        )
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_takes_no_place_from_the_user_and_is_one_at_a_time() -> Result<()> {
    let system = stack().await?;
    let mut own = Vec::new();
    for _ in 0..5 {
        own.push(system.login(&BOB).await?);
    }
    let bob_id = id_of(&own[0]).await?;
    let (one, other) = (system.login(&ADA).await?, system.login(&ADA).await?);
    impersonate(&one, &bob_id).await?.expect(200)?;
    one.get("/auth/session").await?.expect(200)?;
    impersonate(&other, &bob_id).await?.expect(200)?;
    one.get("/auth/session")
        .await?
        .expect_problem(401, "session_ended")?;
    for client in &own {
        client.get("/auth/session").await?.expect(200)?;
    }
    // One more of the user's own pushes out the oldest of their own.
    system.login(&BOB).await?;
    other.get("/auth/session").await?.expect(200)?;
    own[0]
        .get("/auth/session")
        .await?
        .expect_problem(401, "session_ended")?;
    own[1].get("/auth/session").await?.expect(200)?;
    Ok(())
}

/// Two who change the same users at once neither wait for each other nor leave a session that nobody may have.
#[tokio::test]
async fn a_race_with_the_end_of_the_rights_leaves_nothing() -> Result<()> {
    let system = stack().await?;
    let bob_id = id_of(&system.login(&BOB).await?).await?;
    for _ in 0..4 {
        let clients = [
            system.login(&ADA).await?,
            system.login(&ADA).await?,
            system.login(&ADA).await?,
        ];
        let revoke = [
            "users",
            "revoke",
            "--email",
            ADA.email,
            "--role",
            "impersonate",
        ];
        let (revoked, a, b, c) = tokio::join!(
            operator(&system, &revoke),
            impersonate(&clients[0], &bob_id),
            impersonate(&clients[1], &bob_id),
            impersonate(&clients[2], &bob_id),
        );
        revoked?;
        for answer in [a?, b?, c?] {
            ensure!([200, 403].contains(&answer.status()), "{}", answer.text());
        }
        let mut db = system.db.connect().await?;
        let left: i64 = sqlx::query_scalar(
            "select count(*) from sessions where actor_id is not null and ended_at is null",
        )
        .fetch_one(&mut db)
        .await?;
        assert_eq!(left, 0);
        grant(&system, &ADA, "impersonate").await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_example_origins_take_the_assertion_of_such_a_session() -> Result<()> {
    const ORIGIN_SECRET: &str = "tT9wXc4mQz7kLp2vNb6yRf3sHd8gJa5e";
    for language in [Language::Rust, Language::JavaScript, Language::Python] {
        let port = ports::free()?;
        let system = System::builder()
            .edge_setting("ORIGIN_URL", &format!("http://127.0.0.1:{port}"))
            .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
            .start()
            .await?;
        let _origin =
            ExampleOrigin::start(language, port, system.public_url(), ORIGIN_SECRET).await?;
        grant(&system, &ADA, "impersonate").await?;
        let (ada, _, bob_id) = as_bob(&system).await?;
        let told = ada.get("/api/x").await?.expect(200)?.json()?;
        assert_eq!(told["sub"], bob_id, "{language:?}");
    }
    Ok(())
}
