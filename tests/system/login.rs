//! Signing in: what is asked, what is answered, and what a stranger does not learn.

use anyhow::{Context, Result, ensure};
use harness::system::{ADA, BOB, Method, Mode, System};
use serde_json::json;
use shared::cookie;

#[tokio::test]
async fn json_gets_the_user_the_session_and_two_cookies() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let credentials = json!({"email": ADA.email, "password": ADA.password});
    let answer = client
        .post_json("/auth/login", &credentials)
        .await?
        .expect(200)?;

    let body = answer.json()?;
    assert_eq!(body["user"]["email"], ADA.email);
    assert_eq!(body["user"]["roles"], json!(["admin", "user"]));
    for text in [
        "/session/id",
        "/session/created_at",
        "/session/expires_at",
        "/access_expires_at",
        "/user/id",
    ] {
        ensure!(
            body.pointer(text).is_some_and(|value| !value.is_null()),
            "{text} in {body}"
        );
    }
    let cookies = answer.headers_named("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for (name, max_age) in [(cookie::ACCESS, 900), (cookie::REFRESH, 7 * 24 * 3600)] {
        let set = cookies
            .iter()
            .find(|set| set.starts_with(name))
            .context(name)?;
        for attribute in [
            "Secure",
            "HttpOnly",
            "Path=/",
            "SameSite=Lax",
            &format!("Max-Age={max_age}"),
        ] {
            ensure!(
                set.split("; ").any(|part| part == attribute),
                "{attribute} in {set}"
            );
        }
        ensure!(
            !set.contains("Domain") && set.len() < cookie::MAX_BYTES,
            "{set}"
        );
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let session = client.get("/auth/session").await?.expect(200)?.json()?;
    assert_eq!(session["session"]["id"], body["session"]["id"]);
    assert_eq!(session["user"], body["user"]);
    Ok(())
}

#[tokio::test]
async fn a_form_leads_back_to_where_the_user_wanted_to_go() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let refused = client
        .navigate("/app/report?month=5&x=%26")
        .await?
        .expect(303)?;
    let to = refused.location().context("location")?.to_owned();
    assert_eq!(
        to,
        "/auth/login?return_to=/app/report%3Fmonth%3D5%26x%3D%2526"
    );

    let page = client.navigate(&to).await?.expect(200)?;
    ensure!(
        page.text().contains("<form method=\"post\">"),
        "the form is sent to the page's own URL: {}",
        page.text()
    );
    let policy = page
        .header("content-security-policy")
        .context("content-security-policy")?;
    ensure!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));

    let fields = [("email", BOB.email), ("password", BOB.password)];
    let answer = client.submit(&to, &fields).await?.expect(303)?;
    assert_eq!(answer.location(), Some("/app/report?month=5&x=%26"));
    let received = client
        .navigate("/app/report?month=5&x=%26")
        .await?
        .expect(200)?;
    ensure!(
        received.text().contains(BOB.roles[0]),
        "the origin's page says who it is"
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_look_the_same() -> Result<()> {
    let system = System::start().await?;
    let attempt = async |email: &str, password: &str| {
        let client = system.client()?;
        let answer = client
            .post_json(
                "/auth/login",
                &json!({"email": email, "password": password}),
            )
            .await?;
        ensure!(client.cookies().is_empty(), "no cookie is set");
        let headers: Vec<_> = ["content-type", "cache-control"]
            .map(|name| answer.header(name).map(str::to_owned))
            .into();
        Ok((answer.status(), answer.text(), headers))
    };
    let wrong = attempt(ADA.email, "wrong horse").await?;
    assert_eq!(wrong.0, 401);
    assert_eq!(attempt("nobody@example.test", ADA.password).await?, wrong);
    assert_eq!(
        attempt("nobody@example.test", "").await?.0,
        attempt(ADA.email, "").await?.0
    );
    Ok(())
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let malformed = [
        r#"{"email":"ada@example.test"}"#,
        "{",
        "[]",
        r#"{"email":1,"password":2}"#,
    ];
    for body in malformed {
        let request = client.request(Method::POST, "/auth/login");
        let request = request
            .header("content-type", "application/json")
            .body(body);
        request
            .send()
            .await?
            .expect_problem(400, "invalid_request")?;
    }
    ensure!(client.cookies().is_empty());
    Ok(())
}

#[tokio::test]
async fn another_site_cannot_sign_a_browser_in() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let request = client
        .request(Method::POST, "/auth/login")
        .mode(Mode::CrossSite);
    let fields = [("email", BOB.email), ("password", BOB.password)];
    let answer = request.form(&fields).send().await?;
    assert_eq!(answer.status(), 403, "{}", answer.text());
    ensure!(client.cookies().is_empty(), "login CSRF");
    Ok(())
}

/// A program that sends it twice, or again because no answer came, has no cookie that would say which session makes way.
#[tokio::test]
async fn a_sign_in_that_is_sent_twice_without_cookies_makes_two_sessions() -> Result<()> {
    let system = System::start().await?;
    let (one, other) = (system.client()?, system.client()?);
    let (first, second) = tokio::join!(one.sign_in(&BOB), other.sign_in(&BOB));
    let (first, second) = (first?.expect(200)?.json()?, second?.expect(200)?.json()?);
    ensure!(first["session"]["id"] != second["session"]["id"]);
    let sessions = one.get("/auth/sessions").await?.expect(200)?.json()?;
    assert_eq!(sessions.as_array().map(Vec::len), Some(2), "{sessions}");
    Ok(())
}

#[tokio::test]
async fn signing_in_again_replaces_the_browsers_own_session() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let first = client.cookie(cookie::REFRESH).context("refresh cookie")?;
    let credentials = json!({"email": BOB.email, "password": BOB.password});
    client
        .post_json("/auth/login", &credentials)
        .await?
        .expect(200)?;
    let sessions = client.get("/auth/sessions").await?.expect(200)?.json()?;
    assert_eq!(
        sessions.as_array().context("a list")?.len(),
        1,
        "{sessions}"
    );

    let thief = system.client()?;
    thief.set_cookie(cookie::REFRESH, &first);
    thief
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn cookies_of_two_sessions_make_way_for_one() -> Result<()> {
    let system = System::start().await?;
    let (one, other) = (system.login(&BOB).await?, system.login(&BOB).await?);
    let mixed = other.copy();
    let access = one.cookie(cookie::ACCESS).context("access cookie")?;
    mixed.set_cookie(cookie::ACCESS, &access);
    mixed.sign_in(&BOB).await?.expect(200)?;
    for replaced in [&one, &other] {
        replaced
            .refresh()
            .await?
            .expect_problem(401, "session_ended")?;
    }
    let sessions = mixed.get("/auth/sessions").await?.expect(200)?.json()?;
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    Ok(())
}
