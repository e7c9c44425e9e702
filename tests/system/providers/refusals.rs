//! Everything that a provider, or somebody between, can lie about in a sign-in, is refused.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::idp::Hostile;
use harness::idp::hostile::{CLIENT_ID, Endpoint, SignIn, Signature};
use harness::system::{BOB, Method, Mode, System};
use serde_json::json;

use super::attempts::{Attempt, attempts};
use super::{begin, is_nobody, sent_back, sign_in, signed_in, system_with};

#[tokio::test]
async fn each_lie_is_refused_without_a_session_and_without_a_cookie() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    let now = system.clock().now().to_secs().secs();
    let mut wrong = Vec::new();
    for attempt in attempts(now) {
        if let Err(error) = is_refused(&system, &provider, &attempt).await {
            wrong.push(format!("{}: {error:#}", attempt.what));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nothing of it stuck: a good one is let in, and it is the only account.
    signed_in(&system, &provider, &SignIn::default()).await?;
    let mut db = system.db.connect().await?;
    let accounts: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(accounts, 3, "Ada, Bob, and who signed in at last");
    Ok(())
}

/// As a page for a person, with a way back; and as a problem for whoever asks for none.
async fn is_refused(system: &System, provider: &Hostile, attempt: &Attempt) -> Result<()> {
    let client = system.client()?;
    let page = sign_in(&client, provider, &attempt.plan).await?;
    let text = page.text();
    ensure!(
        page.status() == attempt.status,
        "{} expected, but: {page}",
        attempt.status
    );
    ensure!(text.contains("href=\"/auth/login"), "no way back: {page}");
    ensure!(
        !text.contains("<script") && !text.contains("google"),
        "it repeats what came: {page}"
    );
    is_nobody(&client).await?;

    let address = begin(&client, provider.name(), None).await?;
    let site = system.public_url();
    let back = provider.sign_in(site, &address, &attempt.plan).await?;
    let told = client
        .request(Method::GET, &back)
        .mode(Mode::Bare)
        .send()
        .await?;
    told.expect_problem(attempt.status, attempt.code)?;
    is_nobody(&client).await
}

#[tokio::test]
async fn what_is_unusual_but_right_is_let_in() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    let now = system.clock().now().to_secs().secs();
    let good = SignIn::default;
    for (what, plan) in [
        (
            "several aud and azp",
            good().claims(json!({"aud": [CLIENT_ID, "other"], "azp": CLIENT_ID})),
        ),
        (
            "one aud as a list",
            good().claims(json!({"aud": [CLIENT_ID]})),
        ),
        (
            "a clock that is half a minute ahead",
            good().claims(json!({"iat": now + 30, "nbf": now + 30})),
        ),
        (
            "a clock that is half a minute behind",
            good().claims(json!({"iat": now - 30, "exp": now - 30})),
        ),
        (
            "claims that only the userinfo endpoint tells",
            good().claims(json!({"email": null, "name": null})),
        ),
        (
            "claims of unknown names and kinds",
            good().claims(json!({"places": ["x"], "https://x": {"y": null}, "sid": 7})),
        ),
    ] {
        let client = signed_in(&system, &provider, &plan).await.context(what)?;
        let session = client.get("/auth/session").await?.json()?;
        assert_eq!(session["user"]["email"], "carol@hostile.test", "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_counts_once_and_only_in_the_browser_that_asked() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    let (client, thief) = (system.client()?, system.client()?);
    let address = begin(&client, "evil", None).await?;
    let back = provider
        .sign_in(system.public_url(), &address, &SignIn::default())
        .await?;

    // An attacker's own answer in a victim's browser, which has asked for nothing, or for something else.
    sent_back(&thief, &back).send().await?.expect(400)?;
    begin(&thief, "evil", None).await?;
    sent_back(&thief, &back).send().await?.expect(400)?;
    is_nobody(&thief).await?;
    assert_eq!(
        provider.requests(Endpoint::Token),
        0,
        "the code went nowhere"
    );

    let before = client.copy();
    sent_back(&client, &back).send().await?.expect(303)?;
    // Once more: the state is gone from the cookie; in a copy of the browser the code is.
    sent_back(&client, &back).send().await?.expect(400)?;
    sent_back(&before, &back).send().await?.expect(400)?;
    is_nobody(&before).await?;
    client.get("/auth/session").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_stolen_code_is_worth_nothing_in_another_sign_in() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    for checks_verifier in [true, false] {
        let (victim, thief) = (system.client()?, system.client()?);
        let plan = SignIn {
            checks_verifier,
            ..SignIn::default()
        };
        let address = begin(&victim, "evil", None).await?;
        let stolen = provider
            .sign_in(system.public_url(), &address, &plan)
            .await?;
        let code = stolen
            .split(['?', '&'])
            .find_map(|pair| pair.strip_prefix("code="));
        let code = code.context("a code")?;
        // PKCE stops it at the provider; where the provider does not look, the nonce does here.
        let injected = plan.callback(json!({"code": code}));
        let status = if checks_verifier { 400 } else { 401 };
        sign_in(&thief, &provider, &injected)
            .await?
            .expect(status)?;
        is_nobody(&thief).await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_providers_cannot_be_mixed_up() -> Result<()> {
    let (evil, honest) = (
        Hostile::start("evil").await?,
        Hostile::start("honest").await?,
    );
    let system = System::builder()
        .settings(evil.settings())
        .settings(honest.settings())
        .start()
        .await?;
    let site = system.public_url();

    // RFC 9700 §4.4: the code of the honest one would go to the other one's token endpoint.
    let client = system.client()?;
    let plan = SignIn::default().callback(json!({"iss": honest.issuer_url()}));
    sign_in(&client, &evil, &plan).await?.expect(400)?;
    is_nobody(&client).await?;
    assert_eq!(evil.requests(Endpoint::Token), 0);

    // A sign-in that began at one comes back at the other's address.
    for iss in [evil.issuer_url(), honest.issuer_url()] {
        let client = system.client()?;
        let address = begin(&client, "evil", None).await?;
        let plan = SignIn::default().callback(json!({"iss": iss}));
        let back = evil.sign_in(site, &address, &plan).await?;
        let elsewhere = back.replace("/auth/callback/evil", "/auth/callback/honest");
        ensure!(elsewhere != back, "{back}");
        sent_back(&client, &elsewhere).send().await?.expect(400)?;
        is_nobody(&client).await?;
    }
    assert_eq!(
        (
            evil.requests(Endpoint::Token),
            honest.requests(Endpoint::Token)
        ),
        (0, 0)
    );

    // One of them cannot speak for the other: the same subject is another person there.
    let one = signed_in(&system, &honest, &SignIn::of("dave")).await?;
    let plan = SignIn::of("dave").person(&json!({"email": "dave@evil.test"}));
    let other = signed_in(&system, &evil, &plan).await?;
    let id = async |client: &harness::system::Client| {
        anyhow::Ok(client.get("/auth/session").await?.json()?["user"]["id"].clone())
    };
    ensure!(id(&one).await? != id(&other).await?);
    Ok(())
}

#[tokio::test]
async fn nobody_is_led_elsewhere_after_signing_in() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    for place in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/auth/logout",
        "/app/../auth/login/evil",
        "/%61uth/login",
        "",
        &format!("/app/{}", "a".repeat(8_000)),
    ] {
        let client = system.client()?;
        let address = begin(&client, "evil", Some(place)).await?;
        // Nor by what the provider adds.
        let plan = SignIn::default().callback(json!({"return_to": "https://evil.example"}));
        let back = provider
            .sign_in(system.public_url(), &address, &plan)
            .await?;
        let answer = sent_back(&client, &back).send().await?.expect(303)?;
        assert_eq!(answer.location(), Some("/"), "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_may_change_and_unknown_ones_make_nobody_hammer_the_provider() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    signed_in(&system, &provider, &SignIn::default()).await?;
    assert_eq!(provider.requests(Endpoint::Keys), 1);

    let forged = SignIn::default().signed(Signature::UnknownKid);
    for _ in 0..50 {
        sign_in(&system.client()?, &provider, &forged)
            .await?
            .expect(401)?;
    }
    let asked = provider.requests(Endpoint::Keys);
    ensure!(asked <= 2, "asked {asked} times for 50 unknown keys");
    assert_eq!(provider.requests(Endpoint::Discovery), 1);

    // The provider's own new key is known after the cool-down, at the first sign-in.
    system.advance(Duration::from_secs(31)).await?;
    provider.rotate()?;
    let plan = within(&system, SignIn::default());
    signed_in(&system, &provider, &plan).await?;
    assert_eq!(provider.requests(Endpoint::Keys), asked + 1);
    // And what was signed with the old one is not believed any more.
    let old = plan.signed(Signature::ForeignKey);
    sign_in(&system.client()?, &provider, &old)
        .await?
        .expect(401)?;
    Ok(())
}

/// The provider's time is the machine's; the issuer's may have been moved.
fn within(system: &System, plan: SignIn) -> SignIn {
    let now = system.clock().now().to_secs().secs();
    plan.claims(json!({"iat": now, "auth_time": now, "exp": now + 300}))
}

#[tokio::test]
async fn a_disabled_account_is_not_let_in() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[("OIDC_EVIL_LINK", "verified-email")]).await?;
    let bob = SignIn::of("bob").person(&json!({"email": BOB.email}));
    let client = signed_in(&system, &provider, &bob).await?;
    crate::support::operator(&system, &["users", "disable", "--email", BOB.email]).await?;
    sign_in(&system.client()?, &provider, &bob)
        .await?
        .expect(403)?;
    client.refresh().await?.expect(401)?;
    Ok(())
}
