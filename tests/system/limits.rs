//! How often something may be tried: by address, by account, and what a stranger's attempts leave behind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, Account, Answer, BOB, Builder, Client, Method, Mode, System};
use issuer::app::sweep;
use issuer::store::Store;
use serde_json::json;
use shared::cookie;
use shared::secret::SecretText;
use sqlx::PgConnection;

/// The header in which a proxy in front of the edges of these tests says who asks.
const ADDRESS: &str = "X-Real-IP";
const DEVICE: &str = "__Secure-known-device";

const MINUTE: Duration = Duration::from_secs(60);

fn stack(limits: &[(&str, &str)]) -> Builder {
    let builder = System::builder().edge_setting("TRUSTED_CLIENT_IP_HEADER", ADDRESS);
    limits.iter().fold(builder, |builder, (name, value)| {
        builder.setting(name, value)
    })
}

async fn try_password(client: &Client, email: &str, password: &str) -> Result<Answer> {
    let body = json!({ "email": email, "password": password });
    client.post_json("/auth/login", &body).await
}

/// A wrong password for Ada, sent from `address`.
async fn from(client: &Client, address: &str) -> Result<Answer> {
    let body = json!({ "email": ADA.email, "password": "wrong horse" });
    let request = client.request(Method::POST, "/auth/login");
    request.header(ADDRESS, address).json(&body).send().await
}

fn retry_after(answer: &Answer) -> Result<Duration> {
    let seconds = answer.header("retry-after").context("Retry-After")?;
    Ok(Duration::from_secs(seconds.parse()?))
}

async fn count(db: &mut PgConnection, table: &str) -> Result<i64> {
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    Ok(sqlx::query_scalar(query).fetch_one(db).await?)
}

#[tokio::test]
async fn an_address_may_try_so_often_and_is_told_when_again() -> Result<()> {
    let system = stack(&[("LIMIT_SIGN_IN", "5/1m")]).start().await?;
    let client = system.client()?;
    for left in (0..5).rev() {
        let answer = from(&client, "192.0.2.1").await?;
        let answer = answer.expect_problem(401, "unauthenticated")?;
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(r#""sign-in";q=5;w=60"#)
        );
        let usage = answer.header("ratelimit").context("RateLimit")?.to_owned();
        ensure!(
            usage.starts_with(&format!(r#""sign-in";r={left};t="#)),
            "{usage}"
        );
    }
    let refused = from(&client, "192.0.2.1").await?;
    let refused = refused.expect_problem(429, "rate_limited")?;
    let wait = retry_after(&refused)?;
    ensure!((1..=12).contains(&wait.as_secs()), "{wait:?}");
    let usage = format!(r#""sign-in";r=0;t={}"#, wait.as_secs());
    assert_eq!(refused.header("ratelimit"), Some(usage.as_str()));
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""sign-in";q=5;w=60"#)
    );

    from(&client, "192.0.2.2").await?.expect(401)?;
    system.advance(wait).await?;
    from(&client, "192.0.2.1").await?.expect(401)?;
    from(&client, "192.0.2.1").await?.expect(429)?;
    Ok(())
}

#[tokio::test]
async fn an_address_is_that_of_the_client_and_of_ipv6_its_network() -> Result<()> {
    let system = stack(&[("LIMIT_SIGN_IN", "2/1m")]).start().await?;
    let client = system.client()?;
    // Of one /64, and an IPv4 address in its two spellings.
    for [one, same, also, other] in [
        [
            "2001:db8:1:2::1",
            "2001:db8:1:2::2",
            "2001:db8:1:2:f::3",
            "2001:db8:1:3::1",
        ],
        ["192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"],
    ] {
        from(&client, one).await?.expect(401)?;
        from(&client, same).await?.expect(401)?;
        from(&client, also).await?.expect(429)?;
        from(&client, other).await?.expect(401)?;
    }
    // What the client writes by itself changes nothing.
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.1"),
        ("forwarded", "for=198.51.100.2"),
        ("portcullis-client-ip", "198.51.100.3"),
        ("cf-connecting-ip", "198.51.100.4"),
        ("true-client-ip", "198.51.100.5"),
    ] {
        let body = json!({ "email": ADA.email, "password": "wrong horse" });
        let request = client.request(Method::POST, "/auth/login").json(&body);
        let request = request.header(ADDRESS, "192.0.2.7").header(name, value);
        request.send().await?.expect(429).context(name)?;
    }
    Ok(())
}

#[tokio::test]
async fn each_kind_of_call_has_a_limit_of_its_own() -> Result<()> {
    let names = [
        "LIMIT_SIGN_IN",
        "LIMIT_REFRESH",
        "LIMIT_ADMIN",
        "LIMIT_OAUTH",
        "LIMIT_OTHER",
    ];
    let limits: Vec<_> = names.map(|name| (name, "2/1m")).into();
    let system = stack(&limits).edges(2).start().await?;
    let client = system.client()?;
    for (method, path, name) in [
        (Method::POST, "/auth/login", "sign-in"),
        (Method::POST, "/auth/refresh", "refresh"),
        (Method::GET, "/auth/admin/users", "admin"),
        (Method::POST, "/oauth/token", "oauth"),
        (Method::GET, "/auth/session", "other"),
    ] {
        let ask = || {
            client
                .request(method.clone(), path)
                .header(ADDRESS, "192.0.2.1")
                .send()
        };
        for _ in 0..2 {
            let answer = ask().await?;
            ensure!(answer.status() != 429, "{path}: {}", answer.text());
        }
        let refused = ask().await?.expect_problem(429, "rate_limited")?;
        let usage = refused.header("ratelimit").context("RateLimit")?;
        ensure!(
            usage.starts_with(&format!(r#""{name}";r=0;"#)),
            "{path}: {usage}"
        );
    }
    // Edges ask for themselves as often as they need.
    for _ in 0..5 {
        system.edges[1].restart().await?;
        let stranger = system.client_of(1)?;
        stranger.get("/api/x").await?.expect(401)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_edge_that_may_not_renew_for_now_says_so_and_ends_nothing() -> Result<()> {
    let system = stack(&[("LIMIT_REFRESH", "1/1m")]).start().await?;
    let ada = system.login(&ADA).await?;
    let expired = ada.cookie(cookie::ACCESS).context("access cookie")?;
    system.advance(16 * MINUTE).await?;
    let ask = || {
        ada.set_cookie(cookie::ACCESS, &expired);
        let request = ada.request(Method::GET, "/api/x");
        request.header(ADDRESS, "192.0.2.1").send()
    };
    ask().await?.expect(200)?;
    let refused = ask().await?.expect_problem(429, "rate_limited")?;
    let wait = retry_after(&refused)?;
    ensure!((1..=60).contains(&wait.as_secs()), "{wait:?}");
    system.advance(wait).await?;
    ask().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn two_issuers_share_an_accounts_count_and_no_account_has_the_same() -> Result<()> {
    let system = stack(&[("LIMIT_ACCOUNT", "4/4m")])
        .issuers(2)
        .start()
        .await?;
    let issuers = [system.issuer_client(0)?, system.issuer_client(1)?];
    let mut answers = Vec::new();
    for email in [BOB.email, "nobody@example.test", "BOB@example.test"] {
        let mut seen = Vec::new();
        for issuer in [0, 1, 0, 1, 0, 1] {
            let answer = try_password(&issuers[issuer], email, "wrong horse").await?;
            seen.push((answer.status(), answer.text()));
        }
        answers.push(seen);
    }
    let statuses =
        |seen: &[(u16, String)]| seen.iter().map(|(status, _)| *status).collect::<Vec<_>>();
    assert_eq!(statuses(&answers[0]), [401, 401, 401, 401, 429, 429]);
    assert_eq!(answers[0], answers[1], "a stranger learns of no account");
    assert_eq!(
        statuses(&answers[2]),
        [429; 6],
        "another spelling is the same account"
    );

    let refused = try_password(&issuers[0], BOB.email, BOB.password).await?;
    let wait = retry_after(&refused)?;
    ensure!((50..=60).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""account";q=4;w=240"#)
    );
    system.advance(wait).await?;
    try_password(&issuers[1], BOB.email, BOB.password)
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn many_at_once_are_no_more_than_one_after_the_other() -> Result<()> {
    let limits = [("LIMIT_ACCOUNT", "6/1h")];
    let system = stack(&limits).issuers(2).edges(0).start().await?;
    let mut running = tokio::task::JoinSet::new();
    for index in 0..60 {
        let client = system.issuer_client(index % 2)?;
        let email = [BOB.email, "nobody@example.test"][index / 2 % 2];
        running.spawn(async move {
            let answer = try_password(&client, email, "wrong horse").await?;
            anyhow::Ok((email, answer.status()))
        });
    }
    let all = running.join_all().await;
    let all = all.into_iter().collect::<Result<Vec<_>>>()?;
    for email in [BOB.email, "nobody@example.test"] {
        let of = |status| all.iter().filter(|seen| **seen == (email, status)).count();
        assert_eq!((of(401), of(429)), (6, 24), "{email}");
    }
    let mut db = system.db.connect().await?;
    assert_eq!(count(&mut db, "attempts").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_strangers_attempts_do_not_keep_a_user_out_of_a_browser_that_is_known() -> Result<()> {
    let system = stack(&[("LIMIT_ACCOUNT", "3/30m")]).start().await?;
    let known = system.client()?;
    let answer = known.sign_in(&BOB).await?.expect(200)?;
    let cookies = answer.headers_named("set-cookie");
    let cookie = cookies.iter().find(|cookie| cookie.starts_with(DEVICE));
    let cookie = cookie.with_context(|| format!("{cookies:?}"))?;
    for attribute in ["Path=/auth/login", "Secure", "HttpOnly", "SameSite=Strict"] {
        ensure!(cookie.split("; ").any(|part| part == attribute), "{cookie}");
    }
    known.logout().await?.expect(204)?;

    let stranger = system.client()?;
    for _ in 0..3 {
        try_password(&stranger, BOB.email, "wrong horse")
            .await?
            .expect(401)?;
    }
    let refused = try_password(&stranger, BOB.email, BOB.password).await?;
    refused.expect_problem(429, "rate_limited")?;
    // The user, on a device that is new, is told how long, and what else they could do.
    let fields = [("email", BOB.email), ("password", BOB.password)];
    let page = stranger.submit("/auth/login", &fields).await?.expect(429)?;
    let text = page.text();
    ensure!(
        text.contains("a browser that you have used here before"),
        "{text}"
    );
    ensure!(text.contains("You can try again in 10 min."), "{text}");
    ensure!(text.contains(BOB.email) && text.contains("<form"), "{text}");
    ensure!((590..=600).contains(&retry_after(&page)?.as_secs()));

    known.sign_in(&BOB).await?.expect(200)?;
    // It has an allowance of its own, and no more than that.
    for _ in 0..3 {
        try_password(&known, BOB.email, "wrong horse")
            .await?
            .expect(401)?;
    }
    let refused = known
        .sign_in(&BOB)
        .await?
        .expect_problem(429, "rate_limited")?;
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some(r#""device";q=3;w=1800"#)
    );
    // It is known to Bob, not to Ada.
    for _ in 0..3 {
        try_password(&known, ADA.email, "wrong horse")
            .await?
            .expect(401)?;
    }
    try_password(&stranger, ADA.email, "wrong horse")
        .await?
        .expect(429)?;
    Ok(())
}

#[tokio::test]
async fn a_device_cookie_of_another_making_counts_for_nothing() -> Result<()> {
    let system = stack(&[("LIMIT_ACCOUNT", "2/1h")]).edges(0).start().await?;
    let known = system.issuer_client(0)?;
    known.sign_in(&BOB).await?.expect(200)?;
    let good = known.cookie(DEVICE).context("the cookie")?;
    let refresh = known
        .cookie(shared::cookie::REFRESH)
        .context("a refresh token")?;
    let stranger = system.issuer_client(0)?;
    for _ in 0..2 {
        try_password(&stranger, BOB.email, "wrong horse")
            .await?
            .expect(401)?;
    }
    let damaged = format!(
        "{}{}",
        &good[..good.len() - 2],
        if good.ends_with("AA") { "BB" } else { "AA" }
    );
    for forged in ["", "x", &damaged, &refresh, &"A".repeat(3000)] {
        stranger.clear_cookies();
        stranger.set_cookie(DEVICE, forged);
        try_password(&stranger, BOB.email, BOB.password)
            .await?
            .expect(429)?;
    }
    stranger.set_cookie(DEVICE, &good);
    try_password(&stranger, BOB.email, BOB.password)
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_right_password_counts_for_nothing() -> Result<()> {
    let system = stack(&[("LIMIT_ACCOUNT", "2/1h")]).edges(0).start().await?;
    for _ in 0..6 {
        // A program, which keeps no cookie.
        let program = system.issuer_client(0)?;
        try_password(&program, BOB.email, BOB.password)
            .await?
            .expect(200)?;
    }
    let client = system.issuer_client(0)?;
    for expected in [401, 401, 429] {
        try_password(&client, BOB.email, "wrong horse")
            .await?
            .expect(expected)?;
    }
    Ok(())
}

/// What failed sign-ins leave in the tables that a stranger can write to.
async fn rows(db: &mut PgConnection) -> Result<(i64, Vec<i64>)> {
    let left_out = "select coalesce((detail->>'not_written_before')::bigint, 0) from events where kind = 'sign_in_failed' order by number";
    let left_out = sqlx::query_scalar(left_out).fetch_all(&mut *db).await?;
    Ok((count(db, "attempts").await?, left_out))
}

#[tokio::test]
async fn thousands_of_failures_are_counted_and_few_are_written() -> Result<()> {
    let limits = [("LIMIT_ACCOUNT", "10/15m")];
    let system = stack(&limits).edges(0).start().await?;
    let mut db = system.db.connect().await?;
    let mut running = tokio::task::JoinSet::new();
    for worker in 0..4 {
        let client = system.issuer_client(0)?;
        running.spawn(async move {
            for n in 0..750 {
                // Half of them at one account, the others each at an address of its own.
                let unknown = format!("nobody-{worker}-{n}@example.test");
                let email = if n % 5 == 0 {
                    unknown.as_str()
                } else {
                    BOB.email
                };
                let answer = try_password(&client, email, "wrong horse").await?;
                ensure!([401, 429].contains(&answer.status()), "{}", answer.text());
            }
            anyhow::Ok(())
        });
    }
    for done in running.join_all().await {
        done?;
    }
    let (attempts, written) = rows(&mut db).await?;
    assert_eq!(attempts, 601, "one for Bob, one for each address");
    ensure!((60..=500).contains(&written.len()), "{}", written.len());

    // The next one that is written says how many were not.
    system.advance(2 * MINUTE).await?;
    try_password(&system.issuer_client(0)?, "a@example.test", "wrong horse")
        .await?
        .expect(401)?;
    let (_, written) = rows(&mut db).await?;
    let left_out: i64 = written.iter().sum();
    let counted = i64::try_from(written.len())? + left_out;
    assert_eq!(counted, 3001, "none is lost: {:?}", written.last());

    // Names are of no address, and gone as soon as they are of no use.
    system.advance(16 * MINUTE).await?;
    let store = Store::connect(&SecretText::new(system.db.url()), 2).await?;
    let policy = harness::system::settings::policy()?;
    let kept = Duration::from_secs(90 * 24 * 3600);
    sweep::once(&store, &policy, kept, system.clock().now()).await?;
    store.close().await;
    assert_eq!(count(&mut db, "attempts").await?, 0);
    Ok(())
}

/// Every call that needs no account, made many times, against the size of every table.
#[tokio::test]
async fn no_call_of_a_stranger_makes_a_table_grow() -> Result<()> {
    let system = stack(&[("LIMIT_ACCOUNT", "10/15m")]).start().await?;
    let mut db = system.db.connect().await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(&mut db)
    .await?;
    let mut before = Vec::new();
    for table in &tables {
        before.push(count(&mut db, table).await?);
    }
    let stranger = system.client()?;
    let calls = [
        (Method::GET, "/auth/login"),
        (Method::POST, "/auth/login"),
        (Method::POST, "/auth/refresh"),
        (Method::POST, "/auth/logout"),
        (Method::GET, "/auth/session"),
        (Method::GET, "/auth/sessions"),
        (Method::DELETE, "/auth/sessions/AAAAAAAAAAAAAAAAAAAAAA"),
        (Method::POST, "/auth/sessions/revoke-others"),
        (Method::POST, "/auth/account/password"),
        (Method::GET, "/auth/admin/users"),
        (Method::POST, "/auth/admin/revoke-everyone"),
        (Method::GET, "/auth/invite/AAAAAAAAAAAAAAAAAAAAAA"),
        (Method::POST, "/auth/invite/AAAAAAAAAAAAAAAAAAAAAA"),
        (Method::GET, "/auth/callback/demo?code=x&state=y"),
        (Method::POST, "/auth/backchannel-logout/demo"),
        (Method::POST, "/auth/global-token-revocation/demo"),
        (Method::POST, "/oauth/token"),
        (Method::POST, "/oauth/revoke"),
        (Method::POST, "/oauth/introspect"),
        (Method::GET, "/.well-known/jwks.json"),
        (Method::GET, "/api/x"),
    ];
    for _ in 0..20 {
        for (method, path) in &calls {
            for (name, value) in [
                (
                    "cookie",
                    "__Host-Http-refresh=AAAA; __Host-Http-access=a.b.c",
                ),
                ("authorization", "Bearer a.b.c"),
            ] {
                let request = stranger.request(method.clone(), path).mode(Mode::Bare);
                let request = request.header("sec-fetch-site", "same-origin");
                let answer = request.header(name, value).send().await?;
                ensure!(answer.status() < 500, "{path}: {}", answer.text());
            }
        }
    }
    for (table, before) in tables.iter().zip(before) {
        assert_eq!(count(&mut db, table).await?, before, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn limits_can_be_set_and_a_bad_one_is_named() -> Result<()> {
    const NOBODY: Account = Account {
        email: "nobody@example.test",
        ..BOB
    };
    let system = stack(&[]).edges(0).start().await?;
    let client = system.issuer_client(0)?;
    for _ in 0..15 {
        client.sign_in(&NOBODY).await?.expect(401)?;
    }
    let answer = client.sign_in(&NOBODY).await?;
    ensure!(answer.header("ratelimit").is_none(), "off is off");
    let settings = [("LIMIT_ACCOUNT", "ten"), ("LIMIT_SIGNIN", "10/1m")];
    let ran = crate::support::issuer(&["check"], &settings, "").await?;
    for name in [
        "LIMIT_ACCOUNT must be a rate",
        "LIMIT_SIGNIN is not a setting",
    ] {
        ensure!(ran.printed.contains(name), "{}", ran.printed);
    }
    Ok(())
}
