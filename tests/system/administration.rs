//! What administrators do over HTTP, and when it takes effect at the edge.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, Account, Answer, BOB, Client, Method, Mode, System};
use serde_json::{Value, json};
use shared::cookie;

use crate::accounts::another_administrator;
use crate::support::{operator, typed_by_operator, until_waiting};
use crate::wire::of_session;

const MINUTE: Duration = Duration::from_secs(60);

/// Two routes for editors: of one the bound is 2 s, of the other 30 s.
const ROUTES: [(&str, Duration); 2] = [
    ("/api/strict/x", Duration::from_secs(2)),
    ("/api/easy/x", Duration::from_secs(30)),
];

async fn start() -> Result<System> {
    let routes = json!([
        {"path": "/api/strict/*", "access": "user", "roles": ["editor"], "api": true, "freshness": "2s", "when_stale": "refuse"},
        {"path": "/api/easy/*", "access": "user", "roles": ["editor"], "api": true, "freshness": "30s"},
    ]);
    System::builder().routes(routes).start().await
}

/// The path of a call that is about this user.
fn path(user: &str, call: &str) -> String {
    format!("/auth/admin/users/{user}{call}")
}

async fn delete(client: &Client, path: &str) -> Result<Answer> {
    client.request(Method::DELETE, path).send().await
}

async fn set_roles(client: &Client, user: &str, roles: Value) -> Result<Answer> {
    let request = client.request(Method::PUT, &path(user, "/roles"));
    request.json(&json!({ "roles": roles })).send().await
}

/// The id of the account.
pub(crate) async fn id_of(system: &System, account: &Account) -> Result<String> {
    of_session(&system.login(account).await?, "/user/id").await
}

/// Whether the program that holds this access token, and nothing else, is let in; else why not.
async fn with_token(client: &Client, token: &str, path: &str) -> Result<Option<String>> {
    let request = client.request(Method::GET, path).mode(Mode::Bare);
    let answer = request.without_cookies().bearer(token).send().await?;
    Ok(answer.code().filter(|_| answer.status() != 200))
}

#[tokio::test]
async fn only_administrators_are_served_by_the_row_of_this_moment() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let id = of_session(&bob, "/user/id").await?;
    let calls = [
        (Method::GET, "/auth/admin/status".to_owned()),
        (Method::GET, "/auth/admin/users".to_owned()),
        (Method::GET, path(&id, "")),
        (Method::POST, "/auth/admin/users".to_owned()),
        (Method::PUT, path(&id, "/roles")),
        (Method::POST, path(&id, "/revoke")),
        (Method::POST, path(&id, "/disable")),
        (Method::POST, path(&id, "/enable")),
        (Method::POST, path(&id, "/invite")),
        (Method::DELETE, path(&id, "")),
        (Method::POST, "/auth/admin/revoke-everyone".to_owned()),
    ];
    let stranger = system.client()?;
    for (method, path) in &calls {
        let ask = async |client: &Client| client.request(method.clone(), path).send().await;
        let refused = ask(&stranger).await?;
        refused.expect_problem(401, "unauthenticated")?;
        let refused = ask(&bob).await?.expect_problem(403, "forbidden")?;
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        ensure!(
            challenge.contains(r#"error="insufficient_scope""#),
            "{challenge}"
        );
    }
    let other_site = ada.request(Method::POST, "/auth/admin/revoke-everyone");
    other_site.mode(Mode::CrossSite).send().await?.expect(403)?;

    ada.get("/auth/admin/status").await?.expect(200)?;
    another_administrator(&system).await?;
    let revoke = ["users", "revoke", "--email", ADA.email, "--role", "admin"];
    operator(&system, &revoke).await?;
    // Straight at the issuer, with the token that still says admin.
    let ada = ada.at(system.issuers[0].addr());
    let refused = ada.get("/auth/admin/status").await?;
    refused.expect_problem(403, "forbidden")?;
    Ok(())
}

#[tokio::test]
async fn what_changes_something_wants_a_sign_in_of_the_last_ten_minutes() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let bob = id_of(&system, &BOB).await?;
    system.advance(9 * MINUTE).await?;
    ada.post(&path(&bob, "/revoke")).await?.expect(200)?;
    system.advance(2 * MINUTE).await?;
    ada.get("/auth/admin/users").await?.expect(200)?;
    let change = async |path: &str, method: Method| {
        let request = ada.request(method, path).json(&json!({}));
        let refused = request
            .send()
            .await?
            .expect_problem(401, "step_up_required")?;
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        for part in [
            r#"error="insufficient_user_authentication""#,
            r#"max_age="600""#,
        ] {
            ensure!(challenge.contains(part), "{part} in {challenge}");
        }
        anyhow::Ok(())
    };
    for call in ["/revoke", "/disable", "/enable", "/invite"] {
        change(&path(&bob, call), Method::POST).await?;
    }
    change(&path(&bob, "/roles"), Method::PUT).await?;
    change(&path(&bob, ""), Method::DELETE).await?;
    change("/auth/admin/users", Method::POST).await?;
    change("/auth/admin/revoke-everyone", Method::POST).await?;

    // A refresh proves nothing; a password does.
    ada.refresh().await?.expect(200)?;
    change(&path(&bob, "/revoke"), Method::POST).await?;
    ada.sign_in(&ADA).await?.expect(200)?;
    ada.post(&path(&bob, "/revoke")).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_account_is_made_shown_and_taken_once() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let new = json!({"email": " Eve@example.test ", "name": " Eve ", "roles": ["user", "editor", "user"]});
    let made = ada
        .post_json("/auth/admin/users", &new)
        .await?
        .expect(201)?;
    let eve = made.json()?;
    let id = eve["id"].as_str().context("id")?;
    assert_eq!(made.location(), Some(path(id, "").as_str()));
    assert_eq!(eve["email"], "Eve@example.test");
    assert_eq!(
        (&eve["name"], &eve["disabled_at"]),
        (&json!("Eve"), &Value::Null)
    );
    assert_eq!(eve["roles"], json!(["editor", "user"]));

    let shown = ada.get(&path(id, "")).await?.expect(200)?.json()?;
    assert_eq!(shown["email"], eve["email"]);
    assert_eq!(shown["has_password"], false);
    assert_eq!(
        (&shown["sessions"], &shown["identities"]),
        (&json!([]), &json!([]))
    );
    let bob = system.login(&BOB).await?;
    let shown = ada
        .get(&path(&of_session(&bob, "/user/id").await?, ""))
        .await?;
    let shown = shown.expect(200)?.json()?;
    assert_eq!(shown["has_password"], true);
    let session = of_session(&bob, "/session/id").await?;
    assert_eq!(shown["sessions"][0]["id"], json!(session));

    let again = json!({"email": "EVE@example.test", "name": "Another"});
    let taken = ada.post_json("/auth/admin/users", &again).await?;
    let taken = taken.expect_problem(409, "conflict")?.text();
    ensure!(taken.contains("email "), "{taken}");
    ada.get(&path("AAAAAAAAAAAAAAAAAAAAAA", ""))
        .await?
        .expect_problem(404, "not_found")?;
    Ok(())
}

#[tokio::test]
async fn bad_input_is_answered_with_the_name_of_the_field() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let bob = id_of(&system, &BOB).await?;
    let names = |answer: Answer, field: &str| {
        let detail = answer.expect_problem(400, "invalid_request")?.json()?;
        let detail = detail["detail"].as_str().unwrap_or_default().to_owned();
        ensure!(
            detail.starts_with(&format!("{field} ")),
            "{field}: {detail}"
        );
        Ok(())
    };
    for (body, field) in [
        (json!({"name": "X"}), "email"),
        (json!({"email": "x", "name": "X"}), "email"),
        (json!({"email": "a b@x", "name": "X"}), "email"),
        (json!({"email": 7, "name": "X"}), "email"),
        (json!({"email": "x@y"}), "name"),
        (json!({"email": "x@y", "name": " "}), "name"),
        (json!({"email": "x@y", "name": "a\nb"}), "name"),
        (
            json!({"email": "x@y", "name": "X", "roles": "admin"}),
            "roles",
        ),
        (
            json!({"email": "x@y", "name": "X", "roles": ["Admin"]}),
            "roles",
        ),
        (
            json!({"email": "x@y", "name": "X", "password": "p"}),
            "password",
        ),
    ] {
        names(ada.post_json("/auth/admin/users", &body).await?, field)?;
    }
    names(set_roles(&ada, &bob, json!(["a,b"])).await?, "roles")?;
    let many: Vec<String> = (0..31).map(|n| format!("role-{n}")).collect();
    names(set_roles(&ada, &bob, json!(many)).await?, "roles")?;
    names(ada.post(&path("x", "/revoke")).await?, "id")?;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=AQAAAAAAAAAAAAAAAAAAAAAAA", "cursor"),
        (&*format!("q={}", "x".repeat(321)), "q"),
        ("q=a&q=b", "q"),
        ("sort=name", "sort"),
    ] {
        let answer = ada.get(&format!("/auth/admin/users?{query}")).await?;
        names(answer, field).with_context(|| query.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn as_many_roles_as_allowed_fit_into_a_cookie() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let bob = id_of(&system, &BOB).await?;
    let roles: Vec<String> = (0..30)
        .map(|n| format!("{n:02}{}", "x".repeat(62)))
        .collect();
    set_roles(&ada, &bob, json!(roles)).await?.expect(200)?;
    let bob = system.login(&BOB).await?;
    let session = bob.get("/auth/session").await?.expect(200)?.json()?;
    assert_eq!(session["user"]["roles"], json!(roles));
    Ok(())
}

#[tokio::test]
async fn a_role_opens_and_closes_routes_within_their_bounds_without_a_new_sign_in() -> Result<()> {
    let system = start().await?;
    let ada = system.login(&ADA).await?;
    for (route, bound) in ROUTES {
        let bob = system.login(&BOB).await?;
        let id = of_session(&bob, "/user/id").await?;
        let session = of_session(&bob, "/session/id").await?;
        bob.get(route).await?.expect_problem(403, "forbidden")?;

        let changed = set_roles(&ada, &id, json!(["user", "editor"])).await?;
        assert_eq!(
            changed.expect(200)?.json()?["roles"],
            json!(["editor", "user"])
        );
        system.advance(bound).await?;
        bob.get(route).await?.expect(200).context(route)?;

        let access = bob.cookie(cookie::ACCESS).context("access cookie")?;
        set_roles(&ada, &id, json!(["user"])).await?.expect(200)?;
        system.advance(bound).await?;
        let refused = with_token(&bob, &access, route).await?;
        assert_eq!(refused.as_deref(), Some("claims_stale"), "{route}");
        bob.get(route).await?.expect_problem(403, "forbidden")?;
        assert_eq!(
            of_session(&bob, "/session/id").await?,
            session,
            "the same session"
        );
    }
    Ok(())
}

#[tokio::test]
async fn whoever_is_disabled_ended_or_deleted_is_out_within_the_routes_bound() -> Result<()> {
    let system = start().await?;
    let ada = system.login(&ADA).await?;
    let bob = id_of(&system, &BOB).await?;
    set_roles(&ada, &bob, json!(["editor"]))
        .await?
        .expect(200)?;
    for act in ["/revoke", "/disable", "everyone", ""] {
        for (route, bound) in ROUTES {
            let client = if act.is_empty() {
                // Whoever is deleted is so once: the other route is asked with the same token.
                restored(&system, &ada).await?
            } else {
                system.login(&BOB).await?
            };
            let id = of_session(&client, "/user/id").await?;
            client.get(route).await?.expect(200).context(route)?;
            let access = client.cookie(cookie::ACCESS).context("access cookie")?;
            match act {
                "everyone" => {
                    let everyone = ada.post("/auth/admin/revoke-everyone").await?;
                    let ended = everyone.expect(200)?.json()?["ended"].as_u64();
                    ensure!(ended >= Some(2), "{ended:?}");
                    ada.sign_in(&ADA).await?.expect(200)?;
                }
                "" => {
                    delete(&ada, &path(&id, "")).await?.expect(204)?;
                    ada.get(&path(&id, ""))
                        .await?
                        .expect_problem(404, "not_found")?;
                }
                call => {
                    ada.post(&path(&id, call)).await?.expect(200)?;
                }
            }
            system.advance(bound).await?;
            let refused = with_token(&client, &access, route).await?;
            let refused = refused.unwrap_or_default();
            // Of a deleted or disabled user both are announced: that the session has ended, and that the claims are stale.
            ensure!(
                ["session_ended", "claims_stale"].contains(&refused.as_str()),
                "{act} {route}: {refused}"
            );
            client
                .get(route)
                .await?
                .expect_problem(401, "session_ended")?;
            if act == "/disable" {
                client
                    .sign_in(&BOB)
                    .await?
                    .expect_problem(401, "unauthenticated")?;
                ada.post(&path(&id, "/enable")).await?.expect(200)?;
            }
        }
    }
    Ok(())
}

/// Somebody new who is an editor and signed in.
async fn restored(system: &System, ada: &Client) -> Result<Client> {
    let new = json!({"email": "eve@example.test", "name": "Eve", "roles": ["editor"]});
    ada.post_json("/auth/admin/users", &new)
        .await?
        .expect(201)?;
    let set = ["users", "password", "--email", "eve@example.test"];
    let ran = typed_by_operator(system, &set, BOB.password).await?;
    ensure!(ran.success, "{}", ran.printed);
    let eve = system.client()?;
    let credentials = json!({"email": "eve@example.test", "password": BOB.password});
    eve.post_json("/auth/login", &credentials)
        .await?
        .expect(200)?;
    Ok(eve)
}

#[tokio::test]
async fn the_last_enabled_administrator_stays_by_http_and_by_the_command_line() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let id = of_session(&ada, "/user/id").await?;
    let bob = id_of(&system, &BOB).await?;
    let refused = async || {
        for answer in [
            set_roles(&ada, &id, json!(["user"])).await?,
            ada.post(&path(&id, "/disable")).await?,
            delete(&ada, &path(&id, "")).await?,
        ] {
            let answer = answer.expect_problem(409, "conflict")?.text();
            ensure!(answer.contains("last enabled administrator"), "{answer}");
        }
        for command in [
            &["users", "revoke", "--role", "admin"][..],
            &["users", "disable"],
            &["users", "delete"],
        ] {
            let command = [command, &["--email", ADA.email]].concat();
            let ran = typed_by_operator(&system, &command, "").await?;
            ensure!(!ran.success, "{command:?}");
            ensure!(
                ran.printed.contains("last enabled administrator"),
                "{}",
                ran.printed
            );
        }
        anyhow::Ok(())
    };
    refused().await?;
    set_roles(&ada, &id, json!(["admin", "editor"]))
        .await?
        .expect(200)?;
    // One who is disabled does not count.
    set_roles(&ada, &bob, json!(["admin"])).await?.expect(200)?;
    ada.post(&path(&bob, "/disable")).await?.expect(200)?;
    refused().await?;
    ada.post(&path(&bob, "/enable")).await?.expect(200)?;
    set_roles(&ada, &id, json!(["user"])).await?.expect(200)?;
    ada.get("/auth/admin/status")
        .await?
        .expect_problem(403, "forbidden")?;
    Ok(())
}

/// Both have asked before either is served: the first to come under the lock demotes the second, who is no administrator then.
#[tokio::test]
async fn of_two_administrators_who_demote_each_other_at_once_one_stays() -> Result<()> {
    let system = System::builder().issuers(2).start().await?;
    let (ada, bob) = (id_of(&system, &ADA).await?, id_of(&system, &BOB).await?);
    another_administrator(&system).await?;
    let mut db = system.db.connect().await?;
    for attack in ["roles", "disable", "delete"] {
        let (first, second) = (system.issuer_client(0)?, system.issuer_client(1)?);
        first.sign_in(&ADA).await?.expect(200)?;
        second.sign_in(&BOB).await?.expect(200)?;
        sqlx::query("begin").execute(&mut db).await?;
        sqlx::query("select from users for update")
            .execute(&mut db)
            .await?;
        let strike = |client: Client, victim: String| {
            tokio::spawn(async move {
                match attack {
                    "roles" => set_roles(&client, &victim, json!(["user"])).await,
                    "disable" => client.post(&path(&victim, "/disable")).await,
                    _ => delete(&client, &path(&victim, "")).await,
                }
            })
        };
        let strikes = [strike(first, bob.clone()), strike(second, ada.clone())];
        until_waiting(&system, 2).await?;
        sqlx::query("commit").execute(&mut db).await?;
        let mut statuses = Vec::new();
        for strike in strikes {
            statuses.push(strike.await??.status());
        }
        statuses.sort_unstable();
        ensure!(
            matches!(statuses[..], [200 | 204, 401 | 403]),
            "{attack}: {statuses:?}"
        );
        let left: i64 = sqlx::query_scalar(
            "select count(*) from users where 'admin' = any (roles) and disabled_at is null",
        )
        .fetch_one(&mut db)
        .await?;
        assert_eq!(left, 1, "{attack}");
        sqlx::query("update users set roles = '{admin}', disabled_at = null")
            .execute(&mut db)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_a_deleted_user_the_log_keeps_the_id_and_nothing_else_is_left() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let id = of_session(&bob, "/user/id").await?;
    ada.post(&path(&id, "/invite")).await?.expect(200)?;
    let mut db = system.db.connect().await?;
    sqlx::query(
        "insert into identities (issuer, subject, user_id, created_at)
         select 'p', 's', id, now() from users where email = $1",
    )
    .bind(BOB.email)
    .execute(&mut db)
    .await?;
    delete(&ada, &path(&id, "")).await?.expect(204)?;
    for table in ["sessions", "credentials", "identities", "invitations"] {
        let count = format!(
            "select count(*) from {table} where user_id not in (select id from users where email = 'ada@example.test')"
        );
        let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .fetch_one(&mut db)
            .await?;
        assert_eq!(left, 0, "{table}");
    }
    let log: Vec<(String, String)> = sqlx::query_as(
        "select kind, row_to_json(e)::text from events e where user_id not in (select id from users) order by number",
    )
    .fetch_all(&mut db)
    .await?;
    let kinds: Vec<&str> = log.iter().map(|(kind, _)| kind.as_str()).collect();
    for kind in [
        "user_created",
        "sign_in",
        "invitation_made",
        "session_ended",
        "user_deleted",
    ] {
        ensure!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    for (kind, line) in &log {
        for trace in ["bob", "Bob", "Kahn"] {
            ensure!(!line.contains(trace), "{line}");
        }
        // The administrator's own address may stand where they acted.
        if kind == "sign_in" {
            ensure!(
                !line.contains("127.0.0.1") && !line.contains("Mozilla"),
                "{line}"
            );
        }
    }
    // The address is free again.
    let new = json!({"email": BOB.email, "name": "Another Bob"});
    let made = ada
        .post_json("/auth/admin/users", &new)
        .await?
        .expect(201)?;
    assert_ne!(made.json()?["id"], json!(id));
    Ok(())
}

#[tokio::test]
async fn each_act_is_an_event() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let new = json!({"email": "eve@example.test", "name": "Eve"});
    let made = ada
        .post_json("/auth/admin/users", &new)
        .await?
        .expect(201)?
        .json()?;
    let id = made["id"].as_str().context("id")?;
    set_roles(&ada, id, json!(["editor"])).await?.expect(200)?;
    ada.post(&path(id, "/invite")).await?.expect(200)?;
    for call in ["/disable", "/disable", "/enable", "/enable"] {
        ada.post(&path(id, call)).await?.expect(200)?;
    }
    delete(&ada, &path(id, "")).await?.expect(204)?;
    let mut db = system.db.connect().await?;
    let kinds: Vec<String> = sqlx::query_scalar(
        "select kind from events where user_id not in (select id from users) order by number",
    )
    .fetch_all(&mut db)
    .await?;
    let expected = [
        "user_created",
        "roles_changed",
        "invitation_made",
        "user_disabled",
        "user_enabled",
        "user_deleted",
    ];
    assert_eq!(kinds, expected, "what changes nothing is none");
    Ok(())
}

#[tokio::test]
async fn the_status_counts_what_there_is() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let status = ada.get("/auth/admin/status").await?.expect(200)?.json()?;
    let users = json!({"total": 2, "disabled": 0, "administrators": 1});
    assert_eq!(status["users"], users);
    assert_eq!(status["sessions"]["live"], 2);
    assert_eq!(status["publishes_to_kv"], true);
    ensure!(status["signing_key"]["kid"].is_string(), "{status}");
    let id = of_session(&bob, "/user/id").await?;
    ada.post(&path(&id, "/disable")).await?.expect(200)?;
    let status = ada.get("/auth/admin/status").await?.expect(200)?.json()?;
    assert_eq!(status["users"]["disabled"], 1);
    assert_eq!(status["sessions"]["live"], 1);
    ensure!(
        status["revocations"]["live"].as_u64() >= Some(1),
        "{status}"
    );
    Ok(())
}

/// With a body, which means nothing with GET (RFC 9110 §9.3.1).
#[tokio::test]
async fn a_call_that_there_is_not_is_told_so() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let bob = id_of(&system, &BOB).await?;
    for path in ["/auth/account/password", path(&bob, "/roles").as_str()] {
        for _ in 0..3 {
            let request = ada.request(Method::GET, path).json(&json!({"roles": []}));
            request
                .send()
                .await?
                .expect_problem(405, "invalid_request")?;
        }
    }
    Ok(())
}
