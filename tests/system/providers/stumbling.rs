//! A provider that is slow, talks nonsense, talks without end, or points elsewhere: at each endpoint that the issuer calls.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use harness::idp::Hostile;
use harness::idp::hostile::{Delivery, Endpoint, SignIn};
use harness::system::{Answer, BOB, Client, System};
use serde_json::json;

use super::{begin, is_nobody, sent_back, signed_in};

const ENDPOINTS: [Endpoint; 4] = [
    Endpoint::Discovery,
    Endpoint::Keys,
    Endpoint::Token,
    Endpoint::Userinfo,
];
/// A person waits no longer; an edge gives the issuer ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn no_answer_of_any_endpoint_hurts() -> Result<()> {
    let elsewhere = Hostile::start("elsewhere").await?;
    let deliveries = [
        Delivery::Silent,
        Delivery::Dribble,
        Delivery::Garbage,
        Delivery::Huge,
        Delivery::Failing,
        Delivery::Elsewhere(format!("{}/keys", elsewhere.issuer_url())),
    ];
    let mut providers = Vec::new();
    let mut stack = System::builder();
    for endpoint in ENDPOINTS {
        for delivery in &deliveries {
            let provider = Hostile::start(&format!("p{}", providers.len())).await?;
            provider.delivers(endpoint, delivery.clone());
            stack = stack.settings(provider.settings());
            providers.push((provider, format!("{delivery:?} at {endpoint:?}")));
        }
    }
    let system = stack.start().await?;
    let each = providers.iter().map(async |(provider, what)| {
        fails_soon(&system, provider)
            .await
            .map_err(|error| error.context(what.clone()))
    });
    try_join_all(each).await?;
    assert_eq!(
        elsewhere.requests(Endpoint::Keys),
        0,
        "no redirect is followed"
    );
    // Nobody else has noticed.
    system.login(&BOB).await?;

    // Each is good again as soon as it does what it should.
    system.advance(Duration::from_secs(31)).await?;
    for (provider, _) in &providers {
        for endpoint in ENDPOINTS {
            provider.delivers(endpoint, Delivery::Good);
        }
        let now = system.clock().now().to_secs().secs();
        let plan = SignIn::of(provider.name()).claims(json!({"iat": now, "exp": now + 300}));
        signed_in(&system, provider, &plan).await?;
    }
    Ok(())
}

/// In time, as a page with a way back, and with nobody signed in.
async fn fails_soon(system: &System, provider: &Hostile) -> Result<()> {
    let client = system.client()?;
    let asked = Instant::now();
    let page = try_to_sign_in(&client, provider).await?;
    ensure!(page.status() == 503, "503 expected, but: {page}");
    ensure!(
        page.text().contains("href=\"/auth/login"),
        "no way back: {page}"
    );
    ensure!(
        asked.elapsed() < PATIENCE,
        "after {:?}: {page}",
        asked.elapsed()
    );
    is_nobody(&client).await
}

/// The issuer's last word. The address of a person is left to the userinfo endpoint, so that each endpoint is asked.
async fn try_to_sign_in(client: &Client, provider: &Hostile) -> Result<Answer> {
    let path = format!("/auth/login/{}", provider.name());
    let answer = client.navigate(&path).await?;
    let Some(address) = answer.location() else {
        return Ok(answer);
    };
    let plan = SignIn::default().claims(json!({"email": null}));
    let back = provider
        .sign_in(client.public_url(), address, &plan)
        .await?;
    sent_back(client, &back).send().await
}

#[tokio::test]
async fn metadata_of_somebody_else_are_not_believed() -> Result<()> {
    let lies = [
        json!({"issuer": "https://accounts.google.com"}),
        json!({"issuer": null}),
        json!({"authorization_endpoint": "http://login.example.org/authorize"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"token_endpoint": "http://login.example.org/token"}),
        json!({"token_endpoint": null}),
        json!({"jwks_uri": "file:///etc/passwd"}),
        json!({"jwks_uri": 7}),
    ];
    let mut providers = Vec::new();
    let mut stack = System::builder();
    for (number, lie) in lies.into_iter().enumerate() {
        let provider = Hostile::start(&format!("p{number}")).await?;
        provider.claims_of_itself(lie.clone());
        stack = stack.settings(provider.settings());
        providers.push((provider, lie));
    }
    let system = stack.start().await?;
    for (provider, lie) in &providers {
        let path = format!("/auth/login/{}", provider.name());
        let page = system.client()?.navigate(&path).await?;
        ensure!(
            page.status() == 503 && page.location().is_none(),
            "{lie}: {page}"
        );
        ensure!(page.text().contains("href=\"/auth/login"), "{lie}: {page}");
    }
    Ok(())
}

/// What was told once serves while the provider is away, as long as nothing newer is needed.
#[tokio::test]
async fn metadata_and_keys_outlast_an_outage_of_an_hour() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = super::system_with(&provider, &[]).await?;
    signed_in(&system, &provider, &SignIn::default()).await?;
    for endpoint in [Endpoint::Discovery, Endpoint::Keys] {
        provider.delivers(endpoint, Delivery::Failing);
    }
    system.advance(Duration::from_secs(2 * 3600)).await?;
    let now = system.clock().now().to_secs().secs();
    let plan = SignIn::default().claims(json!({"iat": now, "exp": now + 300}));
    signed_in(&system, &provider, &plan).await?;
    let asked = provider.requests(Endpoint::Discovery);
    for _ in 0..10 {
        begin(&system.client()?, "evil", None).await?;
    }
    ensure!(
        provider.requests(Endpoint::Discovery) <= asked + 1,
        "it is not asked by everybody"
    );
    Ok(())
}
