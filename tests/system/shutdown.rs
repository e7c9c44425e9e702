//! How an issuer ends that is told to: what is under way comes to its end first.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::system::{Answer, BOB, Client, Link, System};
use harness::wait::until;
use issuer::App;
use sqlx::PgConnection;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Waits until somebody waits for a row that somebody else holds.
pub(crate) async fn until_somebody_waits_for_a_row(system: &System) -> Result<()> {
    let waiting = async || {
        let mut db = system.db.connect().await?;
        let asked = "select count(*) from pg_stat_activity
                     where datname = current_database() and wait_event_type = 'Lock'";
        let count: i64 = sqlx::query_scalar(asked).fetch_one(&mut db).await?;
        anyhow::Ok(count > 0)
    };
    let limit = Duration::from_secs(20);
    until("somebody to wait for a row", limit, async || {
        waiting().await.unwrap_or(false)
    })
    .await
}

/// Somebody signs in, and waits for a row that `db` holds until its transaction ends.
async fn sign_in_that_waits(
    system: &System,
    db: &mut PgConnection,
) -> Result<(Client, JoinHandle<Result<Answer>>)> {
    sqlx::query("begin").execute(&mut *db).await?;
    sqlx::query("select from users where email = $1 for update")
        .bind(BOB.email)
        .execute(db)
        .await?;
    let client = system.issuer_client(0)?;
    let browser = client.clone();
    let sign_in = tokio::spawn(async move { browser.sign_in(&BOB).await });
    until_somebody_waits_for_a_row(system).await?;
    Ok((client, sign_in))
}

#[tokio::test]
async fn a_sign_in_under_way_succeeds_and_then_the_issuer_ends() -> Result<()> {
    let system = System::builder().edges(0).processes().start().await?;
    let issuer = &system.issuers[0];
    let mut db = system.db.connect().await?;
    let (client, sign_in) = sign_in_that_waits(&system, &mut db).await?;
    issuer.terminate().await?;
    until(
        "the issuer to stop listening",
        Duration::from_secs(5),
        async || TcpStream::connect(issuer.addr()).await.is_err(),
    )
    .await?;
    ensure!(!sign_in.is_finished(), "it is under way");
    sqlx::query("commit").execute(&mut db).await?;

    let answer = sign_in.await??.expect(200)?.json()?;
    let status = issuer.ended().await?;
    assert_eq!(status.code(), Some(0), "{status}");
    let live: i64 = sqlx::query_scalar("select count(*) from sessions where ended_at is null")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(live, 1);

    issuer.restart().await?;
    let session = client.get("/auth/session").await?.expect(200)?.json()?;
    assert_eq!(session["session"], answer["session"]);
    Ok(())
}

#[tokio::test]
async fn who_waits_in_vain_does_not_hold_up_the_end() -> Result<()> {
    let system = System::builder().edges(0).processes().start().await?;
    let mut db = system.db.connect().await?;
    let (client, sign_in) = sign_in_that_waits(&system, &mut db).await?;
    system.stall(Link::IssuerDb);
    system.issuers[0].terminate().await?;
    let asked = Instant::now();
    let status = system.issuers[0].ended().await?;
    let waited = asked.elapsed();
    assert_eq!(status.code(), Some(0), "{status}");
    ensure!(
        waited < App::ENDS_WITHIN + Duration::from_secs(3),
        "it took {waited:?}"
    );
    ensure!(sign_in.await?.is_err(), "no success is claimed");
    ensure!(client.cookies().is_empty());
    Ok(())
}
