//! Signing out, here and elsewhere, and what a user sees of their sessions.

use anyhow::{Context, Result, ensure};
use harness::raw;
use harness::system::{ADA, BOB, Client, Method, Mode, System};
use shared::cookie;

use crate::wire::authority;

/// Signs out with these cookies, byte by byte, through the edge.
async fn logout_with(system: &System, cookies: &[u8]) -> Result<raw::Answer> {
    let host = authority(system);
    let head = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 0\r\nCookie: "
    );
    let request = [head.as_bytes(), cookies, b"\r\n\r\n"].concat();
    raw::exchange(system.edges[0].addr(), &request).await
}

fn pairs(client: &Client) -> String {
    let pairs = client.cookies().into_iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

#[tokio::test]
async fn a_foreign_cookie_that_is_no_text_does_not_hide_ours() -> Result<()> {
    let system = System::start().await?;
    for foreign in [&b"a=\xc3\xa9; "[..], b"a=\xe9; ", b"\xff\xfe=1; "] {
        let client = system.login(&BOB).await?;
        let cookies = [foreign, pairs(&client).as_bytes()].concat();
        let answer = logout_with(&system, &cookies).await?;
        assert_eq!(answer.status(), Some(204), "{}", answer.text());
        client
            .refresh()
            .await?
            .expect_problem(401, "session_ended")
            .with_context(|| format!("{foreign:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_told_apart_is_not_said_to_have_ended() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let own = pairs(&client);
    for twice in [
        format!("{own}; {}=x", cookie::REFRESH),
        format!("{}=x; {own}", cookie::ACCESS),
        format!("{own}; {own}"),
    ] {
        let answer = logout_with(&system, twice.as_bytes()).await?;
        let text = answer.text();
        assert_eq!(answer.status(), Some(400), "{text}");
        ensure!(text.contains("invalid_request"), "{text}");
        ensure!(!text.to_ascii_lowercase().contains("set-cookie"), "{text}");
    }
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn signing_out_clears_the_cookies_and_ends_the_session() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let stolen = client.copy();
    let answer = client.logout().await?.expect(204)?;
    let cookies = answer.headers_named("set-cookie");
    for name in [cookie::ACCESS, cookie::REFRESH] {
        ensure!(
            cookies
                .iter()
                .any(|set| set.starts_with(&format!("{name}=;")) && set.contains("Max-Age=0")),
            "{cookies:?}"
        );
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    client.navigate("/app/").await?.expect(303)?;
    stolen
        .get("/auth/session")
        .await?
        .expect_problem(401, "session_ended")?;
    stolen
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    client.logout().await?.expect(204)?;
    system.client()?.logout().await?.expect(204)?;
    Ok(())
}

#[tokio::test]
async fn a_form_signs_out_and_lands_on_a_page() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    client.submit("/auth/logout", &[]).await?.expect(303)?;
    ensure!(client.cookies().is_empty());
    Ok(())
}

#[tokio::test]
async fn another_site_cannot_sign_a_browser_out() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let cookies = format!(
        "{}={}",
        cookie::REFRESH,
        client.cookie(cookie::REFRESH).context("refresh cookie")?
    );
    let request = client
        .request(Method::POST, "/auth/logout")
        .mode(Mode::CrossSite);
    let answer = request.header("cookie", &cookies).send().await?;
    assert_eq!(answer.status(), 403, "{}", answer.text());
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn users_see_their_sessions_and_end_the_others() -> Result<()> {
    let system = System::start().await?;
    let (phone, laptop, desk) = (
        system.login(&BOB).await?,
        system.login(&BOB).await?,
        system.login(&BOB).await?,
    );
    let list = laptop.get("/auth/sessions").await?.expect(200)?.json()?;
    let sessions = list.as_array().context("a list")?;
    assert_eq!(sessions.len(), 3);
    let current: Vec<_> = sessions
        .iter()
        .filter(|session| session["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    let own = laptop.get("/auth/session").await?.expect(200)?.json()?["session"]["id"].clone();
    assert_eq!(current[0]["id"], own);
    for session in sessions {
        for member in ["created_at", "last_seen_at", "expires_at", "device"] {
            let text = session[member].as_str().unwrap_or_default();
            ensure!(!text.is_empty(), "{member} in {list}");
        }
        assert_eq!(session["ip"], "127.0.0.1");
        assert_eq!(session["provider"], "password");
        let user_agent = session["user_agent"].as_str().unwrap_or_default();
        ensure!(user_agent.ends_with("Harness/1.0"), "{list}");
    }

    let phones = phone.get("/auth/session").await?.expect(200)?.json()?["session"]["id"].clone();
    let path = format!("/auth/sessions/{}", phones.as_str().context("id")?);
    laptop
        .request(Method::DELETE, &path)
        .send()
        .await?
        .expect(204)?;
    phone
        .refresh()
        .await?
        .expect_problem(401, "session_ended")?;
    laptop
        .request(Method::DELETE, &path)
        .send()
        .await?
        .expect_problem(404, "not_found")?;

    laptop
        .post("/auth/sessions/revoke-others")
        .await?
        .expect(204)?;
    desk.refresh().await?.expect_problem(401, "session_ended")?;
    laptop.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn nobody_ends_the_session_of_another_user() -> Result<()> {
    let system = System::start().await?;
    let (bob, ada) = (system.login(&BOB).await?, system.login(&ADA).await?);
    let bobs = bob.get("/auth/session").await?.expect(200)?.json()?["session"]["id"].clone();
    let path = format!("/auth/sessions/{}", bobs.as_str().context("id")?);
    ada.request(Method::DELETE, &path)
        .send()
        .await?
        .expect_problem(404, "not_found")?;
    bob.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_path_that_names_no_session_is_unknown() -> Result<()> {
    let system = System::builder().edges(0).start().await?;
    let client = system.issuer_client(0)?;
    client.sign_in(&BOB).await?.expect(200)?;
    for id in ["x", "%ff", "AAAAAAAAAAAAAAAAAAAAAA"] {
        client
            .request(Method::DELETE, &format!("/auth/sessions/{id}"))
            .send()
            .await?
            .expect_problem(404, "not_found")?;
    }
    Ok(())
}
