//! The list of users: page by page, right under inserts, searched through an index.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use harness::postgres::Server;
use harness::system::{ADA, Client, System};
use issuer::store::directory::{ALL, SEARCH};
use serde_json::json;

use crate::support::typed_by_operator;

/// Imports accounts with these addresses and names.
async fn import(system: &System, accounts: &[(String, String)]) -> Result<()> {
    let mut lines = String::new();
    for (email, name) in accounts {
        writeln!(lines, "{}", json!({"email": email, "name": name}))?;
    }
    let ran = typed_by_operator(system, &["users", "import", "-"], &lines).await?;
    ensure!(ran.success, "{}", ran.printed);
    Ok(())
}

struct Page {
    emails: Vec<String>,
    next: Option<String>,
}

async fn page(client: &Client, query: &str) -> Result<Page> {
    let answer = client.get(&format!("/auth/admin/users?{query}")).await?;
    let page = answer.expect(200)?.json()?;
    let users = page["users"].as_array().context("users")?;
    let emails = users.iter().map(|user| user["email"].as_str());
    let emails: Option<Vec<&str>> = emails.collect();
    Ok(Page {
        emails: emails
            .context("email")?
            .iter()
            .map(|&e| e.to_owned())
            .collect(),
        next: page["next"].as_str().map(str::to_owned),
    })
}

/// All pages, one after the other.
async fn walk(client: &Client, query: &str) -> Result<Vec<String>> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(client, &format!("{query}{cursor}")).await?;
        found.extend(page.emails);
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(found),
        }
    }
}

#[tokio::test]
async fn every_user_stands_on_one_page_though_others_come_and_go_in_between() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let account = |n: usize, extra: &str| {
        let name = format!("N{}", 500 - n);
        (format!("user-{n:03}{extra}@example.test"), name)
    };
    let before: Vec<_> = (0..120).map(|n| account(n, "")).collect();
    import(&system, &before).await?;

    for query in ["limit=7", "limit=7&q=user-", "limit=7&q=n"] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        for round in 0.. {
            let page = page(&ada, &format!("{query}{cursor}")).await?;
            ensure!(page.emails.len() <= 7);
            found.extend(page.emails);
            let Some(next) = page.next else { break };
            cursor = format!("&cursor={next}");
            if round % 5 == 0 {
                // Before and behind the place where the list stands.
                let more = [1, 60, 119].map(|n| {
                    let extra = format!("-{}-{round}", query.len());
                    account(n, &extra)
                });
                import(&system, &more).await?;
            }
        }
        let distinct: BTreeSet<&String> = found.iter().collect();
        assert_eq!(distinct.len(), found.len(), "{query}: nobody twice");
        for (email, _) in &before {
            ensure!(distinct.contains(email), "{query}: {email} is missing");
        }
    }
    let all = walk(&ada, "limit=200").await?;
    ensure!(all.is_sorted(), "in the order of addresses");
    assert_eq!(walk(&ada, "limit=1&q=ada").await?, [ADA.email]);
    Ok(())
}

#[tokio::test]
async fn a_search_takes_every_character_for_itself() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    let accounts = [
        ("a%b@x", "Per Cent"),
        ("a_b@x", "under_score"),
        ("axb@x", "Under Score"),
        (r"a\b@x", r"back\slash"),
        ("o'hara@x", "O'Hara; drop table users"),
        ("zoe@x", "Zo\u{eb} \u{1f600}"),
        ("per@x", "Somebody"),
    ];
    let accounts = accounts.map(|(email, name)| (email.to_owned(), name.to_owned()));
    import(&system, &accounts).await?;
    for (q, found) in [
        ("a%25", &["a%b@x"][..]),
        ("A_B", &["a_b@x"]),
        ("a%5C", &[r"a\b@x"]),
        ("%25", &[]),
        ("_", &[]),
        ("axb", &["axb@x"]),
        ("under_", &["a_b@x"]),
        ("UNDER", &["axb@x", "a_b@x"]),
        ("back%5Cs", &[r"a\b@x"]),
        ("o%27hara%3B", &["o'hara@x"]),
        ("zo%C3%AB%20%F0%9F%98%80", &["zoe@x"]),
        ("score", &[]),
        // By address first, and whoever is found by both stands there once.
        ("per", &["per@x", "a%b@x"]),
        ("zo", &["zoe@x"]),
        ("%20zoe%20", &["zoe@x"]),
    ] {
        assert_eq!(walk(&ada, &format!("limit=1&q={q}")).await?, found, "{q}");
        assert_eq!(walk(&ada, &format!("q={q}")).await?, found, "{q}");
    }
    Ok(())
}

/// With a plan that knows no value of a parameter, as a prepared statement may have.
#[tokio::test]
async fn lists_and_searches_walk_an_index() -> Result<()> {
    let database = Server::for_tests().await?.database().await?;
    let mut db = database.connect().await?;
    sqlx::raw_sql(
        "insert into users (id, email, name, created_at)
         select decode(md5(n::text), 'hex'), md5(n::text) || '@x', 'N' || md5((n + 7)::text), now()
         from generate_series(1, 20000) n;
         analyze users;
         set plan_cache_mode = force_generic_plan",
    )
    .execute(&mut db)
    .await?;
    let prepare = format!(
        "prepare every(text, int) as {ALL};
         prepare search(text, boolean, text, bytea, int) as {SEARCH}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
        .execute(&mut db)
        .await?;
    for (call, indexes) in [
        ("every('a', 51)", &["users_email_prefix_idx"][..]),
        (
            r"search('a', false, '', '\x00', 51)",
            &["users_email_prefix_idx", "users_name_prefix_idx"],
        ),
        (
            r"search('na', true, 'na', '\x00', 51)",
            &["users_name_prefix_idx"],
        ),
    ] {
        let explain = format!("explain (analyze, costs off, timing off) execute {call}");
        let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
            .fetch_all(&mut db)
            .await?;
        let plan = plan.join("\n");
        ensure!(!plan.contains("Seq Scan"), "{call}\n{plan}");
        for index in indexes {
            ensure!(
                plan.contains(&format!("using {index}")),
                "{call}: {index}\n{plan}"
            );
        }
    }
    Ok(())
}
