//! A shared cache in front of the edge: nobody ever gets what was made for somebody else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::nginx::Nginx;
use harness::system::{ADA, Answer, BOB, Client, Method, Mode, System};
use serde_json::{Value, json};
use shared::cookie;

async fn site() -> Result<(System, Nginx)> {
    let system = System::builder()
        .routes(json!([
            {"path": "/", "access": "public"},
            {"path": "/api/test/*", "access": "user", "api": true},
            {"path": "/api/test/caching/open/*", "access": "public"},
            {"path": "/api/test/caching/shared/*", "access": "user", "api": true, "cache": "origin"},
            {"path": "/api/test/caching/never/*", "access": "user", "api": true, "cache": "no-store"},
        ]))
        .start()
        .await?;
    let cache = Nginx::start(system.edges[0].addr()).await?;
    Ok((system, cache))
}

fn was_cached(answer: &Answer) -> bool {
    answer.header("x-cache") == Some("HIT")
}

async fn user(client: &Client, path: &str) -> Result<Value> {
    let answer = client.get(path).await?.expect(200)?;
    ensure!(
        !was_cached(&answer),
        "{path} came out of the cache: {answer}"
    );
    Ok(answer.json()?["user"].clone())
}

#[tokio::test]
async fn what_the_origin_lets_everybody_share_is_shared() -> Result<()> {
    let (system, cache) = site().await?;
    let client = system.client()?.at(cache.addr());
    let path = "/api/test/caching/open/x?control=public,max-age=600";
    let first = client.get(path).await?.expect(200)?;
    let again = client.get(path).await?.expect(200)?;
    ensure!(
        !was_cached(&first) && was_cached(&again),
        "the cache caches"
    );
    assert_eq!(first.json()?["count"], again.json()?["count"]);
    Ok(())
}

#[tokio::test]
async fn a_guarded_answer_is_nobody_elses() -> Result<()> {
    let (system, cache) = site().await?;
    let bob = system.login(&BOB).await?.at(cache.addr());
    let ada = system.login(&ADA).await?.at(cache.addr());
    let stranger = system.client()?.at(cache.addr());
    for (index, control) in [
        "",
        "public",
        "max-age=600",
        "public,max-age=600",
        "s-maxage=600",
        "public,max-age=600,immutable",
        "max-age=600,stale-while-revalidate=600",
        "no-transform",
    ]
    .iter()
    .enumerate()
    {
        let path = match *control {
            "" => format!("/api/test/caching/{index}"),
            control => format!("/api/test/caching/{index}?control={control}"),
        };
        let (for_bob, for_ada) = (user(&bob, &path).await?, user(&ada, &path).await?);
        ensure!(
            for_bob != for_ada && for_bob.is_string(),
            "{control}: {for_bob} {for_ada}"
        );
        assert_eq!(user(&bob, &path).await?, for_bob, "{control}");
        stranger
            .get(&path)
            .await?
            .expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}

#[tokio::test]
async fn headers_for_shared_caches_alone_open_nothing() -> Result<()> {
    let (system, cache) = site().await?;
    let bob = system.login(&BOB).await?.at(cache.addr());
    let ada = system.login(&ADA).await?.at(cache.addr());
    let targeted =
        "X-Accel-Expires,Surrogate-Control,CDN-Cache-Control,Cloudflare-CDN-Cache-Control";
    for (index, control) in ["", "&control=private", "&control=no-store"]
        .iter()
        .enumerate()
    {
        let path = format!("/api/test/caching/{index}?targeted={targeted}{control}");
        let straight = bob
            .at(system.edges[0].addr())
            .get(&path)
            .await?
            .expect(200)?;
        for name in targeted.split(',') {
            ensure!(straight.header(name).is_none(), "{control}: {name}");
        }
        ensure!(user(&bob, &path).await? != user(&ada, &path).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_guarded_answer_is_shared_only_where_rule_and_origin_both_say_so() -> Result<()> {
    let (system, cache) = site().await?;
    let bob = system.login(&BOB).await?.at(cache.addr());
    let ada = system.login(&ADA).await?.at(cache.addr());
    for control in [
        "",
        "?control=max-age=600",
        "?control=private",
        "?control=no-cache",
    ] {
        let path = format!("/api/test/caching/shared/x{control}");
        ensure!(
            user(&bob, &path).await? != user(&ada, &path).await?,
            "{control}"
        );
    }
    let path = "/api/test/caching/shared/x?control=public,max-age=600";
    bob.get(path).await?.expect(200)?;
    let again = ada.get(path).await?.expect(200)?;
    ensure!(was_cached(&again), "{again}");
    Ok(())
}

/// The worker remembers what it once said of a text, and must not say it where it is wrong.
#[tokio::test]
async fn the_same_text_is_judged_by_rule_and_headers_each_time() -> Result<()> {
    const TARGETED: &str = "cdn-cache-control";
    let (system, _) = site().await?;
    let bob = system.login(&BOB).await?;
    for (path, control, targeted, said, stays) in [
        ("x", "private", false, "private", false),
        ("x", "private", true, "private", false),
        ("shared/x", "private", true, "private", true),
        (
            "x",
            "public,max-age=60",
            false,
            "private, max-age=60",
            false,
        ),
        (
            "shared/x",
            "public,max-age=60",
            false,
            "public,max-age=60",
            false,
        ),
        ("x", "public,max-age=60", true, "private, max-age=60", false),
    ] {
        let targeted = if targeted { TARGETED } else { "" };
        let path = format!("/api/test/caching/{path}?control={control}&targeted={targeted}");
        let answer = bob.get(&path).await?.expect(200)?;
        assert_eq!(answer.header("cache-control"), Some(said), "{path}");
        assert_eq!(answer.header(TARGETED).is_some(), stays, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn no_store_by_rule_is_said_whatever_the_origin_says() -> Result<()> {
    let (system, _) = site().await?;
    let bob = system.login(&BOB).await?;
    for said in [
        "",
        "control=public,max-age=60",
        "control=private,immutable",
        "control=no-store",
        "control=no-store&targeted=cdn-cache-control",
        "targeted=Surrogate-Control,X-Accel-Expires",
    ] {
        let path = format!("/api/test/caching/never/x?{said}");
        let answer = bob.get(&path).await?.expect(200)?;
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{said}");
        for name in ["cdn-cache-control", "surrogate-control", "x-accel-expires"] {
            ensure!(answer.header(name).is_none(), "{said}: {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_renewal_is_not_kept_even_where_the_origin_decides() -> Result<()> {
    let (system, cache) = site().await?;
    let bob = system.login(&BOB).await?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    let path = "/api/test/caching/shared/x?control=public,max-age=600&targeted=X-Accel-Expires";
    let renewed = bob.at(cache.addr()).get(path).await?.expect(200)?;
    assert_eq!(renewed.headers_named("set-cookie").len(), 2);
    let stranger = system.client()?.at(cache.addr());
    stranger
        .get(path)
        .await?
        .expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn a_bearers_answer_is_nobody_elses() -> Result<()> {
    let (system, cache) = site().await?;
    let bob = system.login(&BOB).await?;
    let token = bob.cookie(cookie::ACCESS).context("access cookie")?;
    let stranger = system.client()?.at(cache.addr());
    let path = "/api/test/caching/x?control=public,max-age=600";
    let request = stranger.request(Method::GET, path).mode(Mode::Bare);
    let answer = request.bearer(&token).send().await?.expect(200)?;
    ensure!(answer.json()?["user"].is_string());
    stranger
        .get(path)
        .await?
        .expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn refusals_are_made_anew() -> Result<()> {
    let (system, cache) = site().await?;
    let stranger = system.client()?.at(cache.addr());
    let bob = system.login(&BOB).await?.at(cache.addr());
    let path = "/api/test/caching/x";
    for _ in 0..2 {
        let refused = stranger.get(path).await?;
        ensure!(!was_cached(&refused));
        refused.expect_problem(401, "unauthenticated")?;
        let led = stranger.navigate("/elsewhere").await?.expect(303)?;
        ensure!(!was_cached(&led));
        let misread = stranger.get("/api//x").await?.expect(400)?;
        ensure!(!was_cached(&misread));
    }
    bob.get(path).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn no_session_cookie_is_ever_kept() -> Result<()> {
    let (system, cache) = site().await?;
    let visitor = system.client()?.at(cache.addr());
    // A sign-in, a renewal, a sign-out.
    visitor.sign_in(&BOB).await?.expect(200)?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    let path = "/api/test/caching/x?control=public,max-age=600";
    let renewed = visitor.get(path).await?.expect(200)?;
    assert_eq!(renewed.headers_named("set-cookie").len(), 2);
    let page = visitor.get("/auth/session").await?.expect(200)?;
    ensure!(!was_cached(&page));
    let before = visitor.cookies();

    let stranger = system.client()?.at(cache.addr());
    for path in [
        path,
        "/auth/session",
        "/auth/sessions",
        "/auth/account",
        "/auth/login",
    ] {
        for _ in 0..2 {
            let answer = stranger.get(path).await?;
            ensure!(!was_cached(&answer), "{path}: {answer}");
            let cookies = answer.headers_named("set-cookie");
            ensure!(
                !cookies
                    .iter()
                    .any(|set| before.iter().any(|(_, value)| set.contains(value))),
                "{path}"
            );
        }
    }
    ensure!(
        stranger.cookie(cookie::ACCESS).is_none() && stranger.cookie(cookie::REFRESH).is_none()
    );
    visitor.logout().await?.expect(204)?;
    stranger
        .get("/auth/session")
        .await?
        .expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn a_renewal_on_a_cacheable_page_is_not_kept() -> Result<()> {
    let (system, cache) = site().await?;
    let bob = system.login(&BOB).await?;
    system.advance(Duration::from_secs(16 * 60)).await?;
    let visitor = bob.at(cache.addr());
    let path = "/api/test/caching/x?control=public,max-age=600&cookie=theme=dark";
    let renewed = visitor.get(path).await?.expect(200)?;
    assert_eq!(renewed.headers_named("set-cookie").len(), 3);
    let ada = system.login(&ADA).await?.at(cache.addr());
    let hers = ada.get(path).await?.expect(200)?;
    ensure!(
        !was_cached(&hers) && hers.headers_named("set-cookie").len() == 1,
        "{hers}"
    );
    Ok(())
}
