//! A rule that asks for a young sign-in, and a provider that remembers people.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::idp::Hostile;
use harness::idp::hostile::SignIn;
use harness::system::System;
use serde_json::json;

use super::{begin, sent_back, sign_in};

#[tokio::test]
async fn a_sign_in_is_as_old_as_the_provider_says_and_a_younger_one_is_asked_for() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = System::builder()
        .settings(provider.settings())
        .routes(json!([
            {"path": "/app/*", "access": "user"},
            {"path": "/app/safe/*", "access": "user", "max_auth_age": "5m"},
        ]))
        .start()
        .await?;
    let now = system.clock().now().to_secs().secs();
    let client = system.client()?;
    // Signed in at the provider an hour ago: nobody was asked for anything.
    let remembered = SignIn::default().claims(json!({"auth_time": now - 3600}));
    sign_in(&client, &provider, &remembered)
        .await?
        .expect(303)?;
    client.navigate("/app/x").await?.expect(200)?;
    let refused = client.navigate("/app/safe/x").await?.expect(303)?;
    let to = refused.location().context("a location")?.to_owned();
    assert_eq!(to, "/auth/login?return_to=/app/safe/x&prompt=login");

    let page = client.navigate(&to).await?.expect(200)?.text();
    let link = "/auth/login/evil?return_to=%2Fapp%2Fsafe%2Fx&prompt=login";
    ensure!(page.contains(&link.replace('&', "&#38;")), "{page}");
    let asked = client.navigate(link).await?.expect(303)?;
    let address = asked.location().context("a location")?;
    ensure!(address.contains("prompt=login"), "{address}");
    let back = provider
        .sign_in(system.public_url(), address, &SignIn::default())
        .await?;
    let answer = sent_back(&client, &back).send().await?.expect(303)?;
    assert_eq!(answer.location(), Some("/app/safe/x"));
    client.navigate("/app/safe/x").await?.expect(200)?;

    // Otherwise the provider may let in whom it remembers.
    let address = begin(&client, "evil", None).await?;
    ensure!(!address.contains("prompt="), "{address}");
    Ok(())
}

/// A provider whose clock is ahead cannot make a sign-in last longer.
#[tokio::test]
async fn no_sign_in_is_younger_than_itself() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = System::builder()
        .settings(provider.settings())
        .routes(json!([{"path": "/app/*", "access": "user", "max_auth_age": "5m"}]))
        .start()
        .await?;
    let now = system.clock().now().to_secs().secs();
    let client = system.client()?;
    let ahead = SignIn::default().claims(json!({"auth_time": now + 86_400}));
    sign_in(&client, &provider, &ahead).await?.expect(303)?;
    client.navigate("/app/x").await?.expect(200)?;
    system.advance(Duration::from_secs(301)).await?;
    client.navigate("/app/x").await?.expect(303)?;
    Ok(())
}
