//! What the sweep deletes, and what it leaves.

use std::time::Duration;

use anyhow::Result;
use harness::postgres::Server;
use issuer::app::sweep::{self, Swept};
use issuer::store::Store;
use issuer::time::Clock;
use shared::secret::SecretText;
use sqlx::PgConnection;

/// 1,200 of each kind that are due, more than two batches, and two that are not: the one just inside, the one just made.
/// Of the sessions, half ended and half ran out.
const ROWS: &str = "
    insert into sessions (id, user_id, secret_hash, created_at, auth_time, rotated_at, last_seen_at, expires_at,
                          access_expires_at, ended_at, end_reason, provider)
    select decode(lpad(to_hex(n), 32, '0'), 'hex'), (select id from users limit 1), decode(repeat('00', 32), 'hex'),
           now(), now(), now(), now(), now() + expires, now() + least(expires, interval '0'), now() + ended, reason, 'password'
    from (select n, interval '-31 days' as expires, null::interval as ended, null as reason from generate_series(1, 600) n
          union all select n, interval '1 day', interval '-31 days', 'logout' from generate_series(601, 1200) n
          union all values (1201, interval '-29 days', null, null), (1202, interval '1 day', interval '-29 days', 'logout'))
         as rows;
    insert into revocations (kind, subject, created_at, expires_at)
    select 'session', decode(lpad(to_hex(n), 32, '0'), 'hex'), now(),
           now() + case when n > 1200 then interval '1 minute' else interval '-1 minute' end
    from generate_series(1, 1202) n;
    insert into invitations (user_id, token_hash, created_at, expires_at)
    select id, id || id, now(), now() + case when email like 'ada%' then interval '1 minute' else interval '-1 minute' end
    from users;
    insert into attempts (name, full_at)
    select decode(lpad(to_hex(n), 64, '0'), 'hex'),
           now() + case when n > 1200 then interval '1 minute' else interval '-1 second' end
    from generate_series(1, 1202) n;
    insert into spent (purpose, digest, expires_at)
    select case when n % 2 = 0 then 'client_assertion' else 'sign_in' end, decode(lpad(to_hex(n), 64, '0'), 'hex'),
           now() + case when n > 1200 then interval '1 minute' else interval '-1 second' end
    from generate_series(1, 1202) n";

/// One of each is in somebody else's hands.
const HELD: &str = "
    begin;
    select from sessions where id = (select min(id) from sessions) for update;
    select from revocations where number = (select min(number) from revocations) for update;
    select from attempts where name = (select min(name) from attempts) for update;
    select from spent where digest = (select min(digest) from spent) for update";

const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

async fn count(db: &mut PgConnection, table: &str) -> Result<i64> {
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    Ok(sqlx::query_scalar(query).fetch_one(db).await?)
}

#[tokio::test]
async fn what_is_due_goes_however_much_it_is_and_nothing_else() -> Result<()> {
    let database = Server::for_tests().await?.database().await?;
    let mut db = database.connect().await?;
    sqlx::raw_sql(ROWS).execute(&mut db).await?;
    let policy = harness::system::settings::policy()?;
    let store = Store::connect(&SecretText::new(database.url()), 4).await?;
    let mut other = database.connect().await?;
    sqlx::raw_sql(HELD).execute(&mut other).await?;
    let held = Swept {
        sessions: 1,
        revocations: 1,
        invitations: 0,
        attempts: 1,
        spent: 1,
        run_out: 1,
        ..Swept::default()
    };
    let swept = sweep::once(&store, &policy, KEPT, Clock::system().now()).await?;
    let expected = Swept {
        run_out: 600,
        sessions: 1199,
        revocations: 1199,
        invitations: 1,
        attempts: 1199,
        spent: 1199,
        weeks: 0,
    };
    assert_eq!(swept, expected, "all but what somebody else is at");
    sqlx::raw_sql("commit").execute(&mut other).await?;
    assert_eq!(
        sweep::once(&store, &policy, KEPT, Clock::system().now()).await?,
        held
    );
    let left = [
        ("sessions", 2),
        ("revocations", 2),
        ("attempts", 2),
        ("spent", 2),
        ("invitations", 1),
    ];
    for (table, left) in left {
        assert_eq!(count(&mut db, table).await?, left, "{table}");
    }
    let again = sweep::once(&store, &policy, KEPT, Clock::system().now()).await?;
    assert_eq!(again, Swept::default());
    store.close().await;
    Ok(())
}
