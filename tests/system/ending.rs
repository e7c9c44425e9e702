//! Ending everything, and a single token: what is published holds for exactly the tokens that were meant.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::system::settings::issuer_config;
use harness::system::{ADA, Account, BOB, Client, Method, System, issuer_program};
use issuer::events::By;
use issuer::revoke::ending::end_everyone;
use issuer::session::EndReason;
use issuer::store::{Store, sessions};
use issuer::time::Clock;
use shared::claims::Claims;
use shared::id::SessionId;
use shared::revocation::{Entry, Revocation, RevocationSet, Standing};
use shared::secret::SecretText;
use shared::token::Verified;

use crate::shutdown::until_somebody_waits_for_a_row;
use crate::support::{access_token, operator, published, until_published};

const JWT_SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

/// A stack without edges whose tokens the test can read.
async fn issuers() -> Result<System> {
    let builder = System::builder().edges(0);
    builder
        .setting("JWT_SECRET", JWT_SECRET)
        .setting("MAX_CONCURRENT_SESSIONS", "1000")
        .start()
        .await
}

async fn sign_in(system: &System, account: &Account) -> Result<Client> {
    let client = system.issuer_client(0)?;
    client.sign_in(account).await?.expect(200)?;
    Ok(client)
}

/// What an edge would decide by that which KV holds.
fn standing(system: &System, token: &Verified<Claims>) -> Result<Standing> {
    let expires = system.clock().now().to_secs().plus(Duration::from_secs(60));
    let entries = published(system)?.entries();
    let revocations = entries
        .into_iter()
        .map(|entry| Revocation { entry, expires });
    Ok(RevocationSet::from_entries(revocations).standing(token))
}

#[tokio::test]
async fn everyone_is_signed_out_with_one_revocation() -> Result<()> {
    let system = issuers().await?;
    let (ada, bob) = (sign_in(&system, &ADA).await?, sign_in(&system, &BOB).await?);
    let printed = operator(&system, &["sessions", "end", "--everyone"]).await?;
    assert_eq!(printed.trim(), "2 ended");
    for client in [&ada, &bob] {
        client
            .refresh()
            .await?
            .expect_problem(401, "session_ended")?;
    }
    until_published(&system).await?;
    let entries: Vec<Entry> = published(&system)?.entries().into_iter().collect();
    ensure!(
        matches!(entries[..], [Entry::Everyone { .. }]),
        "{entries:?}"
    );
    let mut db = system.db.connect().await?;
    let events: Vec<String> =
        sqlx::query_scalar("select detail->>'sessions' from events where kind = 'everyone_ended'")
            .fetch_all(&mut db)
            .await?;
    assert_eq!(events, ["2"]);
    Ok(())
}

#[tokio::test]
async fn whoever_signs_in_after_that_is_in_though_the_clocks_differ() -> Result<()> {
    let builder = System::builder().setting("JWT_SECRET", JWT_SECRET);
    let system = builder.start().await?;
    let before = system.login(&BOB).await?;
    let store = Store::connect(&SecretText::new(system.db.url()), 2).await?;
    let policy = issuer_config(system.issuers[0].settings())?.policy;
    // Three seconds ahead of the issuer that signs people in.
    let ahead = Clock::manual(Arc::new(AtomicI64::new(3_000)));
    end_everyone(&store, &ahead, &policy, By::CLI).await?;
    store.close().await;
    let after = system.login(&ADA).await?;
    until_published(&system).await?;
    before
        .get("/api/x")
        .await?
        .expect_problem(401, "session_ended")?;
    for _ in 0..3 {
        let token = access_token(&system, &after)?;
        assert_eq!(standing(&system, &token)?, Standing::Good);
        after.get("/api/x").await?.expect(200)?;
        after.refresh().await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn sessions_are_ended_in_one_order_so_that_nobody_waits_in_a_circle() -> Result<()> {
    let system = System::builder().edges(0).start().await?;
    for _ in 0..2 {
        sign_in(&system, &BOB).await?;
    }
    let (mut db, mut other) = (system.db.connect().await?, system.db.connect().await?);
    // As Postgres would come across them by itself: the higher id first.
    let moved =
        "update sessions set user_agent = 'moved' where id = (select min(id) from sessions)";
    sqlx::query(moved).execute(&mut db).await?;
    let ids: Vec<Vec<u8>> = sqlx::query_scalar("select id from sessions order by id")
        .fetch_all(&mut db)
        .await?;
    let [low, high] = ids.try_into().map_err(|ids| anyhow::anyhow!("{ids:?}"))?;
    let id = |bytes: &[u8]| anyhow::Ok(SessionId::from_bytes(bytes.try_into()?));
    let both = [id(&high)?, id(&low)?];
    let lock = "select id from sessions where id = $1 for update skip locked";
    let is_free = async |db: &mut sqlx::PgConnection, id: &[u8]| {
        let row = sqlx::query(lock)
            .bind(id.to_vec())
            .fetch_optional(db)
            .await?;
        anyhow::Ok(row.is_some())
    };

    sqlx::query("begin").execute(&mut db).await?;
    ensure!(is_free(&mut db, &high).await?);
    let now = system.clock().now();
    let ending =
        tokio::spawn(async move { sessions::end(&mut other, &both, EndReason::Logout, now).await });
    until_somebody_waits_for_a_row(&system).await?;
    let mut third = system.db.connect().await?;
    ensure!(!is_free(&mut third, &low).await?, "the lower id came first");
    sqlx::query("commit").execute(&mut db).await?;
    assert_eq!(ending.await??.len(), 2);
    Ok(())
}

/// Signs in and refreshes until told to stop; the tokens that were handed out.
async fn busy(
    system: &System,
    account: &Account,
    stop: &tokio::sync::watch::Receiver<bool>,
) -> Result<Vec<Verified<Claims>>> {
    let mut tokens = vec![];
    while !*stop.borrow() {
        let client = sign_in(system, account).await?;
        tokens.push(access_token(system, &client)?);
        for _ in 0..5 {
            if client.refresh().await?.status() != 200 {
                break;
            }
            tokens.push(access_token(system, &client)?);
        }
    }
    Ok(tokens)
}

#[tokio::test]
async fn whoever_signs_in_or_refreshes_at_that_moment_is_out_or_in_for_good() -> Result<()> {
    let system = issuers().await?;
    // Building it may take longer than all the rest.
    issuer_program().await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let work = async {
        let all =
            [&ADA, &BOB, &ADA, &BOB, &ADA, &BOB].map(|account| busy(&system, account, &stopped));
        let [a, b, c, d, e, f] = all;
        let done = tokio::try_join!(a, b, c, d, e, f)?;
        let tokens: [Vec<_>; 6] = done.into();
        anyhow::Ok(tokens.into_iter().flatten().collect::<Vec<_>>())
    };
    let end = async {
        for _ in 0..3 {
            operator(&system, &["sessions", "end", "--everyone"]).await?;
        }
        stop.send_replace(true);
        anyhow::Ok(())
    };
    let (tokens, ()) = tokio::try_join!(work, end)?;
    until_published(&system).await?;
    let mut db = system.db.connect().await?;
    let (mut ended, mut live) = (0, 0);
    for token in &tokens {
        let is_live: bool =
            sqlx::query_scalar("select ended_at is null from sessions where id = $1")
                .bind(token.claims().sid.as_bytes().as_slice())
                .fetch_one(&mut db)
                .await?;
        let standing = standing(&system, token)?;
        if is_live {
            live += 1;
            ensure!(standing != Standing::Revoked, "{:?}", token.claims());
        } else {
            ended += 1;
            ensure!(standing != Standing::Good, "{:?}", token.claims());
        }
    }
    ensure!(ended > 0, "{ended} ended, {live} live");
    Ok(())
}

#[tokio::test]
async fn one_token_is_revoked_and_its_session_goes_on() -> Result<()> {
    let system = issuers().await?;
    let client = sign_in(&system, &BOB).await?;
    let token = access_token(&system, &client)?;
    let jti = token.claims().jti.to_string();
    let thief = client.copy();
    thief.get("/auth/session").await?.expect(200)?;
    operator(&system, &["tokens", "revoke", &jti]).await?;
    // At once, for the issuer itself.
    let own = format!("/auth/sessions/{}", token.claims().sid);
    for (method, path) in [
        (Method::GET, "/auth/session"),
        (Method::GET, "/auth/sessions"),
        (Method::POST, "/auth/sessions/revoke-others"),
        (Method::DELETE, own.as_str()),
    ] {
        let answer = thief.request(method, path).send().await?;
        answer.expect_problem(401, "session_ended")?;
    }
    until_published(&system).await?;
    assert_eq!(standing(&system, &token)?, Standing::Revoked);
    client.refresh().await?.expect(200)?;
    client.get("/auth/session").await?.expect(200)?;
    let next = access_token(&system, &client)?;
    assert_eq!(standing(&system, &next)?, Standing::Good);
    let mut db = system.db.connect().await?;
    let event: String =
        sqlx::query_scalar("select detail->>'jti' from events where kind = 'token_revoked'")
            .fetch_one(&mut db)
            .await?;
    assert_eq!(event, jti);
    let outlives: bool = sqlx::query_scalar(
        "select r.expires_at > s.access_expires_at from revocations r, sessions s where r.kind = 'token'",
    )
    .fetch_one(&mut db)
    .await?;
    ensure!(outlives, "it is remembered for longer than the token lives");
    ensure!(operator(&system, &["tokens", "revoke", "x"]).await.is_err());
    Ok(())
}
