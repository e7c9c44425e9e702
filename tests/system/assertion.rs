//! `Portcullis-Assertion` as the example origins in three languages check it: good for the request that it came with, once,
//! and for nothing else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::examples::{ExampleOrigin, Language};
use harness::nginx::Nginx;
use harness::origin::Origin;
use harness::ports;
use harness::system::{ADA, BOB, Method, Mode, System, http_client};
use serde_json::json;
use shared::assertion::{self, Asserter, AssertionKey, LIFETIME, Request, Serial};
use shared::claims::Claims;
use shared::cookie;
use shared::id::{SessionId, TokenId, UserId};
use shared::secret::RootSecret;
use shared::time::UnixTime;

use crate::wire::of_session;

const ORIGIN_SECRET: &str = "tT9wXc4mQz7kLp2vNb6yRf3sHd8gJa5e";
const OTHER_SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

#[tokio::test]
async fn an_origin_in_rust_knows_who_comes_through_the_edge() -> Result<()> {
    knows_who_comes_through_the_edge(Language::Rust).await
}

#[tokio::test]
async fn an_origin_in_javascript_knows_who_comes_through_the_edge() -> Result<()> {
    knows_who_comes_through_the_edge(Language::JavaScript).await
}

#[tokio::test]
async fn an_origin_in_python_knows_who_comes_through_the_edge() -> Result<()> {
    knows_who_comes_through_the_edge(Language::Python).await
}

async fn knows_who_comes_through_the_edge(language: Language) -> Result<()> {
    let port = ports::free()?;
    let system = System::builder()
        .edge_setting("ORIGIN_URL", &format!("http://127.0.0.1:{port}"))
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .start()
        .await?;
    // While the secret is being changed, an origin knows both.
    let secrets = format!("{OTHER_SECRET},{ORIGIN_SECRET}");
    let _origin = ExampleOrigin::start(language, port, system.public_url(), &secrets).await?;
    let bob = system.login(&BOB).await?;
    let user = of_session(&bob, "/user/id").await?;
    let long = format!("/api/x?q={}", "a".repeat(6_000));
    for (method, path) in [
        (Method::GET, "/api/x?q=1&r=%2F"),
        (Method::GET, "/api/x?"),
        (Method::POST, "/app/a%20b"),
        (Method::GET, "/app/%7e[x]?'"),
        (Method::GET, "/app/%C3%A9?%c3"),
        (Method::DELETE, "/api/"),
        (Method::GET, &long),
    ] {
        // Twice: the second request has an assertion of its own.
        for _ in 0..2 {
            let answer = bob.request(method.clone(), path).send().await?;
            let told = answer.expect(200)?.json()?;
            assert_eq!(told["sub"], user, "{path}");
            assert_eq!(told["roles"], json!(["user"]), "{path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_origin_in_rust_lets_in_nothing_else() -> Result<()> {
    lets_in_nothing_else(Language::Rust).await
}

#[tokio::test]
async fn an_origin_in_javascript_lets_in_nothing_else() -> Result<()> {
    lets_in_nothing_else(Language::JavaScript).await
}

#[tokio::test]
async fn an_origin_in_python_lets_in_nothing_else() -> Result<()> {
    lets_in_nothing_else(Language::Python).await
}

async fn lets_in_nothing_else(language: Language) -> Result<()> {
    let site = "https://app.example.test";
    let origin = ExampleOrigin::start(language, ports::free()?, site, ORIGIN_SECRET).await?;
    let offer = Offer { origin };
    let forger = Forger::new(site, ORIGIN_SECRET)?;
    let good = forger.assertion("POST", "/api/x?q=1", now()?);
    let (post, target) = (Method::POST, "/api/x?q=1");
    assert_eq!(offer.send(post.clone(), target, &[&good]).await?, 200);
    assert_eq!(
        offer.send(post.clone(), target, &[&good]).await?,
        403,
        "a replay"
    );
    for (method, path) in [
        (Method::GET, "/api/x?q=1"),
        (Method::PUT, "/api/x?q=1"),
        (Method::POST, "/api/x?q=2"),
        (Method::POST, "/api/x"),
        (Method::POST, "/api/x?q=1&r=2"),
        (Method::POST, "/api/y?q=1"),
        (Method::POST, "/api/X?q=1"),
        (Method::POST, "/api/%78?q=1"),
        (Method::POST, "/admin/x?q=1"),
    ] {
        let unused = forger.assertion("POST", "/api/x?q=1", now()?);
        let status = offer.send(method.clone(), path, &[&unused]).await?;
        assert_eq!(status, 403, "{method} {path}");
        // It was refused for the request alone.
        let status = offer.send(post.clone(), target, &[&unused]).await?;
        assert_eq!(status, 200, "{method} {path}");
    }
    let fresh = || anyhow::Ok(forger.assertion("POST", target, now()?));
    let expired = now()?.minus(LIFETIME + Duration::from_secs(1));
    let one = fresh()?;
    let (head, rest) = one.split_once('.').context("a JWS")?;
    let (payload, tag) = rest.split_once('.').context("a JWS")?;
    let none = "eyJ0eXAiOiJwb3J0Y3VsbGlzLWFzc2VydGlvbitqd3QiLCJhbGciOiJub25lIn0";
    let access_token = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9";
    let another = fresh()?;
    let tag_of_another = another.rsplit_once('.').context("a JWS")?.1;
    for (forged, why) in [
        (forger.assertion("POST", target, expired), "expired"),
        (
            Forger::new(site, OTHER_SECRET)?.assertion("POST", target, now()?),
            "another secret",
        ),
        (
            Forger::new("https://other.example.test", ORIGIN_SECRET)?.assertion(
                "POST",
                target,
                now()?,
            ),
            "another site",
        ),
        (String::new(), "nothing"),
        ("x".to_owned(), "no JWS"),
        (format!("{head}.{payload}."), "no signature"),
        (format!("{head}.{payload}"), "two parts"),
        (format!("{none}.{payload}."), "alg none"),
        (format!("{access_token}.{payload}.{tag}"), "another header"),
        (
            format!("{head}.{payload}.{tag_of_another}"),
            "another signature",
        ),
        (format!("{one}x"), "one character more"),
        (format!("{one}, {one}"), "two in one"),
    ] {
        let status = offer.send(post.clone(), target, &[&forged]).await?;
        assert_eq!(status, 403, "{why}");
    }
    assert_eq!(offer.send(post.clone(), target, &[]).await?, 403, "none");
    let two = [one.as_str(), &another];
    assert_eq!(offer.send(post.clone(), target, &two).await?, 403, "two");
    assert_eq!(offer.send(post, target, &[&one]).await?, 200, "still good");
    Ok(())
}

/// An example origin that is reached without the edge.
struct Offer {
    origin: ExampleOrigin,
}

impl Offer {
    async fn send(&self, method: Method, target: &str, assertions: &[&str]) -> Result<u16> {
        let url = format!("http://{}{target}", self.origin.addr());
        let mut request = http_client()?.request(method, url);
        for assertion in assertions {
            request = request.header("portcullis-assertion", *assertion);
        }
        Ok(request.send().await?.status().as_u16())
    }
}

/// Makes assertions as the edge does, each with a serial of its own.
struct Forger {
    asserter: Asserter,
    next: std::cell::Cell<u64>,
}

impl Forger {
    fn new(site: &str, secret: &str) -> Result<Self> {
        let key = AssertionKey::from(&RootSecret::parse(secret)?);
        let claims = Claims {
            iss: site.to_owned(),
            aud: site.to_owned(),
            sub: UserId::from_bytes([1; 16]),
            client_id: "browser".to_owned(),
            sid: SessionId::from_bytes([2; 16]),
            jti: TokenId::from_bytes([3; 16]),
            iat: UnixTime::from_secs(0),
            exp: UnixTime::from_secs(0),
            auth_time: UnixTime::from_secs(0),
            ver: 1,
            roles: vec!["user".to_owned()],
            act: None,
        };
        Ok(Self {
            asserter: Asserter::new(&key, site, &claims),
            next: std::cell::Cell::default(),
        })
    }

    fn assertion(&self, method: &str, target: &str, at: UnixTime) -> String {
        let number = self.next.replace(self.next.get() + 1);
        let maker = [9; 16];
        self.asserter
            .assert(method, target, Serial { maker, number }, at)
    }
}

fn now() -> Result<UnixTime> {
    let since_epoch = std::time::UNIX_EPOCH.elapsed()?;
    Ok(UnixTime::from_secs(since_epoch.as_secs().cast_signed()))
}

/// nginx takes 8 KB for all of a header line where nobody has told it otherwise, and as much for the request line.
#[tokio::test]
async fn an_assertion_for_a_long_url_passes_through_nginx() -> Result<()> {
    let origin = Origin::start().await?;
    let nginx = Nginx::start(origin.addr()).await?;
    let system = System::builder()
        .edge_setting("ORIGIN_URL", &format!("http://{}", nginx.addr()))
        .start()
        .await?;
    let bob = system.login(&BOB).await?;
    let mut lengths = Vec::new();
    for length in [1, 6_000, 7_900] {
        let path = format!("/api/x?q={}", "a".repeat(length));
        let received = bob.get(&path).await?.expect(200)?.received()?;
        let assertion = received.header("portcullis-assertion");
        lengths.push(assertion.context("an assertion")?.len());
    }
    ensure!(
        lengths.iter().all(|length| *length == lengths[0]),
        "{lengths:?}"
    );
    Ok(())
}

#[tokio::test]
async fn no_two_assertions_have_the_same_name() -> Result<()> {
    let system = System::builder()
        .edges(2)
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .start()
        .await?;
    let keys = [AssertionKey::from(&RootSecret::parse(ORIGIN_SECRET)?)];
    let request = Request {
        method: "GET",
        site: system.public_url(),
        path_and_query: "/api/x",
    };
    let bob = system.login(&BOB).await?;
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..3 {
        for edge in &system.edges {
            let bob = bob.at(edge.addr());
            for _ in 0..3 {
                let received = bob.get("/api/x").await?.expect(200)?.received()?;
                let assertion = received.header("portcullis-assertion");
                let assertion = assertion.context("an assertion")?;
                let identity = assertion::verify(assertion, &keys, request, now()?)?;
                let name = identity.id().to_owned();
                ensure!(seen.insert(name.clone()), "{name} came twice");
            }
            if round == 1 {
                edge.restart().await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_assertion_is_no_access_token() -> Result<()> {
    // Even where tokens are signed with a secret of the same text.
    let system = System::builder()
        .setting("JWT_SECRET", ORIGIN_SECRET)
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .start()
        .await?;
    let ada = system.login(&ADA).await?;
    let received = ada.get("/api/x").await?.expect(200)?.received()?;
    let assertion = received.header("portcullis-assertion");
    let thief = system.client()?;
    let request = thief.request(Method::GET, "/api/x").mode(Mode::Bare);
    let request = request.bearer(assertion.context("an assertion")?);
    request.send().await?.expect_problem(401, "token_invalid")?;

    // And the other way round.
    let token = ada.cookie(cookie::ACCESS).context("access cookie")?;
    let refresh = ada.cookie(cookie::REFRESH).context("refresh cookie")?;
    let port = ports::free()?;
    let site = system.public_url();
    let origin = ExampleOrigin::start(Language::JavaScript, port, site, ORIGIN_SECRET).await?;
    let offer = Offer { origin };
    for other in [&token, &refresh] {
        let status = offer.send(Method::GET, "/api/x", &[other]).await?;
        assert_eq!(status, 403);
    }
    Ok(())
}
