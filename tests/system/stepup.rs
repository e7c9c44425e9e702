//! What a rule may ask of a request: a sign-in that is not too old, a role, a method. And which rule it is.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::system::{ADA, BOB, Method, Mode, System};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

async fn with_rules(rules: Value) -> Result<System> {
    System::builder().routes(rules).start().await
}

#[tokio::test]
async fn a_sign_in_that_is_too_old_leads_to_a_new_one() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/app/*", "access": "user"},
        {"path": "/app/safe/*", "access": "user", "max_auth_age": "5m"},
    ]))
    .await?;
    let client = system.login(&BOB).await?;
    client.navigate("/app/safe/x").await?.expect(200)?;
    system.advance(6 * MINUTE).await?;
    client.navigate("/app/").await?.expect(200)?;
    let refused = client.navigate("/app/safe/x?y=1").await?.expect(303)?;
    let to = refused.location().unwrap_or_default().to_owned();
    assert_eq!(to, "/auth/login?return_to=/app/safe/x%3Fy%3D1&prompt=login");

    // Only a password makes a sign-in younger.
    client.refresh().await?.expect(200)?;
    client.navigate("/app/safe/x?y=1").await?.expect(303)?;
    let page = client.navigate(&to).await?.expect(200)?;
    ensure!(page.text().contains("password"), "{}", page.text());
    let fields = [
        ("email", BOB.email),
        ("password", BOB.password),
        ("return_to", "/app/safe/x?y=1"),
    ];
    let back = client.submit("/auth/login", &fields).await?.expect(303)?;
    assert_eq!(back.location(), Some("/app/safe/x?y=1"));
    client.navigate("/app/safe/x?y=1").await?.expect(200)?;
    Ok(())
}

/// An origin that takes `/x.json` for `/x` in another format must not be reached by it under a wider rule.
#[tokio::test]
async fn another_format_of_a_path_falls_under_the_paths_own_rule() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/api/reports/*", "access": "user"},
        {"path": "/api/reports/export", "access": "user", "roles": ["admin"]},
        {"path": "/api/reports/export.css", "access": "public"},
    ]))
    .await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    for format in ["", ".json", ".csv", ".tar.gz", ".JSON", ".json/"] {
        let path = format!("/api/reports/export{format}");
        bob.get(&path).await?.expect_problem(403, "forbidden")?;
        ada.get(&path).await?.expect(200)?;
    }
    bob.get("/api/reports/other.json").await?.expect(200)?;
    let stranger = system.client()?;
    stranger.get("/api/reports/export.css").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_program_gets_the_challenge_of_rfc_9470() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/app/safe/*", "access": "user", "max_auth_age": "5m"},
        {"path": "/api/safe/*", "access": "user", "max_auth_age": "5m", "api": true},
    ]))
    .await?;
    let client = system.login(&BOB).await?;
    client.get("/api/safe/x").await?.expect(200)?;
    system.advance(6 * MINUTE).await?;
    for answer in [
        client.get("/api/safe/x").await?,
        client.navigate("/api/safe/x").await?,
        client.get("/app/safe/x").await?,
    ] {
        let answer = answer.expect_problem(401, "step_up_required")?;
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        for part in [
            "Bearer ",
            r#"error="insufficient_user_authentication""#,
            r#"max_age="300""#,
        ] {
            ensure!(challenge.contains(part), "{part} in {challenge}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_rule_can_speak_of_some_methods_only() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/api/*", "methods": ["GET"], "access": "public", "api": true},
        {"path": "/api/*", "methods": ["DELETE"], "access": "user", "roles": ["admin"], "api": true},
        {"path": "/api/*", "access": "user", "api": true},
    ]))
    .await?;
    let stranger = system.client()?;
    let bob = system.login(&BOB).await?;
    let ada = system.login(&ADA).await?;
    let ask = async |client: &harness::system::Client, method: Method| {
        let request = client.request(method, "/api/x").send();
        anyhow::Ok(request.await?.status())
    };
    assert_eq!(ask(&stranger, Method::GET).await?, 200);
    assert_eq!(ask(&stranger, Method::HEAD).await?, 200);
    assert_eq!(ask(&stranger, Method::POST).await?, 401);
    assert_eq!(ask(&bob, Method::PATCH).await?, 200);
    assert_eq!(ask(&bob, Method::DELETE).await?, 403);
    assert_eq!(ask(&ada, Method::DELETE).await?, 200);
    Ok(())
}

#[tokio::test]
async fn any_one_of_the_roles_is_enough() -> Result<()> {
    let system = with_rules(json!([
        {"path": "/app/*", "access": "user", "roles": ["auditor", "user"]},
        {"path": "/app/audit/*", "access": "user", "roles": ["auditor"]},
    ]))
    .await?;
    let bob = system.login(&BOB).await?;
    bob.get("/app/x").await?.expect(200)?;
    let refused = bob.get("/app/audit/x").await?;
    let refused = refused.expect_problem(403, "forbidden")?;
    let challenge = refused.header("www-authenticate").unwrap_or_default();
    ensure!(challenge.contains("insufficient_scope"), "{challenge}");
    let page = bob.navigate("/app/audit/x").await?.expect(403)?;
    ensure!(
        page.text().contains("<h1"),
        "no redirect: it would not help"
    );
    Ok(())
}

#[tokio::test]
async fn the_most_specific_rule_wins_wherever_it_stands() -> Result<()> {
    let mut rules = vec![
        json!({"path": "/*", "access": "public"}),
        json!({"path": "/app/*", "access": "user"}),
        json!({"path": "/app/admin/*", "access": "user", "roles": ["admin"]}),
        json!({"path": "/app/admin/help", "access": "public"}),
    ];
    for _ in 0..2 {
        rules.reverse();
        let system = with_rules(Value::Array(rules.clone())).await?;
        let stranger = system.client()?;
        let bob = system.login(&BOB).await?;
        for (path, for_stranger, for_bob) in [
            ("/", 200, 200),
            ("/appendix", 404, 404),
            ("/app", 401, 200),
            ("/app/", 401, 200),
            ("/app/x", 401, 200),
            ("/app/administrator", 401, 200),
            ("/app/admin", 401, 403),
            ("/app/admin/x", 401, 403),
            ("/app/admin/help", 200, 200),
            ("/app/admin/help/x", 401, 403),
        ] {
            let statuses = (
                stranger.get(path).await?.status(),
                bob.get(path).await?.status(),
            );
            assert_eq!(statuses, (for_stranger, for_bob), "{path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn rules_that_could_be_read_in_two_ways_are_refused() -> Result<()> {
    let user = |path: &str| json!({"path": path, "access": "user"});
    let with =
        |path: &str, methods: Value| json!({"path": path, "methods": methods, "access": "user"});
    for rules in [
        json!([user("/app/*"), user("/App/*")]),
        json!([
            with("/app/*", json!(["GET", "POST"])),
            with("/app/*", json!(["POST"]))
        ]),
        json!([
            with("/app/*", json!(["GET"])),
            with("/app/*", json!(["HEAD"]))
        ]),
        json!([{"path": "/*", "access": "public"}, with("/app/*", json!(["GET"]))]),
    ] {
        let system = with_rules(rules.clone()).await?;
        let answer = system.client()?.get("/").await?;
        let problem = answer.expect_problem(500, "internal")?.text();
        ensure!(problem.contains("ROUTES"), "{rules}: {problem}");
    }
    Ok(())
}

#[tokio::test]
async fn only_a_navigation_is_led_to_the_sign_in() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let ask = |accept: &'static str| {
        let request = client.request(Method::GET, "/app/").mode(Mode::Bare);
        request.header("accept", accept).send()
    };
    for page in [
        "text/html",
        "text/html,*/*;q=0.8",
        "application/xhtml+xml, */*;q=0.1",
    ] {
        assert_eq!(ask(page).await?.status(), 303, "{page}");
    }
    for data in [
        "*/*",
        "application/json",
        "application/json, text/html;q=0.9",
        "",
    ] {
        assert_eq!(ask(data).await?.status(), 401, "{data}");
    }
    let image = client.request(Method::GET, "/app/x.png");
    let image = image
        .header("sec-fetch-mode", "no-cors")
        .header("accept", "text/html");
    image.send().await?.expect_problem(401, "unauthenticated")?;
    Ok(())
}
