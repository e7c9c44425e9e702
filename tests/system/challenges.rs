//! Every 401 says what it asks for (RFC 9110 §15.5.2), whoever answers: the edge or the issuer behind it.

use anyhow::{Result, ensure};
use harness::system::{ADA, Answer, BOB, Client, Method, Mode, System};
use serde_json::json;

/// What it asks for.
fn challenged(answer: &Answer) -> Result<String> {
    ensure!(answer.status() == 401, "401 expected, but: {answer}");
    let challenges = answer.headers_named("www-authenticate");
    let [challenge] = challenges[..] else {
        anyhow::bail!("{} challenges: {answer}", challenges.len());
    };
    ensure!(
        challenge.starts_with("Bearer realm=\"portcullis\""),
        "{challenge}"
    );
    Ok(challenge.to_owned())
}

#[tokio::test]
async fn a_failed_sign_in_is_a_challenge_as_json_and_as_a_form() -> Result<()> {
    let system = System::start().await?;
    let stranger = system.client()?;
    let wrong = json!({"email": ADA.email, "password": "wrong"});
    let answer = stranger.post_json("/auth/login", &wrong).await?;
    ensure!(!challenged(&answer)?.contains("error"), "no token came");
    let form = stranger
        .request(Method::POST, "/auth/login")
        .mode(Mode::Navigate)
        .form(&[("email", ADA.email), ("password", "wrong")]);
    let answer = form.send().await?;
    challenged(&answer)?;
    ensure!(answer.text().contains("<form"), "the form comes once more");
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_missing_or_over_is_a_challenge() -> Result<()> {
    let system = System::start().await?;
    let stranger = system.client()?;
    let bob = system.login(&BOB).await?;
    let thief = bob.copy();
    bob.logout().await?.expect(204)?;
    for (method, path) in [
        (Method::GET, "/auth/session"),
        (Method::GET, "/auth/sessions"),
        (Method::POST, "/auth/sessions/revoke-others"),
        (Method::POST, "/auth/refresh"),
    ] {
        for mode in [Mode::Fetch, Mode::Navigate] {
            let ask = async |client: &Client| {
                let request = client.request(method.clone(), path).mode(mode);
                // As a page of this site sends it, so that nothing else is wrong.
                request.header("sec-fetch-site", "same-origin").send().await
            };
            let missing = challenged(&ask(&stranger).await?)?;
            ensure!(!missing.contains("error"), "{path}: {missing}");
            let over = challenged(&ask(&thief.copy()).await?)?;
            ensure!(over.contains("invalid_token"), "{path}: {over}");
        }
    }
    let answer = stranger.get("/api/x").await?;
    challenged(&answer)?;
    Ok(())
}
