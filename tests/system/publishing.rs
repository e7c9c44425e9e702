//! What issuers tell the edges, seen from Postgres on one side and from KV and the feed on the other.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::system::{BOB, Link, System};
use harness::wait::{eventually, until};
use shared::id::Fingerprint;
use shared::revocation::{Entry, Update};
use shared::time::UnixMillis;
use shared::wire::kv;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{feed, operator, published, until_published};

const SOON: Duration = Duration::from_secs(20);

/// A stack without edges.
async fn issuers(count: usize) -> Result<System> {
    System::builder().issuers(count).edges(0).start().await
}

/// As many revocations as there are numbers in the range, each of the session that the number names.
const INSERT: &str = "insert into revocations (kind, subject, created_at, expires_at)
    select 'session', decode(lpad(to_hex(id), 16, '0') || repeat('0', 16), 'hex'), now(), now() + interval '1 hour'
    from generate_series($1::bigint, $2::bigint) id";

async fn revoke(db: &mut PgConnection, from: i64, to: i64) -> Result<()> {
    sqlx::query(INSERT)
        .bind(from)
        .bind(to)
        .execute(&mut *db)
        .await?;
    sqlx::raw_sql("select pg_notify('portcullis_revocations', '')")
        .execute(db)
        .await?;
    Ok(())
}

fn sessions(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<Entry> {
    let entry = |number| Entry::Session(Fingerprint(number));
    numbers.into_iter().map(entry).collect()
}

fn entries(update: &Update) -> impl Iterator<Item = Entry> {
    update.entries.iter().map(|revocation| revocation.entry)
}

/// Whoever asks the feed again and again for what they lack.
#[derive(Default)]
struct Follower {
    number: u64,
    known: BTreeSet<Entry>,
}

impl Follower {
    async fn follow(&mut self, system: &System) -> Result<()> {
        let update = feed(system, self.number).await?;
        ensure!(update.since == self.number && update.number >= self.number);
        self.known.extend(entries(&update));
        self.number = update.number;
        Ok(())
    }

    /// Follows until exactly this is known.
    async fn until(&mut self, system: &System, expected: &BTreeSet<Entry>) -> Result<()> {
        let asked = Instant::now();
        while self.known != *expected {
            ensure!(
                asked.elapsed() < SOON && self.known.is_subset(expected),
                "{:?} instead of {expected:?}",
                self.known
            );
            self.follow(system).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_feed_skips_nothing_while_a_transaction_is_held_open_across_others() -> Result<()> {
    let system = issuers(1).await?;
    let (mut held, mut other) = (system.db.connect().await?, system.db.connect().await?);
    let mut follower = Follower::default();
    sqlx::raw_sql("begin").execute(&mut held).await?;
    revoke(&mut held, 1, 1).await?;
    for number in 2..=9 {
        revoke(&mut other, number, number).await?;
        let committed = sessions(2..=number.unsigned_abs());
        follower.until(&system, &committed).await?;
    }
    let stuck_at = follower.number;
    sqlx::raw_sql("commit").execute(&mut held).await?;
    follower.until(&system, &sessions(1..=9)).await?;
    eventually("the number to go on", SOON, async || {
        let update = feed(&system, stuck_at).await.ok()?;
        (update.number > stuck_at).then_some(())
    })
    .await
}

#[tokio::test]
async fn the_feed_skips_nothing_in_a_crowd_of_transactions() -> Result<()> {
    let system = issuers(1).await?;
    let mut running = JoinSet::new();
    for writer in 0..6_i64 {
        let mut db = system.db.connect().await?;
        running.spawn(async move {
            for turn in 1..=20_i64 {
                let number = writer * 1000 + turn;
                // Transactions of various lengths, so that they end in another order than they begin.
                let length = f64::from(u8::try_from((number * 7) % 5)?) / 100.0;
                sqlx::raw_sql("begin").execute(&mut db).await?;
                revoke(&mut db, number, number).await?;
                sqlx::query("select pg_sleep($1)")
                    .bind(length)
                    .execute(&mut db)
                    .await?;
                let end = if turn % 4 == 0 { "rollback" } else { "commit" };
                sqlx::raw_sql(end).execute(&mut db).await?;
            }
            anyhow::Ok(())
        });
    }
    let mut follower = Follower::default();
    let mut writers = std::pin::pin!(running.join_all());
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut writers => break ended,
            followed = follower.follow(&system) => followed?,
        }
    };
    ended.into_iter().collect::<Result<Vec<()>>>()?;
    let committed = (0..6).flat_map(|writer| (1..=20).map(move |turn| (writer, turn)));
    let committed = committed
        .filter(|(_, turn)| turn % 4 != 0)
        .map(|(writer, turn)| writer * 1000 + turn);
    follower.until(&system, &sessions(committed)).await
}

#[tokio::test]
async fn without_postgres_the_feed_answers_from_memory_and_says_how_old_that_is() -> Result<()> {
    let system = issuers(1).await?;
    let mut db = system.db.connect().await?;
    revoke(&mut db, 1, 1).await?;
    let mut follower = Follower::default();
    follower.until(&system, &sessions([1])).await?;
    system.cut(Link::IssuerDb);
    let cut_at = system.clock().now();
    // What was under way when the link was cut may still come through.
    let memory = eventually("an answer from memory", SOON, async || {
        let update = feed(&system, 0).await.ok()?;
        (update.sent_at.since(update.made_at) > Duration::from_millis(500)).then_some(update)
    })
    .await?;
    ensure!(memory.made_at <= cut_at && entries(&memory).count() == 1);
    system.heal(Link::IssuerDb);
    revoke(&mut db, 2, 2).await?;
    follower.until(&system, &sessions([1, 2])).await
}

#[tokio::test]
async fn a_new_base_disturbs_no_reader_who_looks_often_enough() -> Result<()> {
    let system = issuers(1).await?;
    let mut db = system.db.connect().await?;
    until("a head", SOON, async || published(&system).is_ok()).await?;
    let first = published(&system)?;
    let (mut number, mut known) = (first.head.number, first.entries());
    let mut last_name = first.head.base;
    let mut cuts = 0;
    // 1,500 at a time: a head of 64 KB holds about 8,000.
    for batch in 0..8 {
        let (from, to) = (batch * 1500 + 1, (batch + 1) * 1500);
        revoke(&mut db, from, to).await?;
        until_published(&system).await?;
        let found = published(&system)?;
        let bytes = system.kv.value(kv::REVOCATIONS_HEAD).context("a head")?;
        ensure!(bytes.len() <= 64 * 1024, "{} bytes", bytes.len());
        ensure!(found.head.since <= number, "fits without the base");
        known.extend(entries(&found.head));
        number = found.head.number;
        if found.head.base != last_name {
            cuts += 1;
            let old = last_name.context("a base")?.key();
            ensure!(system.kv.value(&old).is_some(), "the old base stays");
            last_name = found.head.base;
        }
    }
    assert_eq!(known, sessions(1..=8 * 1500));
    assert_eq!(published(&system)?.entries(), known);
    ensure!(cuts >= 1, "a base was cut");
    Ok(())
}

#[tokio::test]
async fn an_emptied_kv_is_rebuilt_and_the_leader_goes_on_from_there() -> Result<()> {
    let system = issuers(1).await?;
    let client = system.issuer_client(0)?;
    client.sign_in(&BOB).await?.expect(200)?;
    client.logout().await?.expect(204)?;
    until_published(&system).await?;
    let before = published(&system)?;
    let base = before.head.base.context("a base")?.key();
    for key in [kv::REVOCATIONS_HEAD, kv::KEY_SET, &base] {
        system.kv.remove(key);
    }
    operator(&system, &["republish"]).await?;
    ensure!(published(&system)?.entries() == before.entries());
    ensure!(system.kv.value(kv::KEY_SET).is_some());
    // The leader must not go on with a base that is gone.
    client.sign_in(&BOB).await?.expect(200)?;
    client.logout().await?.expect(204)?;
    until_published(&system).await?;
    assert_eq!(published(&system)?.entries().len(), 2);
    Ok(())
}

/// How soon another issuer publishes once the one that does is gone.
const TAKEN_OVER: Duration = Duration::from_secs(5);

/// How often that is tried before it counts as too slow. What is promised is a matter of the issuers; on a machine that is
/// busy with other things any one try may be late through no fault of theirs, but hardly each. Were it a matter of theirs,
/// each would be.
const TRIES: usize = 4;

/// Two issuers that are processes, and a head.
async fn pair() -> Result<System> {
    let builder = System::builder().issuers(2).edges(0).processes();
    let system = builder.start().await?;
    until("a head", SOON, async || published(&system).is_ok()).await?;
    Ok(system)
}

/// How long after `begun` a head stands in KV that was read from Postgres when the leader was gone: by another issuer.
async fn until_taken_over(system: &System, begun: UnixMillis) -> Result<Duration> {
    let gone_at = system.clock().now();
    until("a head of the other issuer", SOON, async || {
        published(system).is_ok_and(|found| found.head.made_at > gone_at)
    })
    .await?;
    let took = system.clock().now().since(begun);
    println!("taken over after {took:?}");
    Ok(took)
}

#[tokio::test]
async fn a_frozen_leader_is_replaced_within_5_seconds_and_does_no_harm_later() -> Result<()> {
    let system = pair().await?;
    let mut fastest = Duration::MAX;
    for tries in 1..=TRIES {
        let leader = system.publisher().context("a publisher")?;
        let noticed = async || {
            let log = system.issuers[leader].log().await;
            log.matches("not publishing to KV").count()
        };
        let before = noticed().await;
        let begun = system.clock().now();
        system.issuers[leader].freeze().await?;
        fastest = fastest.min(until_taken_over(&system, begun).await?);
        let number = published(&system)?.head.number;
        system.issuers[leader].thaw().await?;
        until("it to notice", SOON, async || noticed().await > before).await?;
        let client = system.issuer_client(1 - leader)?;
        client.sign_in(&BOB).await?.expect(200)?;
        client.logout().await?.expect(204)?;
        until_published(&system).await?;
        ensure!(published(&system)?.head.number >= number);
        // Twice at least: there and back.
        if tries > 1 && fastest <= TAKEN_OVER {
            return Ok(());
        }
    }
    bail!("{TRIES} times frozen, never replaced within {TAKEN_OVER:?}: {fastest:?}")
}

#[tokio::test]
async fn a_killed_leader_is_replaced_within_5_seconds() -> Result<()> {
    let system = pair().await?;
    let mut fastest = Duration::MAX;
    for _ in 0..TRIES {
        let leader = system.publisher().context("a publisher")?;
        let begun = system.clock().now();
        system.issuers[leader].kill().await?;
        fastest = fastest.min(until_taken_over(&system, begun).await?);
        if fastest <= TAKEN_OVER {
            return Ok(());
        }
        system.issuers[leader].restart().await?;
    }
    bail!("{TRIES} times killed, never replaced within {TAKEN_OVER:?}: {fastest:?}")
}

#[tokio::test]
async fn a_burst_of_logouts_is_one_head_a_second() -> Result<()> {
    const COUNT: usize = 50;
    let limit = COUNT.to_string();
    let builder = System::builder().edges(0);
    let builder = builder.setting("MAX_CONCURRENT_SESSIONS", &limit);
    let system = builder.start().await?;
    // What holds the publisher back is to be its own pace.
    system.kv.limit_writes(false);
    let mut clients = Vec::new();
    for _ in 0..COUNT {
        let client = system.issuer_client(0)?;
        client.sign_in(&BOB).await?.expect(200)?;
        clients.push(client);
    }
    until("a head", SOON, async || published(&system).is_ok()).await?;
    let (before, begun) = (system.kv.writes(kv::REVOCATIONS_HEAD), Instant::now());
    let mut leaving = JoinSet::new();
    for client in clients {
        leaving.spawn(async move { client.logout().await?.expect(204).map(drop) });
    }
    for left in leaving.join_all().await {
        left?;
    }
    until_published(&system).await?;
    let (writes, took) = (
        system.kv.writes(kv::REVOCATIONS_HEAD) - before,
        begun.elapsed(),
    );
    println!("{writes} heads in {took:?}");
    assert_eq!(published(&system)?.entries().len(), COUNT);
    // Three for a burst of a second: at its begin, a second later, and one that was under way. More only as it lasts.
    ensure!(
        writes >= 1 && writes <= 3 + took.as_secs().saturating_sub(1),
        "{writes} in {took:?}"
    );
    ensure!(took < SOON, "fewer seconds than logouts: {took:?}");
    Ok(())
}
