//! Signing out, here and elsewhere, and what a user sees of their sessions.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::raw;
use harness::system::{ADA, BOB, Client, Method, Mode, System};
use shared::cookie;

use crate::wire::authority;

/// Signs out with these header lines, byte by byte, through the edge.
async fn logout_by(system: &System, lines: &[u8]) -> Result<raw::Answer> {
    let head = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 0\r\n",
        authority(system)
    );
    let request = [head.as_bytes(), lines, b"\r\n"].concat();
    raw::exchange(system.edges[0].addr(), &request).await
}

/// The same with these cookies.
async fn logout_with(system: &System, cookies: &[u8]) -> Result<raw::Answer> {
    logout_by(system, &[b"Cookie: ", cookies, b"\r\n"].concat()).await
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

/// Header lines with a session's two tokens, and whether they are read or refused.
fn ways_to_bring(access: &str, refresh: &str) -> Vec<(Vec<u8>, u16)> {
    let (a, r) = (cookie::ACCESS, cookie::REFRESH);
    let basic = |text: &str| STANDARD.encode(text);
    let text = |lines: String, status| (lines.into_bytes(), status);
    let garbled = format!("={refresh}\r\n").into_bytes();
    vec![
        text(format!("Cookie: {r}={refresh}\r\n"), 204),
        text(format!("Cookie: {a}={access}\r\n"), 204),
        // Over several fields, which arrive as one.
        text(format!("Cookie: a=1\r\nCookie: {r}={refresh}\r\n"), 400),
        text(format!("Cookie: {r}={refresh}\r\nCookie: a=1\r\n"), 400),
        text(
            format!("Cookie: a=1\r\ncookie: b=2; {r}={refresh}; c=3\r\nCOOKIE: d=4\r\n"),
            204,
        ),
        text(
            format!("Cookie: {a}={access}\r\nCookie: {r}={refresh}\r\n"),
            400,
        ),
        text(format!("Cookie: a=1, {r}={refresh}\r\n"), 400),
        text(format!("Cookie: a=1,{a}={access}; b=2\r\n"), 400),
        // Twice, or with another one.
        text(format!("Cookie: {r}={refresh}; {r}={refresh}\r\n"), 400),
        text(
            format!("Cookie: {a}={access}\r\nAuthorization: Bearer {access}\r\n"),
            400,
        ),
        // As no browser sends them.
        text(format!("Cookie: {}={refresh}\r\n", r.to_uppercase()), 204),
        text(format!("Cookie: {r}=\"{refresh}\"\r\n"), 204),
        text(format!("Cookie: {r}={refresh}.; a=1\r\n"), 204),
        text(format!("Cookie: {a}={refresh}\r\n"), 204),
        text(format!("Cookie: a=1; kept={refresh}\r\n"), 204),
        ([b"Cookie: \xff\xfe", garbled.as_slice()].concat(), 204),
        // Under any scheme.
        text(format!("Authorization: Bearer {access}\r\n"), 204),
        text(format!("Authorization: Bearer\t{access}\r\n"), 204),
        text(format!("Authorization: Bearer {refresh}\r\n"), 204),
        text(format!("Authorization: Token token=\"{access}\"\r\n"), 204),
        text(
            format!("Authorization: Basic eDp5\r\nAuthorization: Bearer {access}\r\n"),
            204,
        ),
        text(
            format!(
                "Authorization: Basic {}\r\n",
                basic(&format!("x:{refresh}"))
            ),
            204,
        ),
    ]
}

#[tokio::test]
async fn no_204_leaves_a_session_open_of_which_a_credential_came() -> Result<()> {
    let system = System::builder()
        .setting("MAX_CONCURRENT_SESSIONS", "100")
        .start()
        .await?;
    let ways = ways_to_bring("", "").len();
    for way in 0..ways {
        let client = system.login(&BOB).await?;
        let token = |name| client.cookie(name).context("a cookie");
        let (access, refresh) = (token(cookie::ACCESS)?, token(cookie::REFRESH)?);
        let (lines, status) = ways_to_bring(&access, &refresh).swap_remove(way);
        let answer = logout_by(&system, &lines).await?;
        let (text, lines) = (answer.text(), String::from_utf8_lossy(&lines).into_owned());
        assert_eq!(answer.status(), Some(status), "{lines}: {text}");
        let clears = text.to_ascii_lowercase().contains("set-cookie");
        assert_eq!(clears, status == 204, "{lines}: {text}");
        let refreshed = client.refresh().await?;
        match status {
            204 => refreshed.expect_problem(401, "session_ended").map(drop),
            _ => refreshed.expect(200).map(drop),
        }
        .context(lines)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_opens_nothing_is_no_reason_to_refuse_a_sign_out() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let refresh = client.cookie(cookie::REFRESH).context("refresh cookie")?;
    let middle = if refresh[60..].starts_with('x') {
        "y"
    } else {
        "x"
    };
    let forged = format!("{}{middle}{}", &refresh[..60], &refresh[61..]);
    for value in ["", "x", "\"\"", &forged, &refresh[1..], "a.b.c"] {
        for name in [cookie::ACCESS, cookie::REFRESH] {
            let answer = logout_with(&system, format!("{name}={value}").as_bytes()).await?;
            assert_eq!(answer.status(), Some(204), "{name}={value}");
        }
    }
    client.refresh().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn the_issuer_reads_cookies_over_several_fields_as_one() -> Result<()> {
    let system = System::builder().edges(0).start().await?;
    let client = system.issuer_client(0)?;
    client.sign_in(&BOB).await?.expect(200)?;
    let fields = pairs(&client).replace("; ", "\r\nCookie: ");
    let request = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 0\r\nCookie: a=1\r\nCookie: {fields}\r\n\r\n"
    );
    let answer = raw::exchange(system.issuers[0].addr(), request.as_bytes()).await?;
    assert_eq!(answer.status(), Some(204), "{}", answer.text());
    let refreshed = client.refresh().await?;
    refreshed.expect_problem(401, "session_ended")?;
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
async fn a_sign_out_and_nothing_else_clears_the_browsers_cache() -> Result<()> {
    const NAME: &str = "clear-site-data";
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let credentials = [("email", BOB.email), ("password", BOB.password)];
    for other in [
        client.get("/app/").await?,
        client.navigate("/auth/login").await?,
        client.submit("/auth/login", &credentials).await?,
        client.refresh().await?,
        client.post("/auth/sessions/revoke-others").await?,
        client.get("/auth/logout").await?,
        client
            .request(Method::POST, "/auth/logout")
            .mode(Mode::CrossSite)
            .send()
            .await?,
    ] {
        ensure!(other.header(NAME).is_none(), "{other}");
    }
    let by_script = client.logout().await?.expect(204)?;
    client.sign_in(&BOB).await?.expect(200)?;
    let by_form = client.submit("/auth/logout", &[]).await?.expect(303)?;
    let again = client.logout().await?.expect(204)?;
    for answer in [by_script, by_form, again] {
        assert_eq!(answer.header(NAME), Some("\"cache\""), "{answer}");
    }
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
    let delete = async |id: &str| {
        let path = format!("/auth/sessions/{id}");
        client.request(Method::DELETE, &path).send().await
    };
    let unknown = delete("AAAAAAAAAAAAAAAAAAAAAA").await?;
    unknown.expect_problem(404, "not_found")?;
    for id in ["x", "%ff"] {
        let answer = delete(id).await?.expect_problem(400, "invalid_request")?;
        let problem = answer.json()?;
        let detail = problem["detail"].as_str().context("detail")?;
        ensure!(detail.starts_with("id "), "{detail}");
    }
    Ok(())
}
