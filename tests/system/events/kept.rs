//! How the log is kept: nothing changes, addresses can be forgotten, weeks go whole.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::postgres::Server;
use harness::system::{BOB, System};
use issuer::app::sweep::{self, Swept};
use issuer::events::{self, Actor, By, Filter, Kind, Walk};
use issuer::store::{Store, StoreError};
use issuer::time::Clock;
use shared::id::UserId;
use shared::secret::SecretText;
use shared::time::UnixMillis;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{exported, id_of};

const DAY: Duration = Duration::from_secs(24 * 3600);
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

async fn rows(db: &mut PgConnection) -> Result<Vec<String>> {
    let rows = sqlx::query_scalar("select to_jsonb(e)::text from events e order by number");
    Ok(rows.fetch_all(db).await?)
}

#[tokio::test]
async fn nothing_in_it_can_be_changed_or_deleted() -> Result<()> {
    let system = System::start().await?;
    let bob = system.login(&BOB).await?;
    bob.logout().await?.expect(204)?;
    let mut db = system.db.connect().await?;
    let before = rows(&mut db).await?;
    let week: String = sqlx::query_scalar("select tableoid::regclass::text from events limit 1")
        .fetch_one(&mut db)
        .await?;
    assert_ne!(week, "events");
    let mut attempts = vec![];
    for table in ["events", week.as_str()] {
        attempts.extend([
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("update {table} set kind = 'sign_in'"),
            format!("update {table} set detail = '{{}}', ip = null, user_agent = ''"),
            format!(
                "update {table} set actor = 'system', actor_id = null, ip = null, user_agent = ''"
            ),
            format!("update {table} set user_id = null, ip = null, user_agent = ''"),
            format!("update {table} set at = at + interval '1 ms', ip = null, user_agent = ''"),
            format!("update {table} set ip = '192.0.2.1'"),
            format!("update {table} set user_agent = 'another', ip = null"),
        ]);
    }
    for attempt in &attempts {
        let refused = sqlx::raw_sql(AssertSqlSafe(attempt.as_str()))
            .execute(&mut db)
            .await;
        let error = refused
            .err()
            .with_context(|| format!("{attempt} is let through"))?;
        ensure!(
            error.to_string().contains("append-only"),
            "{attempt}: {error}"
        );
        assert_eq!(rows(&mut db).await?, before, "{attempt}");
    }
    Ok(())
}

#[tokio::test]
async fn of_a_deleted_user_the_id_stays_and_nothing_else_of_them() -> Result<()> {
    let system = System::start().await?;
    let bob = system.login(&BOB).await?;
    let id = id_of(&bob).await?;
    let (user, ada) = (id.parse::<UserId>()?, UserId::from_bytes([9; 16]));
    let mut db = system.db.connect().await?;
    let by = By {
        actor: Actor::User(ada),
        ip: Some("192.0.2.7".parse()?),
        user_agent: "the administrator's browser",
    };
    let now = system.clock().now();
    // Done by Bob to somebody else, and to Bob by an administrator.
    let bobs = by.done_by(Actor::User(user)).event(Kind::AccessRefused);
    events::record(&mut db, &bobs.of(ada), now).await?;
    events::record(&mut db, &by.event(Kind::UserDisabled).of(user), now).await?;

    let before = exported(&system, &["--user", &id]).await?;
    let forgotten = events::forget(&mut db, user).await?;
    let after = exported(&system, &["--user", &id]).await?;
    assert_eq!(before.len(), after.len());
    ensure!(forgotten >= 2, "{forgotten}");
    for (before, after) in before.iter().zip(&after) {
        for field in ["number", "at", "kind", "actor", "user", "session", "detail"] {
            assert_eq!(before[field], after[field]);
        }
        if after["actor"]["id"] == ada.to_string() {
            assert_eq!(after["ip"], "192.0.2.7", "that is the administrator's");
        } else {
            ensure!(
                after["ip"].is_null() && after["user_agent"] == "",
                "{after}"
            );
        }
    }
    for event in exported(&system, &["--actor", &id]).await? {
        ensure!(
            event["ip"].is_null() && event["user_agent"] == "",
            "{event}"
        );
    }
    Ok(())
}

async fn weeks(db: &mut PgConnection) -> Result<Vec<String>> {
    let names = "select inhrelid::regclass::text from pg_inherits where inhparent = 'events'::regclass order by 1";
    Ok(sqlx::query_scalar(names).fetch_all(db).await?)
}

#[tokio::test]
async fn weeks_are_made_ahead_by_any_number_of_issuers_and_dropped_whole() -> Result<()> {
    let database = Server::for_tests().await?.database().await?;
    let mut db = database.connect().await?;
    let store = Store::connect(&SecretText::new(database.url()), 8).await?;
    let policy = harness::system::settings::policy()?;
    let now = Clock::system().now();
    let long_ago = now.minus(120 * DAY);
    let before = weeks(&mut db).await?.len();
    let made = tokio::try_join!(
        events::make_weeks(&store, long_ago),
        events::make_weeks(&store, long_ago),
        events::make_weeks(&store, long_ago),
        events::make_weeks(&store, now.minus(60 * DAY)),
        events::make_weeks(&store, now.plus(60 * DAY)),
    )?;
    let made = made.0 + made.1 + made.2 + made.3 + made.4;
    let names = weeks(&mut db).await?;
    assert_eq!(
        u64::try_from(names.len() - before)?,
        made,
        "each was made once"
    );
    assert_eq!(events::make_weeks(&store, now).await?, 0);

    for days in 0..120 {
        let at = UnixMillis::from_millis(now.minus(days * DAY).millis());
        events::record(&mut db, &By::SYSTEM.event(Kind::SignIn), at).await?;
    }
    // Whoever reads for long holds the weeks; nobody waits for that for long, and nothing is lost.
    let mut reader = database.connect().await?;
    sqlx::raw_sql("begin; select count(*) from events")
        .execute(&mut reader)
        .await?;
    let held = sweep::once(&store, &policy, KEPT, now).await;
    ensure!(matches!(held, Err(StoreError::Unavailable(_))), "{held:?}");
    assert_eq!(weeks(&mut db).await?, names);
    sqlx::raw_sql("commit").execute(&mut reader).await?;

    let (one, other) = tokio::try_join!(
        sweep::once(&store, &policy, KEPT, now),
        sweep::once(&store, &policy, KEPT, now),
    )?;
    let dropped = names.len() - weeks(&mut db).await?.len();
    assert_eq!(u64::try_from(dropped)?, one.weeks + other.weeks);
    ensure!(
        (4..=5).contains(&dropped),
        "of 120 days {dropped} weeks are older than 90"
    );
    let (oldest, left): (f64, i64) = sqlx::query_as(
        "select extract(epoch from max($1::float8 * interval '1 ms' + 'epoch'::timestamptz - at))::float8, count(*)
         from events where kind = 'sign_in'",
    )
    .bind(now.millis() as f64)
    .fetch_one(&mut db)
    .await?;
    ensure!(oldest < (KEPT + 7 * DAY).as_secs_f64(), "{oldest}");
    ensure!(left >= 91, "{left} days are left of the last 90 and today");
    assert_eq!(
        sweep::once(&store, &policy, KEPT, now).await?,
        Swept::default()
    );
    store.close().await;
    Ok(())
}

/// An issuer that was still for months finds no week to write in, and makes it before it does anything else.
#[tokio::test]
async fn an_issuer_that_stood_still_makes_its_week_before_it_serves() -> Result<()> {
    let system = System::start().await?;
    let mut db = system.db.connect().await?;
    for week in weeks(&mut db).await? {
        let detach = format!("alter table events detach partition {week}");
        sqlx::raw_sql(AssertSqlSafe(detach))
            .execute(&mut db)
            .await?;
        sqlx::raw_sql(AssertSqlSafe(format!("drop table {week}")))
            .execute(&mut db)
            .await?;
    }
    system.issuers[0].restart().await?;
    system.login(&BOB).await?;
    assert_eq!(exported(&system, &[]).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_session_that_ran_out_unseen_is_noted_once() -> Result<()> {
    let system = System::start().await?;
    let idler = system.login(&BOB).await?;
    let busy = system.login(&BOB).await?;
    for _ in 0..8 {
        system.advance(20 * DAY / 24).await?;
        busy.refresh().await?.expect(200)?;
    }
    drop((idler, busy));
    let store = Store::connect(&SecretText::new(system.db.url()), 4).await?;
    let policy = harness::system::settings::policy()?;
    let sweep_at = async |now| sweep::once(&store, &policy, KEPT, now).await;
    assert_eq!(sweep_at(system.clock().now()).await?.run_out, 0);
    system.advance(DAY).await?;
    let (one, other) = tokio::try_join!(
        sweep_at(system.clock().now()),
        sweep_at(system.clock().now())
    )?;
    assert_eq!(one.run_out + other.run_out, 2);
    let mut db = system.db.connect().await?;
    let filter = Filter {
        kind: Some("session_ended".to_owned()),
        ..Filter::default()
    };
    let ended = events::page(&mut db, &filter, Walk::Oldest(None), 10).await?;
    let ended: Vec<_> = ended
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?;
    let mut reasons: Vec<_> = ended
        .iter()
        .map(|event| event["detail"]["reason"].as_str())
        .collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [Some("expired"), Some("idle")]);
    ensure!(
        ended.iter().all(|event| event["actor"]["type"] == "system"),
        "{ended:?}"
    );
    let announced: i64 = sqlx::query_scalar("select count(*) from revocations")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(announced, 0, "their tokens have expired");
    store.close().await;
    Ok(())
}

#[tokio::test]
async fn what_an_older_issuer_wrote_is_carried_over() -> Result<()> {
    const OLD: &str = "
        insert into events (at, kind, user_id, session_id, ip, user_agent, detail)
        select now() - interval '300 days', 'sign_in', decode(repeat('01', 16), 'hex'), decode(repeat('02', 16), 'hex'),
               '192.0.2.1'::inet, E'an old\\x01browser', 'password'
        union all select now() - interval '40 days', 'session_ended', decode(repeat('01', 16), 'hex'), null, null, '', 'evicted'
        union all select now(), 'everyone_ended', null, null, null, '', '12'
        union all select now(), 'roles_changed', null, null, null, '', 'admin,user'
        union all select now(), 'roles_changed', null, null, null, '', ''
        union all select now(), 'key_created', null, null, null, '', 'k-1';";
    let database = Server::for_tests().await?.database().await?;
    let mut db = database.connect().await?;
    sqlx::raw_sql("create schema old; set search_path to old")
        .execute(&mut db)
        .await?;
    for migration in issuer::MIGRATOR.iter() {
        if migration.version == 8 {
            sqlx::raw_sql(OLD).execute(&mut db).await?;
        }
        sqlx::raw_sql(migration.sql.clone())
            .execute(&mut db)
            .await?;
        if migration.version == 8 {
            break;
        }
    }
    let lines = events::page(&mut db, &Filter::default(), Walk::Oldest(None), 10).await?;
    let lines: Vec<_> = lines
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?;
    let user = UserId::from_bytes([1; 16]).to_string();
    let details: Vec<String> = lines
        .iter()
        .map(|line| line["detail"].to_string())
        .collect();
    assert_eq!(
        details,
        [
            r#"{"provider":"password"}"#,
            r#"{"reason":"evicted"}"#,
            r#"{"sessions":12}"#,
            r#"{"roles":["admin","user"]}"#,
            "{}",
            r#"{"kid":"k-1"}"#,
        ]
    );
    assert_eq!(
        lines[0]["actor"],
        serde_json::json!({"type": "user", "id": user})
    );
    assert_eq!(lines[0]["user_agent"], "an oldbrowser");
    assert_eq!(lines[1]["actor"], serde_json::json!({"type": "unknown"}));
    let now = Clock::system().now();
    events::record(&mut db, &By::CLI.event(Kind::SignIn), now).await?;
    let newest = events::page(&mut db, &Filter::default(), Walk::Newest(None), 1).await?;
    ensure!(newest[0].place().number > 6, "{newest:?}");
    Ok(())
}
