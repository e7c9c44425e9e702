//! With Demo ID, which is npm `oidc-provider`: what a certified provider does, nothing more.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::idp::demo::Typed;
use harness::system::System;
use harness::wait::eventually;
use serde_json::json;
use shared::cookie;

use super::{begin, demo_id, is_nobody, sent_back, signed_in_at_demo_id};

const ZOE: Typed<'_> = Typed {
    name: "Zoë Smith",
    groups: "staff",
};

async fn start() -> Result<System> {
    System::builder().demo_id().start().await
}

#[tokio::test]
async fn any_name_signs_in_and_comes_back_to_where_it_wanted_to_go() -> Result<()> {
    let system = start().await?;
    let (client, there) = (system.client()?, demo_id(&system)?.browser()?);
    let page = client.navigate("/auth/login").await?.expect(200)?.text();
    ensure!(
        page.contains("Demo ID") && page.contains("/auth/login/demo"),
        "{page}"
    );

    let place = "/app/report?month=5&x=%26#part-2";
    let address = begin(&client, "demo", Some(place)).await?;
    let back = demo_id(&system)?.sign_in(&there, &address, ZOE).await?;
    let answer = sent_back(&client, &back).send().await?.expect(303)?;
    assert_eq!(answer.location(), Some(place));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let session = client.get("/auth/session").await?.expect(200)?.json()?;
    // Not in the ID token of this provider: the userinfo endpoint was asked.
    assert_eq!(session["user"]["email"], "zoe.smith@example.test");
    assert_eq!(session["user"]["name"], "Zoë Smith");
    let sessions = client.get("/auth/sessions").await?.expect(200)?.json()?;
    assert_eq!(sessions[0]["provider"], "demo");
    let received = client.get("/api/x").await?.expect(200)?.received()?;
    assert_eq!(
        received.header("portcullis-user"),
        session["user"]["id"].as_str()
    );

    // A second time it is the same account.
    let again = signed_in_at_demo_id(&system, ZOE).await?.0;
    let second = again.get("/auth/session").await?.json()?;
    assert_eq!(second["user"]["id"], session["user"]["id"]);
    Ok(())
}

#[tokio::test]
async fn five_tabs_sign_in_at_once() -> Result<()> {
    let system = start().await?;
    let (client, there) = (system.client()?, demo_id(&system)?.browser()?);
    let places: Vec<String> = (1..=5)
        .map(|tab| format!("/app/{tab}?tab={tab}#{tab}"))
        .collect();
    let mut begun = Vec::new();
    for place in &places {
        begun.push((place, begin(&client, "demo", Some(place)).await?));
    }
    let cookie = client
        .cookie(cookie::LOGIN)
        .context("a cookie of sign-ins")?;
    ensure!(
        cookie::LOGIN.len() + cookie.len() < cookie::MAX_BYTES,
        "{}",
        cookie.len()
    );
    // Tab by tab, but not in the order in which they began.
    begun.rotate_left(2);
    for (place, address) in begun {
        let back = demo_id(&system)?.sign_in(&there, &address, ZOE).await?;
        let answer = sent_back(&client, &back).send().await?.expect(303)?;
        assert_eq!(answer.location(), Some(place.as_str()));
    }
    ensure!(
        client.cookie(cookie::LOGIN).is_none(),
        "nothing is under way any more"
    );
    let sessions = client.get("/auth/sessions").await?.expect(200)?.json()?;
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    Ok(())
}

#[tokio::test]
async fn what_is_under_way_fits_its_cookie_however_often_it_is_begun() -> Result<()> {
    let system = start().await?;
    let (client, there) = (system.client()?, demo_id(&system)?.browser()?);
    let long = format!("/app/{}", "x".repeat(1_500));
    let mut last = String::new();
    for _ in 0..12 {
        last = begin(&client, "demo", Some(&long)).await?;
        let cookie = client
            .cookie(cookie::LOGIN)
            .context("a cookie of sign-ins")?;
        ensure!(
            cookie::LOGIN.len() + cookie.len() <= cookie::MAX_BYTES,
            "{}",
            cookie.len()
        );
    }
    let back = demo_id(&system)?.sign_in(&there, &last, ZOE).await?;
    let answer = sent_back(&client, &back).send().await?.expect(303)?;
    assert_eq!(answer.location(), Some(long.as_str()));
    Ok(())
}

#[tokio::test]
async fn the_cookie_of_sign_ins_is_sealed_and_gone_in_ten_minutes() -> Result<()> {
    let system = start().await?;
    let (client, there) = (system.client()?, demo_id(&system)?.browser()?);
    let answer = client.navigate("/auth/login/demo").await?.expect(303)?;
    let set = answer.headers_named("set-cookie");
    let [set] = set.as_slice() else {
        anyhow::bail!("one cookie: {}", set.len());
    };
    for attribute in [
        "Secure",
        "HttpOnly",
        "Path=/",
        "SameSite=Lax",
        "Max-Age=600",
    ] {
        ensure!(
            set.split("; ").any(|part| part == attribute),
            "{attribute}: {set}"
        );
    }
    let address = answer.location().context("a location")?.to_owned();
    let (_, query) = address.split_once('?').context("a query")?;
    for name in ["state", "nonce", "code_challenge"] {
        let value = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let value = value.with_context(|| format!("{name} in {address}"))?;
        ensure!(!set.contains(value), "{name} is in the cookie");
    }
    ensure!(query.contains("code_challenge_method=S256"), "{address}");

    let back = demo_id(&system)?.sign_in(&there, &address, ZOE).await?;
    let late = client.copy();
    system.advance(Duration::from_secs(601)).await?;
    let told = sent_back(&late, &back).send().await?.expect(400)?;
    ensure!(told.text().contains("/auth/login"), "a way back: {told}");
    is_nobody(&late).await
}

#[tokio::test]
async fn whoever_cancels_gets_a_page_with_a_way_back() -> Result<()> {
    let system = start().await?;
    let (client, there) = (system.client()?, demo_id(&system)?.browser()?);
    let address = begin(&client, "demo", Some("/app/x")).await?;
    let back = demo_id(&system)?.cancel(&there, &address).await?;
    ensure!(back.contains("error=access_denied"), "{back}");
    let page = sent_back(&client, &back).send().await?;
    ensure!(page.text().contains("href=\"/auth/login"), "{page}");
    ensure!((400..500).contains(&page.status()), "{page}");
    is_nobody(&client).await
}

#[tokio::test]
async fn a_provider_that_is_down_keeps_nobody_else_out_and_is_there_when_it_comes() -> Result<()> {
    let mut system = start().await?;
    system.idp.as_mut().context("Demo ID")?.stop();
    system.issuers[0].restart().await?;
    system.login(&harness::system::BOB).await?;
    let client = system.client()?;
    let page = client.navigate("/auth/login/demo").await?;
    ensure!(
        page.status() == 503 && page.text().contains("/auth/login"),
        "{page}"
    );
    let told = client.get("/auth/login/demo").await?;
    ensure!(told.status() == 503, "{told}");
    ensure!(told.header("retry-after").is_some(), "{told}");

    system
        .idp
        .as_mut()
        .context("Demo ID")?
        .start_again()
        .await?;
    let limit = Duration::from_secs(20);
    eventually("the issuer to find the provider", limit, async || {
        client
            .navigate("/auth/login/demo")
            .await
            .is_ok_and(|answer| answer.status() == 303)
            .then_some(())
    })
    .await?;
    signed_in_at_demo_id(&system, ZOE).await?;
    Ok(())
}

#[tokio::test]
async fn a_provider_that_nobody_has_configured_is_not_there() -> Result<()> {
    let system = start().await?;
    let client = system.client()?;
    for path in ["/auth/login/other", "/auth/callback/other?code=x&state=y"] {
        client.get(path).await?.expect_problem(404, "not_found")?;
    }
    for path in [
        "/auth/backchannel-logout/other",
        "/auth/global-token-revocation/other",
    ] {
        let sent = client.post_json(path, &json!({})).await?;
        sent.expect_problem(404, "not_found")?;
    }
    Ok(())
}
