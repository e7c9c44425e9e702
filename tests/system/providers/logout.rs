//! Signing out by way of the provider: its end-session endpoint, and its logout tokens (Back-Channel Logout 1.0).

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::idp::Hostile;
use harness::idp::demo::Typed;
use harness::idp::hostile::{LOGOUT_EVENT, SignIn, Signature};
use harness::system::{Answer, Client, Method, Mode, System};
use serde_json::json;

use super::{begin, demo_id, signed_in, signed_in_at_demo_id, system_with};

const BOUND: Duration = Duration::from_secs(2);
const STRICT: &str = "/admin/x";
const OPERATOR: Typed<'_> = Typed {
    name: "Grace",
    groups: "operators",
};

/// As a provider posts it: a form, from no browser.
async fn post(system: &System, token: &str) -> Result<Answer> {
    let client = system.client()?;
    let request = client.request(Method::POST, "/auth/backchannel-logout/evil");
    request
        .mode(Mode::Bare)
        .form(&[("logout_token", token)])
        .send()
        .await
}

/// A stack in which people of the provider are administrators, whose route has the shortest bound.
async fn start(provider: &Hostile) -> Result<System> {
    let table = [
        ("OIDC_EVIL_ROLES_CLAIM", "groups"),
        ("OIDC_EVIL_ROLES", "users=admin"),
    ];
    system_with(provider, &table).await
}

/// No request is let in that is sent later than the bound after `ended`.
async fn ends_within_the_bound(client: &Client, ended: Instant) -> Result<()> {
    loop {
        let sent = ended.elapsed();
        let answer = client.get(STRICT).await?;
        if answer.status() != 200 {
            answer.expect_problem(401, "session_ended")?;
            return client.refresh().await?.expect(401).map(drop);
        }
        ensure!(sent <= BOUND, "let in {sent:?} after its end");
    }
}

async fn stands(client: &Client) -> Result<()> {
    client.get(STRICT).await?.expect(200)?;
    client.get("/auth/session").await?.expect(200).map(drop)
}

#[tokio::test]
async fn a_logout_token_ends_the_sessions_that_it_names_within_the_bound() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let with_sid = |name: &str, sid: &str| SignIn::of(name).claims(json!({"sid": sid}));
    let one = signed_in(&system, &provider, &with_sid("carol", "one")).await?;
    let two = signed_in(&system, &provider, &with_sid("carol", "two")).await?;
    let three = signed_in(&system, &provider, &with_sid("carol", "three")).await?;
    let other = signed_in(&system, &provider, &with_sid("dave", "four")).await?;
    let by_password = system.login(&harness::system::ADA).await?;
    for client in [&one, &two, &three, &other, &by_password] {
        stands(client).await?;
    }

    // By session alone, by both, by subject alone.
    for (changes, ended) in [
        (json!({"sid": "one", "sub": null}), &one),
        (json!({"sid": "two"}), &two),
        (json!({}), &three),
    ] {
        stands(ended).await?;
        let claims = provider.logout_claims("subject-of-carol", &changes);
        let token = provider.token("logout+jwt", &claims, Signature::Good)?;
        let answer = post(&system, &token).await?;
        let at = Instant::now();
        let answer = answer.expect(200)?;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        ends_within_the_bound(ended, at).await?;
    }
    stands(&other).await?;
    stands(&by_password).await
}

#[tokio::test]
async fn a_logout_token_that_is_not_right_ends_nothing() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let client = signed_in(&system, &provider, &SignIn::default()).await?;
    let now = system.clock().now().to_secs().secs();
    let wrong = [
        ("another iss", json!({"iss": "https://accounts.google.com"})),
        ("no iss", json!({"iss": null})),
        ("another aud", json!({"aud": "somebody-else"})),
        ("no aud", json!({"aud": null})),
        ("expired", json!({"iat": now - 600, "exp": now - 300})),
        ("no exp", json!({"exp": null})),
        (
            "issued in the future",
            json!({"iat": now + 600, "exp": now + 900}),
        ),
        ("no iat", json!({"iat": null})),
        ("no events", json!({"events": null})),
        (
            "other events",
            json!({"events": {"http://schemas.openid.net/event/other": {}}}),
        ),
        ("events as a list", json!({"events": [LOGOUT_EVENT]})),
        (
            "an event that is no object",
            json!({"events": {LOGOUT_EVENT: true}}),
        ),
        ("a nonce", json!({"nonce": "x"})),
        ("an empty nonce", json!({"nonce": ""})),
        ("no jti", json!({"jti": null})),
        ("an empty jti", json!({"jti": ""})),
        ("neither sub nor sid", json!({"sub": null})),
        ("sub as a number", json!({"sub": 7})),
    ];
    let mut failures = Vec::new();
    for (what, changes) in wrong {
        let claims = provider.logout_claims("subject-of-carol", &changes);
        let token = provider.token("logout+jwt", &claims, Signature::Good)?;
        failures.extend(
            is_refused(&system, &token)
                .await
                .err()
                .map(|error| format!("{what}: {error}")),
        );
    }
    let good = || provider.logout_claims("subject-of-carol", &json!({}));
    for signature in [
        Signature::Absent,
        Signature::HmacOfSecret,
        Signature::HmacOfPublicKey,
        Signature::UnknownKid,
        Signature::ForeignKey,
        Signature::KeyInHeader,
        Signature::Broken,
    ] {
        let token = provider.token("logout+jwt", &good(), signature)?;
        failures.extend(
            is_refused(&system, &token)
                .await
                .err()
                .map(|error| format!("{signature:?}: {error}")),
        );
    }
    // An ID token, an access token, or a token for another kind of call is no logout token.
    for typ in ["at+jwt", "global-token-revocation+jwt", "secevent+jwt"] {
        let token = provider.token(typ, &good(), Signature::Good)?;
        failures.extend(
            is_refused(&system, &token)
                .await
                .err()
                .map(|error| format!("{typ}: {error}")),
        );
    }
    for token in ["", "x", "a.b.c", &"x".repeat(20_000)] {
        failures.extend(
            is_refused(&system, token)
                .await
                .err()
                .map(|error| format!("no token: {error}")),
        );
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    stands(&client).await
}

async fn is_refused(system: &System, token: &str) -> Result<()> {
    post(system, token)
        .await?
        .expect_problem(400, "invalid_request")
        .map(drop)
}

#[tokio::test]
async fn a_logout_token_counts_once() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let first = signed_in(&system, &provider, &SignIn::default()).await?;
    let claims = provider.logout_claims("subject-of-carol", &json!({}));
    let token = provider.token("logout+jwt", &claims, Signature::Good)?;
    post(&system, &token).await?.expect(200)?;
    ends_within_the_bound(&first, Instant::now()).await?;

    let second = signed_in(&system, &provider, &SignIn::default()).await?;
    is_refused(&system, &token).await?;
    stands(&second).await?;
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_no_form_is_told_so() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let client = system.client()?;
    let path = "/auth/backchannel-logout/evil";
    let bare = |method| client.request(method, path).mode(Mode::Bare);
    let json = bare(Method::POST)
        .json(&json!({"logout_token": "x"}))
        .send()
        .await?;
    ensure!((400..500).contains(&json.status()), "{json}");
    bare(Method::POST)
        .form(&[])
        .send()
        .await?
        .expect_problem(400, "invalid_request")?;
    let get = bare(Method::GET).send().await?;
    ensure!((400..500).contains(&get.status()), "{get}");
    Ok(())
}

/// The certified provider's own calls, through the edge.
#[tokio::test]
async fn whoever_signs_out_at_demo_id_is_signed_out_here() -> Result<()> {
    let system = System::builder()
        .demo_id()
        .setting("OIDC_DEMO_ROLES_CLAIM", "groups")
        .setting("OIDC_DEMO_ROLES", "operators=admin")
        .start()
        .await?;
    let (here, there) = signed_in_at_demo_id(&system, OPERATOR).await?;
    // The same person in another browser has another session there.
    let (elsewhere, _) = signed_in_at_demo_id(&system, OPERATOR).await?;
    for client in [&here, &elsewhere] {
        stands(client).await?;
    }
    let address = format!("{}/session/end", demo_id(&system)?.issuer_url());
    demo_id(&system)?.sign_out(&there, &address).await?;
    ends_within_the_bound(&here, Instant::now()).await?;
    stands(&elsewhere).await
}

#[tokio::test]
async fn signing_out_leads_through_the_provider_where_the_setting_says_so() -> Result<()> {
    let system = System::builder()
        .demo_id()
        .setting("OIDC_DEMO_END_SESSION", "true")
        .start()
        .await?;
    let (here, there) = signed_in_at_demo_id(&system, OPERATOR).await?;
    // Who comes from there again is not asked for a name: the provider remembers.
    let address = begin(&system.client()?, "demo", None).await?;
    let path = address.replace(&demo_id(&system)?.issuer_url(), "");
    let remembered = there.navigate(&path).await?;
    let to = remembered.location().context("a location")?;
    ensure!(to.starts_with(system.public_url()), "{remembered}");

    let answer = here.submit("/auth/logout", &[]).await?.expect(303)?;
    let address = answer.location().context("a location")?;
    let end = format!("{}/session/end?", demo_id(&system)?.issuer_url());
    ensure!(address.starts_with(&end), "{answer}");
    here.get("/auth/session").await?.expect(401)?;
    let back = demo_id(&system)?.sign_out(&there, address).await?;
    let back = back.context("a way back")?;
    ensure!(back.starts_with(system.public_url()), "{back}");

    // Now it does not.
    let address = begin(&here, "demo", None).await?;
    let path = address.replace(&demo_id(&system)?.issuer_url(), "");
    let asked = there.navigate(&path).await?.expect(303)?;
    ensure!(
        asked
            .location()
            .is_some_and(|to| to.starts_with("/interaction/")),
        "{asked}"
    );
    Ok(())
}

#[tokio::test]
async fn signing_out_stays_here_where_no_setting_says_otherwise() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let client = signed_in(&system, &provider, &SignIn::default()).await?;
    let answer = client.submit("/auth/logout", &[]).await?.expect(303)?;
    ensure!(
        answer.location().is_some_and(|to| to.starts_with('/')),
        "{answer}"
    );
    Ok(())
}
