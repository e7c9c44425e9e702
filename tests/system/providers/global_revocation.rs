//! Global token revocation (draft-parecki-oauth-global-token-revocation): a provider ends everything of a person.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::idp::Hostile;
use harness::idp::hostile::{CLIENT_ID, SignIn, Signature};
use harness::system::{Answer, BOB, Client, Method, Mode, System};
use serde_json::{Value, json};

use super::{signed_in, system_with};

const PATH: &str = "/auth/global-token-revocation/evil";
const TYPE: &str = "global-token-revocation+jwt";
/// Of `/admin/*` in wrangler.toml.
const BOUND: Duration = Duration::from_secs(2);

async fn start(provider: &Hostile) -> Result<System> {
    let settings = [
        ("OIDC_EVIL_LINK", "verified-email"),
        ("OIDC_EVIL_ROLES_CLAIM", "groups"),
        ("OIDC_EVIL_ROLES", "operators=admin"),
    ];
    system_with(provider, &settings).await
}

/// The claims of a good bearer token, with `changes`; `null` leaves one out.
fn claims(system: &System, provider: &Hostile, changes: &Value) -> Value {
    let mut right = provider.logout_claims("not used", &json!({"sub": null, "events": null}));
    right["aud"] = json!(format!("{}{PATH}", system.public_url()));
    for (name, value) in changes.as_object().into_iter().flatten() {
        match (value.is_null(), right.as_object_mut()) {
            (true, Some(members)) => drop(members.remove(name)),
            _ => right[name] = value.clone(),
        }
    }
    right
}

fn bearer(system: &System, provider: &Hostile) -> Result<String> {
    provider.token(TYPE, &claims(system, provider, &json!({})), Signature::Good)
}

async fn post(system: &System, bearer: &str, body: &Value) -> Result<Answer> {
    let client = system.client()?;
    let request = client.request(Method::POST, PATH).mode(Mode::Bare);
    request.bearer(bearer).json(body).send().await
}

fn by_subject(provider: &Hostile, subject: &str) -> Value {
    json!({"sub_id": {"format": "iss_sub", "iss": provider.issuer_url(), "sub": subject}})
}

async fn ends_within_the_bound(client: &Client, ended: Instant) -> Result<()> {
    loop {
        let sent = ended.elapsed();
        let answer = client.get("/admin/x").await?;
        if answer.status() != 200 {
            answer.expect_problem(401, "session_ended")?;
            return client.refresh().await?.expect(401).map(drop);
        }
        ensure!(sent <= BOUND, "let in {sent:?} after its end");
    }
}

#[tokio::test]
async fn everything_of_a_person_ends_within_the_bound_however_it_began() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let bob = SignIn::of("bob").person(&json!({"email": BOB.email, "groups": ["operators"]}));
    let carol = signed_in(&system, &provider, &SignIn::of("carol")).await?;
    let subject = "subject-of-bob";
    for body in [
        by_subject(&provider, subject),
        json!({"sub_id": {"format": "opaque", "id": subject}}),
        json!({"sub_id": {"format": "email", "email": BOB.email}}),
        json!({"subject": {"format": "opaque", "id": subject}}),
    ] {
        let by_provider = signed_in(&system, &provider, &bob).await?;
        let by_password = system.login(&BOB).await?;
        for client in [&by_provider, &by_password] {
            client.get("/admin/x").await?.expect(200)?;
        }
        let answer = post(&system, &bearer(&system, &provider)?, &body).await?;
        let ended = Instant::now();
        answer.expect(204)?;
        ends_within_the_bound(&by_provider, ended).await?;
        by_password.refresh().await?.expect(401)?;
    }
    carol.get("/auth/session").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_caller_that_is_not_the_provider_ends_nothing() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let client = signed_in(&system, &provider, &SignIn::default()).await?;
    let body = by_subject(&provider, "subject-of-carol");
    let now = system.clock().now().to_secs().secs();
    let wrong = [
        ("another iss", json!({"iss": "https://accounts.google.com"})),
        ("no iss", json!({"iss": null})),
        (
            "another aud",
            json!({"aud": format!("{}/auth/backchannel-logout/evil", system.public_url())}),
        ),
        ("no aud", json!({"aud": null})),
        ("expired", json!({"iat": now - 600, "exp": now - 300})),
        ("no exp", json!({"exp": null})),
        ("no jti", json!({"jti": null})),
    ];
    let mut failures = Vec::new();
    let mut try_with = async |what: String, token: String| {
        let answer = post(&system, &token, &body).await?;
        let told = answer.header("www-authenticate").is_some();
        if answer.code().as_deref() != Some("token_invalid") || answer.status() != 401 || !told {
            failures.push(format!("{what}: {answer}"));
        }
        anyhow::Ok(())
    };
    for (what, changes) in wrong {
        let claims = claims(&system, &provider, &changes);
        try_with(
            what.to_owned(),
            provider.token(TYPE, &claims, Signature::Good)?,
        )
        .await?;
    }
    let good = || claims(&system, &provider, &json!({}));
    for signature in [
        Signature::Absent,
        Signature::HmacOfSecret,
        Signature::HmacOfPublicKey,
        Signature::UnknownKid,
        Signature::ForeignKey,
        Signature::KeyInHeader,
        Signature::Broken,
    ] {
        let token = provider.token(TYPE, &good(), signature)?;
        try_with(format!("{signature:?}"), token).await?;
    }
    // Signed by the provider, but for something else: a logout token, an ID token.
    for (typ, aud) in [
        ("logout+jwt", None),
        ("JWT", Some(CLIENT_ID)),
        ("at+jwt", None),
    ] {
        let mut claims = good();
        if let Some(aud) = aud {
            claims["aud"] = json!(aud);
        }
        try_with(
            typ.to_owned(),
            provider.token(typ, &claims, Signature::Good)?,
        )
        .await?;
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    client.get("/auth/session").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_bearer_token_counts_once_and_nobody_calls_without_one() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = start(&provider).await?;
    let body = by_subject(&provider, "subject-of-carol");
    signed_in(&system, &provider, &SignIn::default()).await?;
    let token = bearer(&system, &provider)?;
    post(&system, &token, &body).await?.expect(204)?;
    let client = signed_in(&system, &provider, &SignIn::default()).await?;
    post(&system, &token, &body)
        .await?
        .expect_problem(401, "token_invalid")?;

    let stranger = system
        .client()?
        .request(Method::POST, PATH)
        .mode(Mode::Bare);
    stranger
        .json(&body)
        .send()
        .await?
        .expect_problem(401, "unauthenticated")?;
    client.get("/auth/session").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_provider_ends_only_who_came_from_it() -> Result<()> {
    let (evil, honest) = (
        Hostile::start("evil").await?,
        Hostile::start("honest").await?,
    );
    let system = System::builder()
        .settings(evil.settings())
        .settings(honest.settings())
        .start()
        .await?;
    let dave = signed_in(&system, &honest, &SignIn::of("dave")).await?;
    let bob = system.login(&BOB).await?;
    for (body, status, code) in [
        (by_subject(&evil, "subject-of-dave"), 404, "not_found"),
        (
            by_subject(&honest, "subject-of-dave"),
            400,
            "invalid_request",
        ),
        (
            json!({"sub_id": {"format": "email", "email": BOB.email}}),
            404,
            "not_found",
        ),
        (
            json!({"sub_id": {"format": "email", "email": "dave@hostile.test"}}),
            404,
            "not_found",
        ),
        (
            json!({"sub_id": {"format": "phone_number", "phone_number": "1"}}),
            400,
            "invalid_request",
        ),
        (
            json!({"sub_id": {"format": "opaque"}}),
            400,
            "invalid_request",
        ),
        (json!({"sub_id": "subject-of-dave"}), 400, "invalid_request"),
        (json!({}), 400, "invalid_request"),
        (json!([]), 400, "invalid_request"),
    ] {
        let answer = post(&system, &bearer(&system, &evil)?, &body).await?;
        answer.expect_problem(status, code)?;
    }
    for client in [&dave, &bob] {
        client.get("/auth/session").await?.expect(200)?;
    }
    Ok(())
}
