//! What proves who a user is ends at the edge: no session cookie and no token of ours reaches the origin, and what is not ours
//! does.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::raw::Recorded;
use harness::system::{BOB, System};
use serde_json::json;
use shared::cookie;

use crate::spoof::{KINDS, Truth, site, site_from};
use crate::wire::Site;

#[tokio::test]
async fn session_cookies_never_reach_the_origin_and_others_do() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let token = client.cookie(cookie::ACCESS).context("access cookie")?;
    let stranger = site.system.client()?;
    let (access, refresh) = (cookie::ACCESS, cookie::REFRESH);
    for (path, lines, kept) in [
        (
            "/api/x",
            format!("Cookie: a=1; {access}={token}; b=2\r\n"),
            Some("a=1; b=2"),
        ),
        ("/api/x", format!("Cookie: {access}={token}\r\n"), None),
        (
            "/api/x",
            format!("cookie:{access}={token};a=1\r\n"),
            Some("a=1"),
        ),
        (
            "/api/x",
            format!("Cookie: a=1\r\nCookie: {access}={token}\r\n"),
            Some(""),
        ),
        (
            "/api/x",
            format!("Cookie: {access}={token}\r\nCookie: a=1\r\n"),
            Some(""),
        ),
        (
            "/api/x",
            format!("Cookie: {access}={token}; {refresh}=secret\r\n"),
            None,
        ),
        (
            "/api/x",
            format!("Cookie: a=\"1; {access}={token}; b=2\"\r\n"),
            Some(""),
        ),
        (
            "/open/x",
            format!("Cookie: a=1; {access}={token}; {refresh}=secret; b=2\r\n"),
            Some("a=1; b=2"),
        ),
        ("/open/x", format!("Cookie: {refresh}=secret\r\n"), None),
        (
            "/open/x",
            format!("Cookie: {access}={token}; {access}={token}; a=1\r\n"),
            Some("a=1"),
        ),
        (
            "/open/x",
            format!("Cookie: a=1\r\nCookie: {refresh}=secret\r\n"),
            Some(""),
        ),
        (
            "/open/x",
            format!("Cookie: {refresh}=secret, a=1\r\n"),
            Some(""),
        ),
        (
            "/open/x",
            format!("Cookie: {} = secret; a=1\r\n", refresh.to_uppercase()),
            Some(""),
        ),
        (
            "/open/x",
            format!("COOKIE: \t{access}\t=\t{token} ;a=1\r\n"),
            Some(""),
        ),
    ] {
        let outcome = site.get(path, &stranger, lines.as_bytes()).await?;
        let Some(recorded) = &outcome.reached else {
            ensure!(
                outcome.answer.is_refusal(),
                "{lines}: {}",
                outcome.answer.text()
            );
            ensure!(path != "/open/x", "{lines} is refused on an open route");
            continue;
        };
        let text = recorded.text().to_lowercase();
        for part in [&token.to_lowercase(), "secret", "__host-http"] {
            ensure!(!text.contains(part), "{lines} became {}", recorded.text());
        }
        let cookies = recorded.values("cookie");
        // "": whatever is left of what no browser sends.
        match kept {
            Some("") => {}
            Some(kept) => assert_eq!(cookies, [kept], "{lines}"),
            None => ensure!(cookies.is_empty(), "{lines}: {cookies:?}"),
        }
    }
    Ok(())
}

/// A token of nobody: as `typ` and `iss` say.
fn unsigned(typ: &str, iss: &str) -> String {
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = part(json!({"typ": typ, "alg": "EdDSA", "kid": "k1"}));
    let claims = part(json!({"iss": iss, "sub": "1", "exp": 4_000_000_000_u64}));
    format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
}

/// What the origin gets as `Authorization` on an open route.
async fn authorization_behind(site: &Site, header: &str) -> Result<Vec<String>> {
    let stranger = site.system.client()?;
    let line = format!("Authorization: {header}\r\n");
    let outcome = site.get("/open/x", &stranger, line.as_bytes()).await?;
    let recorded = outcome.reached.context("an open route")?;
    Ok(recorded.values("authorization"))
}

#[tokio::test]
async fn only_our_own_tokens_end_at_the_edge_before_and_after_keys_are_loaded() -> Result<()> {
    for secret in [None, Some("9f3c1e7ab45d2086ee17c94b60fa8d23")] {
        let builder = System::builder();
        let site = site_from(match secret {
            None => builder,
            Some(secret) => builder.setting("JWT_SECRET", secret),
        })
        .await?;
        let ours = site.system.public_url();
        let passing = [
            ("JWT", "https://accounts.other.test"),
            ("at+jwt", "https://accounts.other.test"),
            ("JWT", ours),
        ];
        for is_warm in [false, true] {
            if is_warm {
                // Somebody signs in, and so keys are loaded.
                let client = site.system.login(&BOB).await?;
                site.get("/api/x", &client, b"").await?;
            }
            for (typ, iss) in passing {
                for scheme in ["Bearer", "Token"] {
                    let header = format!("{scheme} {}", unsigned(typ, iss));
                    let left = authorization_behind(&site, &header).await?;
                    assert_eq!(left, [header], "{typ} {iss}, warm: {is_warm}");
                }
            }
            // Under a key that nobody has any more.
            let withdrawn = unsigned("at+jwt", ours);
            for header in [
                format!("Bearer {withdrawn}"),
                format!("Token token=\"{withdrawn}\""),
                format!("Basic {}", STANDARD.encode(format!("x:{withdrawn}"))),
            ] {
                let left = authorization_behind(&site, &header).await?;
                ensure!(left.is_empty(), "{header}, warm: {is_warm}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_of_ours_beside_a_good_cookie_ends_at_the_edge() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let truth = Truth::of(&client).await?;
    let token = client.cookie(cookie::ACCESS).context("access cookie")?;
    for header in [
        format!("Token {token}"),
        format!("Token token=\"{token}\""),
        format!("JWT {token}, x"),
        format!("Basic {}", STANDARD.encode(format!("x:{token}"))),
    ] {
        let line = format!("Authorization: {header}\r\n");
        let outcome = site.get("/api/x", &client, line.as_bytes()).await?;
        let recorded = outcome.reached.context("the cookie opens it")?;
        ensure!(recorded.values("authorization").is_empty(), "{header}");
        truth.check(&site, &recorded)?;
    }
    let outcome = site.get("/api/x", &client, b"Authorization: Basic eDp5\r\n");
    let recorded = outcome.await?.reached.context("the cookie opens it")?;
    assert_eq!(recorded.values("authorization"), ["Basic eDp5"]);
    Ok(())
}

#[tokio::test]
async fn session_cookies_over_several_fields_are_refused_and_never_go_on() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let token = client.cookie(cookie::ACCESS).context("access cookie")?;
    let stranger = site.system.client()?;
    let access = cookie::ACCESS;
    for lines in [
        format!("Cookie: a=1\r\nCookie: {access}={token}\r\n"),
        format!("Cookie: {access}={token}\r\nCookie: a=1\r\n"),
        format!("Cookie: a=1; b=2\r\nCookie: c=3\r\ncookie: {access}={token}; d=4\r\n"),
        format!("Cookie: {access}={token}\r\nCookie: {access}={token}\r\n"),
    ] {
        let guarded = site.get("/api/x", &stranger, lines.as_bytes()).await?;
        let text = guarded.answer.text();
        ensure!(guarded.reached.is_none(), "{lines}");
        assert_eq!(guarded.answer.status(), Some(400), "{lines}: {text}");
        ensure!(text.contains("invalid_request"), "{text}");
        let open = site.get("/open/x", &stranger, lines.as_bytes()).await?;
        let recorded = open.reached.context("an open route")?;
        ensure!(!recorded.text().contains(&token), "{}", recorded.text());
    }
    // Those of others go on in whatever fields.
    let outcome = site.get("/open/x", &stranger, b"Cookie: a=1\r\nCookie: b=2\r\n");
    let recorded = outcome.await?.reached.context("an open route")?;
    assert_eq!(recorded.values("cookie").join(", "), "a=1, b=2");
    Ok(())
}

/// What stands behind `Cookie: ` in what the origin was sent, byte by byte.
fn cookie_bytes(recorded: &Recorded) -> Option<Vec<u8>> {
    let mut lines = recorded.bytes().split(|byte| *byte == b'\n');
    let line = lines.find(|line| {
        line.get(..7)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"cookie:"))
    })?;
    Some(line[7..].trim_ascii().to_vec())
}

#[tokio::test]
async fn bytes_of_other_cookies_go_on_as_they_came() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let token = client.cookie(cookie::ACCESS).context("access cookie")?;
    let stranger = site.system.client()?;
    let ours = format!("{}={token}; ", cookie::ACCESS);
    // Latin-1, UTF-8, what is neither, and two that the runtime reads as the same text.
    for value in [
        &b"a=\xe9; b=2"[..],
        "a=\u{e9}; b=2".as_bytes(),
        b"a=\xff\x80; b=\xc3",
        b"a=\xe8; b=2",
        b"a=\xe9; b=2",
    ] {
        for kind in KINDS {
            let sent = [b"Cookie: ", value, b"\r\n"].concat();
            let outcome = kind.send_bytes(&site, "/open/x", &stranger, &sent).await?;
            let recorded = outcome.reached.context("an open route")?;
            assert_eq!(cookie_bytes(&recorded).as_deref(), Some(value), "{kind:?}");
            // By a bearer, so that there is nothing to cut off.
            let bearer = format!("Authorization: Bearer {token}\r\n");
            let sent = [bearer.as_bytes(), &sent].concat();
            let outcome = kind.send_bytes(&site, "/api/x", &stranger, &sent).await?;
            let recorded = outcome.reached.context("the bearer opens it")?;
            assert_eq!(cookie_bytes(&recorded).as_deref(), Some(value), "{kind:?}");
            // Beside ours: what is text as it came, and nothing in place of what is none.
            let sent = [b"Cookie: ", ours.as_bytes(), value, b"\r\n"].concat();
            let outcome = kind.send_bytes(&site, "/api/x", &stranger, &sent).await?;
            let recorded = outcome.reached.context("the cookie opens it")?;
            let pairs = value.split(|byte| *byte == b';');
            let texts: Vec<&str> = pairs
                .filter_map(|pair| std::str::from_utf8(pair).ok())
                .map(str::trim)
                .collect();
            let kept = Some(texts.join("; ").into_bytes()).filter(|kept| !kept.is_empty());
            assert_eq!(cookie_bytes(&recorded), kept, "{kind:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_bearer_token_never_reaches_the_origin_and_other_schemes_do() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let token = client.cookie(cookie::ACCESS).context("access cookie")?;
    let stranger = site.system.client()?;
    for lines in [
        format!("Authorization: Bearer {token}\r\n"),
        format!("authorization:bearer\t{token}\r\n"),
        format!("Authorization: Bearer  {token} \r\n"),
        format!("Authorization: Basic eDp5\r\nAuthorization: Bearer {token}\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Basic eDp5\r\n"),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
        format!("Authorization: Bearer {token}, x\r\n"),
    ] {
        for path in ["/open/x", "/api/x"] {
            let outcome = site.get(path, &stranger, lines.as_bytes()).await?;
            match outcome.reached {
                Some(recorded) => {
                    let text = recorded.text();
                    ensure!(!text.contains(&token), "{path}: {lines} became {text}");
                }
                None => ensure!(outcome.answer.is_refusal(), "{}", outcome.answer.text()),
            }
        }
    }
    for scheme in ["Basic eDp5", "Bearer of.another.site", "Negotiate abc=="] {
        let line = format!("Authorization: {scheme}\r\n");
        let outcome = site.get("/open/x", &stranger, line.as_bytes()).await?;
        let recorded = outcome.reached.context("it passes")?;
        assert_eq!(recorded.values("authorization"), [scheme]);
    }
    Ok(())
}
