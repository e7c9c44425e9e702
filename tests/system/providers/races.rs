//! Several at the same moment.

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use harness::idp::Hostile;
use harness::idp::hostile::{SignIn, Signature};
use harness::system::{Method, Mode};
use serde_json::json;

use super::{begin, sent_back, sign_in, system_with};

#[tokio::test]
async fn the_same_person_for_the_first_time_in_many_browsers_gets_one_account() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[("MAX_CONCURRENT_SESSIONS", "20")]).await?;
    let clients: Vec<_> = (0..12).map(|_| system.client()).collect::<Result<_>>()?;
    let plan = SignIn::default();
    let all = clients.iter().map(async |client| {
        sign_in(client, &provider, &plan).await?.expect(303)?;
        client.get("/auth/session").await?.expect(200)?.json()
    });
    let sessions = try_join_all(all).await?;
    let first = sessions.first().context("sessions")?;
    for session in &sessions {
        assert_eq!(session["user"]["id"], first["user"]["id"]);
    }
    let list = clients[0].get("/auth/sessions").await?.json()?;
    assert_eq!(list.as_array().map(Vec::len), Some(12));
    Ok(())
}

#[tokio::test]
async fn an_answer_that_comes_several_times_at_once_begins_one_session() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    let client = system.client()?;
    let address = begin(&client, "evil", None).await?;
    let back = provider
        .sign_in(system.public_url(), &address, &SignIn::default())
        .await?;
    let copies: Vec<_> = (0..6).map(|_| client.copy()).collect();
    let answers = copies.iter().map(|copy| sent_back(copy, &back).send());
    let answers = try_join_all(answers).await?;
    let signed_in = answers
        .iter()
        .filter(|answer| answer.status() == 303)
        .count();
    ensure!(signed_in == 1, "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn a_logout_token_that_comes_several_times_at_once_counts_once() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    let client = system.client()?;
    sign_in(&client, &provider, &SignIn::default())
        .await?
        .expect(303)?;
    let claims = provider.logout_claims("subject-of-carol", &json!({}));
    let token = provider.token("logout+jwt", &claims, Signature::Good)?;
    let post = async || {
        let path = "/auth/backchannel-logout/evil";
        let request = system
            .client()?
            .request(Method::POST, path)
            .mode(Mode::Bare);
        request.form(&[("logout_token", &token)]).send().await
    };
    let answers = try_join_all((0..6).map(|_| post())).await?;
    let taken = answers
        .iter()
        .filter(|answer| answer.status() == 200)
        .count();
    ensure!(taken == 1, "{answers:?}");
    client.get("/auth/session").await?.expect(401)?;
    Ok(())
}

/// The provider ends its session while our sign-in is on its way back: what comes of that must not live for a week.
#[tokio::test]
async fn who_signs_out_there_while_signing_in_here_is_not_signed_in() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    for changes in [
        json!({}),
        json!({"sub": null, "sid": "sid-of-subject-of-carol"}),
    ] {
        let client = system.client()?;
        let address = begin(&client, "evil", None).await?;
        let plan = SignIn::default();
        let back = provider
            .sign_in(system.public_url(), &address, &plan)
            .await?;
        let claims = provider.logout_claims("subject-of-carol", &changes);
        let token = provider.token("logout+jwt", &claims, Signature::Good)?;
        let there = system.client()?;
        let request = there.request(Method::POST, "/auth/backchannel-logout/evil");
        let request = request.mode(Mode::Bare).form(&[("logout_token", &token)]);
        request.send().await?.expect(200)?;
        sent_back(&client, &back).send().await?.expect(400)?;
        client.get("/auth/session").await?.expect(401)?;
        // Who begins again has signed in there again.
        sign_in(&client, &provider, &plan).await?.expect(303)?;
        client.get("/auth/session").await?.expect(200)?;
    }
    Ok(())
}
