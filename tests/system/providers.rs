//! Signing in by an OpenID provider: through the edge, with a certified one (Demo ID) and with one that lies and stumbles.

mod accounts;
mod attempts;
mod certified;
mod global_revocation;
mod logout;
mod races;
mod refusals;
mod roles;
mod step_up;
mod stumbling;

use anyhow::{Context as _, Result, ensure};
use harness::idp::demo::Typed;
use harness::idp::hostile::SignIn;
use harness::idp::{DemoId, Hostile};
use harness::system::{Answer, Client, Method, Mode, Request, System};
use shared::cookie;

/// A stack with this provider.
async fn system_with(provider: &Hostile, settings: &[(&str, &str)]) -> Result<System> {
    let mut stack = System::builder().settings(provider.settings());
    for (name, value) in settings {
        stack = stack.setting(name, value);
    }
    stack.start().await
}

/// The Demo ID of a stack that has it.
fn demo_id(system: &System) -> Result<&DemoId> {
    system.idp.as_ref().context("a stack with Demo ID")
}

/// Begins a sign-in: the provider's address to which `client` is sent.
async fn begin(client: &Client, provider: &str, return_to: Option<&str>) -> Result<String> {
    let query = return_to.map(|place| format!("?return_to={}", escaped(place)));
    let path = format!("/auth/login/{provider}{}", query.unwrap_or_default());
    let answer = client.navigate(&path).await?.expect(303)?;
    Ok(answer.location().context("a location")?.to_owned())
}

/// The request of a browser that a provider sends back: a navigation from another site, which a Lax cookie goes with.
fn sent_back(client: &Client, path: &str) -> Request {
    let request = client.request(Method::GET, path).mode(Mode::Navigate);
    request.header("sec-fetch-site", "cross-site")
}

/// Signs in at `provider`, from the beginning to the issuer's answer to what the provider sent.
async fn sign_in(client: &Client, provider: &Hostile, sign_in: &SignIn) -> Result<Answer> {
    let address = begin(client, provider.name(), None).await?;
    let back = provider
        .sign_in(client.public_url(), &address, sign_in)
        .await?;
    sent_back(client, &back).send().await
}

/// The same, and it must succeed: a browser in which the person is signed in.
async fn signed_in(system: &System, provider: &Hostile, plan: &SignIn) -> Result<Client> {
    let client = system.client()?;
    sign_in(&client, provider, plan).await?.expect(303)?;
    client.get("/auth/session").await?.expect(200)?;
    Ok(client)
}

/// The same at Demo ID.
async fn signed_in_at_demo_id(system: &System, typed: Typed<'_>) -> Result<(Client, Client)> {
    let (client, there) = (system.client()?, demo_id(system)?.browser()?);
    let address = begin(&client, "demo", None).await?;
    let back = demo_id(system)?.sign_in(&there, &address, typed).await?;
    sent_back(&client, &back).send().await?.expect(303)?;
    client.get("/auth/session").await?.expect(200)?;
    Ok((client, there))
}

/// Nobody is signed in here, and no cookie says otherwise.
async fn is_nobody(client: &Client) -> Result<()> {
    for name in [cookie::ACCESS, cookie::REFRESH] {
        ensure!(client.cookie(name).is_none(), "{name} was set");
    }
    client
        .get("/auth/session")
        .await?
        .expect_problem(401, "unauthenticated")?;
    Ok(())
}

/// Percent-encodes all but letters and digits.
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
