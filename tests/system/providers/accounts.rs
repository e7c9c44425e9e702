//! Whose account it is: an identity is (issuer, subject); who may have an account; when an address leads to one.

use anyhow::{Context as _, Result, ensure};
use harness::idp::Hostile;
use harness::idp::hostile::SignIn;
use harness::system::{ADA, BOB, Client, System};
use serde_json::{Value, json};

use super::{is_nobody, sign_in, signed_in, system_with};

async fn user(client: &Client) -> Result<Value> {
    Ok(client.get("/auth/session").await?.expect(200)?.json()?["user"].clone())
}

/// The same words for everybody, so that nobody learns who has an account.
async fn is_refused(system: &System, provider: &Hostile, plan: &SignIn) -> Result<String> {
    let client = system.client()?;
    let page = sign_in(&client, provider, plan).await?.expect(403)?;
    is_nobody(&client).await?;
    ensure!(page.text().contains("href=\"/auth/login"), "{page}");
    Ok(page.text())
}

#[tokio::test]
async fn a_person_is_known_by_issuer_and_subject_and_by_nothing_else() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    let first = user(&signed_in(&system, &provider, &SignIn::of("carol")).await?).await?;

    // Another name and another address, unverified: the same account, which keeps its own address.
    let renamed = SignIn::of("carol")
        .person(&json!({"email": BOB.email, "email_verified": false, "name": "Bob"}));
    let second = user(&signed_in(&system, &provider, &renamed).await?).await?;
    assert_eq!(
        (&second["id"], &second["email"]),
        (&first["id"], &first["email"])
    );

    // The same name and address under another subject: somebody else, whose address is taken.
    let impostor = SignIn::of("carol").person(&json!({"sub": "another"}));
    is_refused(&system, &provider, &impostor).await?;
    Ok(())
}

#[tokio::test]
async fn an_address_leads_to_an_account_only_if_setting_and_provider_say_so() -> Result<()> {
    let bobs = |verified: Value| {
        SignIn::of("robert").person(&json!({"email": BOB.email, "email_verified": verified}))
    };
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[]).await?;
    let bob = user(&system.login(&BOB).await?).await?;
    is_refused(&system, &provider, &bobs(json!(true))).await?;
    drop(system);

    let system = system_with(&provider, &[("OIDC_EVIL_LINK", "verified-email")]).await?;
    for unverified in [json!(false), json!(null)] {
        is_refused(&system, &provider, &bobs(unverified)).await?;
    }
    // An ID token with a value of a wrong type is none at all, so these are told by the userinfo endpoint.
    for unverified in [json!("false"), json!(1), json!([true])] {
        let plan = bobs(unverified).claims(json!({"email": null, "email_verified": null}));
        is_refused(&system, &provider, &plan).await?;
    }
    let upper = SignIn::of("robert").person(&json!({"email": BOB.email.to_uppercase()}));
    let linked = user(&signed_in(&system, &provider, &upper).await?).await?;
    assert_eq!(linked["email"], bob["email"]);
    assert_eq!(
        linked["roles"], bob["roles"],
        "the account's own roles stay"
    );
    // From now on by the subject alone.
    let plan = bobs(json!(false));
    let again = user(&signed_in(&system, &provider, &plan).await?).await?;
    assert_eq!(again["id"], linked["id"]);
    // Bob's password still opens the same account.
    let by_password = user(&system.login(&BOB).await?).await?;
    assert_eq!(by_password["id"], linked["id"]);
    Ok(())
}

/// Somebody registers another's address at a provider that does not verify, and waits for the owner to be linked to it.
#[tokio::test]
async fn an_account_of_an_unverified_address_gets_no_second_owner() -> Result<()> {
    let (sloppy, honest) = (
        Hostile::start("sloppy").await?,
        Hostile::start("honest").await?,
    );
    let system = System::builder()
        .settings(sloppy.settings())
        .settings(honest.settings())
        .setting("OIDC_HONEST_LINK", "verified-email")
        .start()
        .await?;
    let squatter = SignIn::of("squatter")
        .person(&json!({"email": "victim@hostile.test", "email_verified": false}));
    signed_in(&system, &sloppy, &squatter).await?;
    is_refused(&system, &honest, &SignIn::of("victim")).await?;
    Ok(())
}

#[tokio::test]
async fn who_may_have_an_account_is_a_setting() -> Result<()> {
    let provider = Hostile::start("evil").await?;
    let system = system_with(&provider, &[("OIDC_EVIL_SIGNUP", "closed")]).await?;
    let closed = is_refused(&system, &provider, &SignIn::of("carol")).await?;
    // Who has an account here hears the same as who has none.
    let ada = SignIn::of("x").person(&json!({"email": ADA.email}));
    assert_eq!(is_refused(&system, &provider, &ada).await?, closed);
    drop(system);

    let domains = [
        ("OIDC_EVIL_SIGNUP", "domains"),
        ("OIDC_EVIL_DOMAINS", "hostile.test, example.org"),
    ];
    let system = system_with(&provider, &domains).await?;
    for (email, verified) in [
        ("a@elsewhere.test", true),
        ("a@hostile.test.evil.test", true),
        ("a@xhostile.test", true),
        ("a@sub.hostile.test", true),
        ("a@hostile.test@evil.test", true),
        ("a@hostile.test", false),
    ] {
        let plan = SignIn::of("a").person(&json!({"email": email, "email_verified": verified}));
        is_refused(&system, &provider, &plan).await.context(email)?;
    }
    let nobody = SignIn::of("a").person(&json!({"email": null}));
    is_refused(&system, &provider, &nobody).await?;
    for email in ["a@hostile.test", "b@EXAMPLE.org"] {
        let plan = SignIn::of(email).person(&json!({"email": email}));
        signed_in(&system, &provider, &plan).await.context(email)?;
    }
    Ok(())
}
