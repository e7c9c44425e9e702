//! The life of keys: those that sign tokens, and the one that seals them in Postgres.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, BOB, Client, System};
use harness::wait::until;
use serde_json::json;
use shared::cookie;
use shared::key::KeySet;
use shared::secret::RootSecret;
use shared::wire::kv;

use crate::support::{issuer, operator, published, until_published};

const SOON: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

const OLD: &str = "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J";
const NEW: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

/// The names of the keys that an issuer publishes.
async fn jwks(system: &System, issuer: usize) -> Result<BTreeSet<String>> {
    let client = system.issuer_client(issuer)?;
    let answer = client.get("/.well-known/jwks.json").await?.expect(200)?;
    let keys = answer.json()?["keys"].clone();
    let keys = keys.as_array().context("an array of keys")?;
    let kid = |key: &serde_json::Value| Some(key["kid"].as_str()?.to_owned());
    keys.iter().map(kid).collect::<Option<_>>().context("a kid")
}

/// The names of the keys that edges find in KV.
fn in_kv(system: &System) -> Option<BTreeSet<String>> {
    let secret = system.issuers[0].settings().get("EDGE_SECRET")?;
    let secrets = RootSecret::parse_list(secret).ok()?;
    let (keys, _) = KeySet::open(&system.kv.value(kv::KEY_SET)?, &secrets).ok()?;
    let kids = keys.keys().iter().map(|key| key.kid().to_owned());
    Some(kids.collect())
}

/// The name of the key that signed a client's access token.
fn signed_by(client: &Client) -> Result<String> {
    let access = client.cookie(cookie::ACCESS).context("an access cookie")?;
    Ok(shared::token::untrusted_kid(&access)?.to_string())
}

async fn rows(system: &System) -> Result<BTreeSet<String>> {
    let mut db = system.db.connect().await?;
    let kids: Vec<String> = sqlx::query_scalar("select kid from signing_keys")
        .fetch_all(&mut db)
        .await?;
    Ok(kids.into_iter().collect())
}

/// As another issuer would.
async fn call(system: &System, channel: &str) -> Result<()> {
    let mut db = system.db.connect().await?;
    sqlx::query("select pg_notify($1, '')")
        .bind(channel)
        .execute(&mut db)
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_old_encryption_key_can_be_taken_away_after_a_rotation() -> Result<()> {
    let mut system = System::builder()
        .setting("ENCRYPTION_KEY", OLD)
        .start()
        .await?;
    let client = system.login(&ADA).await?;
    let late = system.login(&ADA).await?;
    let signed = signed_by(&client)?;
    let both = format!("{NEW},{OLD}");
    system.issuers[0]
        .reconfigure("ENCRYPTION_KEY", &both)
        .await?;
    // What the old key sealed opens, and is sealed by the new one from now on.
    client.refresh().await?.expect(200)?;
    system.issuers[0].reconfigure("ENCRYPTION_KEY", NEW).await?;
    client.get("/api/x").await?.expect(200)?;
    client.refresh().await?.expect(200)?;
    client.get("/admin/x").await?.expect(200)?;
    assert_eq!(signed_by(&client)?, signed, "the signing key is the same");
    // Whoever did not come by while both were there signs in again.
    late.refresh().await?.expect_problem(401, "token_invalid")?;
    let refused = system.issuers[0].reconfigure("ENCRYPTION_KEY", OLD).await;
    ensure!(refused.is_err(), "the old key opens nothing any more");
    Ok(())
}

#[tokio::test]
async fn a_signing_key_is_replaced_without_anybody_noticing() -> Result<()> {
    let system = System::builder().issuers(2).start().await?;
    let client = system.login(&BOB).await?;
    let old = signed_by(&client)?;
    let printed = operator(&system, &["keys", "list"]).await?;
    ensure!(
        printed.starts_with(&format!("{old}  EdDSA  active  from ")),
        "{printed}"
    );

    let printed = operator(&system, &["keys", "rotate"]).await?;
    let (new, when) = printed.split_once(' ').context("a kid")?;
    assert_eq!(when.trim_end(), "signs in 10 minutes");
    let both = BTreeSet::from([old.clone(), new.to_owned()]);
    for issuer in 0..2 {
        until("the new key to be published", SOON, async || {
            jwks(&system, issuer).await.is_ok_and(|kids| kids == both)
        })
        .await?;
    }
    until("the new key in KV", SOON, async || {
        in_kv(&system).as_ref() == Some(&both)
    })
    .await?;
    let printed = operator(&system, &["keys", "list"]).await?;
    let (first, second) = printed.split_once('\n').context("two lines")?;
    ensure!(
        first.starts_with(&format!("{old}  EdDSA  active  from ")),
        "{printed}"
    );
    ensure!(
        second.starts_with(&format!("{new}  EdDSA  next  from ")),
        "{printed}"
    );
    let listed = operator(&system, &["keys", "list", "--json"]).await?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    assert_eq!(listed[0]["state"], "active");
    assert_eq!(
        listed[0]["retires_at"], listed[1]["activates_at"],
        "{listed}"
    );
    ensure!(
        listed[0]["gone_at"].as_str() > listed[0]["retires_at"].as_str(),
        "{listed}"
    );
    client.refresh().await?.expect(200)?;
    assert_eq!(
        signed_by(&client)?,
        old,
        "before every edge knows the new one"
    );

    system.advance(11 * MINUTE).await?;
    let holder = client.copy();
    client.refresh().await?.expect(200)?;
    assert_eq!(signed_by(&client)?, new);
    client.get("/api/x").await?.expect(200)?;
    assert_eq!(signed_by(&holder)?, old);
    holder.remove_cookie(cookie::REFRESH);
    holder.get("/api/x").await?.expect(200)?;

    // Twice the life of a token and a minute after the old key has signed the last one.
    system.advance(31 * MINUTE).await?;
    call(&system, "portcullis_keys").await?;
    let one = BTreeSet::from([new.to_owned()]);
    for issuer in 0..2 {
        until("the old key to be gone", SOON, async || {
            jwks(&system, issuer).await.is_ok_and(|kids| kids == one)
        })
        .await?;
    }
    assert_eq!(rows(&system).await?, one);
    until("the old key gone from KV", SOON, async || {
        in_kv(&system).as_ref() == Some(&one)
    })
    .await?;
    client.refresh().await?.expect(200)?;
    client.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_withdrawn_key_opens_nothing_within_the_bound_and_nobody_signs_in_again() -> Result<()> {
    let rules = json!([
        { "path": "/admin/*", "access": "user", "api": true, "freshness": "2s" },
        { "path": "/api/*", "access": "user", "api": true, "freshness": "30s" },
    ]);
    let system = System::builder().routes(rules).start().await?;
    let client = system.login(&ADA).await?;
    let stolen = client.copy();
    stolen.remove_cookie(cookie::REFRESH);
    for path in ["/admin/x", "/api/x"] {
        stolen.get(path).await?.expect(200)?;
    }
    let old = signed_by(&client)?;
    let printed = operator(&system, &["keys", "revoke", &old]).await?;
    let new = printed
        .strip_prefix(&format!("{old} is withdrawn\n"))
        .and_then(|rest| rest.trim_end().strip_suffix(" signs now"));
    let new = new.with_context(|| printed.clone())?.to_owned();
    // The strict route asks the issuer's feed, the other one KV; the key set in both is older.
    system.advance(Duration::from_secs(2)).await?;
    let refused = stolen.get("/admin/x").await?;
    refused.expect_problem(401, "token_invalid")?;
    until_published(&system).await?;
    system.advance(Duration::from_secs(30)).await?;
    let refused = stolen.get("/api/x").await?;
    refused.expect_problem(401, "token_invalid")?;
    // Whoever has a refresh token gets a token under the new key, in the middle of the request.
    client.get("/admin/x").await?.expect(200)?;
    assert_eq!(signed_by(&client)?, new);
    let again = operator(&system, &["keys", "revoke", &old]).await;
    ensure!(again.is_err(), "there is no such key any more");
    assert_eq!(rows(&system).await?, BTreeSet::from([new]));
    Ok(())
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_by_an_edge_that_starts_later() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let stolen = client.copy();
    stolen.remove_cookie(cookie::REFRESH);
    operator(&system, &["keys", "revoke", &signed_by(&client)?]).await?;
    until_published(&system).await?;
    system.edges[0].restart().await?;
    let refused = stolen.get("/api/x").await?;
    refused.expect_problem(401, "token_invalid")?;
    client.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_configured_secret_is_not_rotated_by_command() -> Result<()> {
    let system = System::builder().edges(0).start().await?;
    let secret = ("JWT_SECRET", "9f3c1e7ab45d2086ee17c94b60fa8d23");
    let settings = system.issuers[0].settings().iter();
    let settings = settings.filter(|(name, _)| *name != "ORIGIN_SECRET");
    let settings: Vec<(&str, &str)> = settings
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain([secret])
        .collect();
    let ran = issuer(&["keys", "rotate"], &settings, "").await?;
    ensure!(
        !ran.success && ran.printed.contains("change that setting"),
        "{}",
        ran.printed
    );
    let ran = issuer(&["keys", "list"], &settings, "").await?;
    ensure!(
        ran.success && ran.printed.trim_end().ends_with("HS256  active"),
        "{}",
        ran.printed
    );
    assert_eq!(
        rows(&system).await?.len(),
        1,
        "the stored one is left alone"
    );
    Ok(())
}

/// A key that is sealed with something else, as a restored backup might hold one. It is the youngest.
const BROKEN: &str = "insert into signing_keys (kid, sealed_seed, created_at, activates_at)
                      values ('broken', decode(repeat('00', 80), 'hex'), now(), now())";

#[tokio::test]
async fn a_signing_key_that_nobody_can_open_is_named_and_keeps_nothing_from_working() -> Result<()>
{
    let system = System::builder().processes().start().await?;
    until("a head", SOON, async || published(&system).is_ok()).await?;
    let client = system.login(&BOB).await?;
    let good = BTreeSet::from([signed_by(&client)?]);
    let mut db = system.db.connect().await?;
    sqlx::raw_sql(BROKEN).execute(&mut db).await?;
    // All of it is due.
    system.kv.remove(kv::KEY_SET);
    call(&system, "portcullis_republish").await?;
    until("the keys in KV", SOON, async || {
        in_kv(&system).as_ref() == Some(&good)
    })
    .await?;
    client.refresh().await?.expect(200)?;
    client.logout().await?.expect(204)?;
    until_published(&system).await?;

    system.issuers[0].stop().await?;
    system.issuers[0].restart().await?;
    let again = system.login(&BOB).await?;
    again.get("/api/x").await?.expect(200)?;
    assert_eq!(BTreeSet::from([signed_by(&again)?]), good);
    let log = system.issuers[0].log().await;
    let named = log.lines().find(|line| line.contains("cannot be opened"));
    ensure!(named.is_some_and(|line| line.contains("broken")), "{log}");
    let listed = operator(&system, &["keys", "list"]).await?;
    ensure!(listed.contains("broken  EdDSA  unreadable"), "{listed}");
    operator(&system, &["keys", "revoke", "broken"]).await?;
    assert_eq!(rows(&system).await?, good);
    Ok(())
}

#[tokio::test]
async fn where_no_signing_key_can_be_opened_the_issuer_says_which_and_makes_none() -> Result<()> {
    let mut system = System::builder().edges(0).processes().start().await?;
    let before = rows(&system).await?;
    let refused = system.issuers[0].reconfigure("ENCRYPTION_KEY", NEW).await;
    let told = format!("{:#}", refused.err().context("it must not start")?);
    let kid = before.first().context("a key")?;
    ensure!(told.contains(kid.as_str()), "{told}");
    assert_eq!(rows(&system).await?, before);
    Ok(())
}

#[tokio::test]
async fn an_administrator_lists_rotates_and_withdraws_keys() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob) = (system.login(&ADA).await?, system.login(&BOB).await?);
    let old = signed_by(&bob)?;
    let list = async |client: &Client| client.get("/auth/admin/keys").await;
    let listed = list(&ada).await?.expect(200)?.json()?;
    assert_eq!(
        (&listed[0]["kid"], &listed[0]["state"]),
        (&json!(old), &json!("active"))
    );

    let rotated = ada
        .post("/auth/admin/keys/rotate")
        .await?
        .expect(200)?
        .json()?;
    let listed = list(&ada).await?.expect(200)?.json()?;
    assert_eq!(
        (&listed[1]["kid"], &listed[1]["state"]),
        (&rotated["kid"], &json!("next"))
    );
    assert_eq!(listed[1]["activates_at"], rotated["activates_at"]);

    let revoke = format!("/auth/admin/keys/{old}/revoke");
    let unknown = ada.post("/auth/admin/keys/none/revoke").await?;
    unknown.expect_problem(404, "not_found")?;
    let revoked = ada.post(&revoke).await?.expect(200)?.json()?;
    let created = revoked["created"]
        .as_str()
        .context("a key that signs now")?;
    until("the issuer to sign with another key", SOON, async || {
        bob.refresh().await.is_ok() && signed_by(&bob).is_ok_and(|kid| kid == created)
    })
    .await?;
    bob.get("/api/x").await?.expect(200)?;
    ada.refresh().await?.expect(200)?;
    let again = ada.post(&revoke).await?;
    again.expect_problem(404, "not_found")?;

    let mut db = system.db.connect().await?;
    let said = "select count(*) from events e join users u on u.id = e.actor_id
                where u.email = $1 and e.ip is not null and e.kind in ('key_created', 'key_revoked')";
    let said: i64 = sqlx::query_scalar(said)
        .bind(ADA.email)
        .fetch_one(&mut db)
        .await?;
    assert_eq!(said, 3, "two made, one withdrawn, by Ada");
    Ok(())
}

#[tokio::test]
async fn nobody_else_touches_a_key() -> Result<()> {
    let system = System::start().await?;
    let (ada, bob, stranger) = (
        system.login(&ADA).await?,
        system.login(&BOB).await?,
        system.client()?,
    );
    let kid = signed_by(&bob)?;
    let revoke = format!("/auth/admin/keys/{kid}/revoke");
    for path in ["/auth/admin/keys/rotate", revoke.as_str()] {
        stranger.post(path).await?.expect(401)?;
        bob.post(path).await?.expect_problem(403, "forbidden")?;
    }
    bob.get("/auth/admin/keys")
        .await?
        .expect_problem(403, "forbidden")?;
    // What changes something wants a sign-in of the last ten minutes.
    system.advance(11 * MINUTE).await?;
    ada.get("/auth/admin/keys").await?.expect(200)?;
    for path in ["/auth/admin/keys/rotate", revoke.as_str()] {
        ada.post(path)
            .await?
            .expect_problem(401, "step_up_required")?;
    }
    assert_eq!(rows(&system).await?, BTreeSet::from([kid]));
    Ok(())
}
