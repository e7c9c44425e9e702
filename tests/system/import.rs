//! Accounts that come from elsewhere with the hashes of their passwords, and accounts that go elsewhere.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, Answer, BOB, System};
use serde_json::{Value, json};

use crate::support::{Ran, operator, typed_by_operator};

const PASSWORD: &str = "correct horse battery staple";

/// Made with libxcrypt (bcrypt) and with hashlib of Python 3; the third of PBKDF2 as passlib writes it. The one of argon2 is a
/// vector of phc-winner-argon2.
const HASHES: [(&str, &str); 5] = [
    (
        "$2b$06$abcdefghijklmnopqrstuu10cNU3mXRamSUZYs8I8M/Szu..qXq5K",
        PASSWORD,
    ),
    (
        "$scrypt$ln=12,r=8,p=1$c29tZSBzYWx0IGJ5dGVzIQ$J/2lN7qbUQkptjy95N98ZCjcXxBZTu8KUV5dVyp1XAI",
        PASSWORD,
    ),
    (
        "$pbkdf2-sha256$i=10000$c29tZSBzYWx0IGJ5dGVzIQ$Rt2DrJEbMrpUuKIrQjbVbnPrTM67/YIGmLRibzuKtuk",
        PASSWORD,
    ),
    (
        "$pbkdf2-sha512$12000$c29tZSBzYWx0IGJ5dGVzIQ$WNh.nbkK0X9EyVCfLQ4kBuJFmU3r5BM8x3zrVAWtau8szD.ymxBrraFvxAYQbdivQbU2Rmj7u90niSq2IvDDnw",
        PASSWORD,
    ),
    (
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "password",
    ),
];

/// Of [`PASSWORD`], and much slower than ours.
const SLOW: &str = "$2b$11$abcdefghijklmnopqrstuup3CaDUB32A5v.8h9kaghOhjYGiy5YS2";

async fn import(system: &System, lines: &[Value]) -> Result<Ran> {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    typed_by_operator(system, &["users", "import", "-"], &text.join("\n")).await
}

async fn sign_in(system: &System, email: &str, password: &str) -> Result<Answer> {
    let credentials = json!({"email": email, "password": password});
    system
        .client()?
        .post_json("/auth/login", &credentials)
        .await
}

/// The stored hash of this account.
async fn hash_of(system: &System, email: &str) -> Result<String> {
    let mut db = system.db.connect().await?;
    Ok(sqlx::query_scalar(
        "select phc from credentials join users on id = user_id where email = $1",
    )
    .bind(email)
    .fetch_one(&mut db)
    .await?)
}

async fn users(system: &System) -> Result<i64> {
    let mut db = system.db.connect().await?;
    Ok(sqlx::query_scalar("select count(*) from users")
        .fetch_one(&mut db)
        .await?)
}

#[tokio::test]
async fn a_password_works_as_it_came_and_is_hashed_anew_at_the_first_sign_in() -> Result<()> {
    let system = System::start().await?;
    let email = |index: usize| format!("user-{index}@example.test");
    let lines: Vec<Value> = HASHES
        .iter()
        .enumerate()
        .map(|(index, (hash, _))| {
            json!({"email": email(index), "name": "U", "roles": ["user"], "password_hash": hash})
        })
        .collect();
    let ran = import(&system, &lines).await?;
    ensure!(
        ran.success && ran.printed.trim() == "5 imported",
        "{}",
        ran.printed
    );
    for (index, (hash, password)) in HASHES.into_iter().enumerate() {
        let email = email(index);
        let refused = sign_in(&system, &email, "wrong horse").await?;
        refused.expect_problem(401, "unauthenticated")?;
        let stored = hash_of(&system, &email).await?;
        let rounds = stored.replace("$i=12000$", "$12000$").replace('+', ".");
        ensure!(stored == hash || rounds == hash, "as it came: {stored}");

        let signed_in = sign_in(&system, &email, password)
            .await?
            .expect(200)?
            .json()?;
        assert_eq!(signed_in["user"]["roles"], json!(["user"]));
        let stored = hash_of(&system, &email).await?;
        ensure!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        sign_in(&system, &email, password).await?.expect(200)?;
        let refused = sign_in(&system, &email, "wrong horse").await?;
        refused.expect_problem(401, "unauthenticated")?;
        assert_eq!(hash_of(&system, &email).await?, stored, "hashed once");
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_line_is_named_and_nothing_is_imported() -> Result<()> {
    let system = System::start().await?;
    let good = json!({"email": "eve@example.test", "name": "Eve"});
    let cases = [
        (json!({"email": "eve", "name": "Eve"}), "line 2: email: "),
        (
            json!({"email": "x@y", "name": "X", "password_hash": "$1$x"}),
            "line 2: password_hash: ",
        ),
        (
            json!({"email": "x@y", "name": "X", "password_hash": SLOW.replace("$11$", "$31$")}),
            "line 2: password_hash: ",
        ),
        (
            json!({"email": "x@y", "name": "X", "roles": ["A"]}),
            "line 2: roles: ",
        ),
        (
            json!({"email": "x@y", "name": "X", "admin": true}),
            "`admin`",
        ),
        (
            json!({"email": BOB.email.to_uppercase(), "name": "X"}),
            "line 2: its email",
        ),
        (good.clone(), "line 2: its email"),
    ];
    for (bad, problem) in cases {
        let ran = import(&system, &[good.clone(), bad.clone()]).await?;
        ensure!(!ran.success, "{bad}");
        ensure!(ran.printed.contains(problem), "{bad}: {}", ran.printed);
        ensure!(
            ran.printed.contains("nothing was imported: 1 bad lines"),
            "{}",
            ran.printed
        );
        assert_eq!(users(&system).await?, 2, "{bad}");
    }
    // All of them at once, and for programs.
    let lines = "not json\n\n{\"email\":\"x@y\"}\n";
    let command = ["--json", "users", "import", "-"];
    let ran = typed_by_operator(&system, &command, lines).await?;
    let told: Value = serde_json::from_str(&ran.printed)?;
    assert_eq!(
        (&told["lines"][0]["line"], &told["lines"][1]["line"]),
        (&json!(1), &json!(3))
    );
    let missing = typed_by_operator(&system, &["users", "import", "/nowhere"], "").await?;
    ensure!(
        !missing.success && missing.printed.contains("/nowhere"),
        "{}",
        missing.printed
    );
    let ran = import(&system, &[good]).await?;
    ensure!(ran.success, "{}", ran.printed);
    Ok(())
}

#[tokio::test]
async fn what_one_system_exports_another_imports_as_it_was() -> Result<()> {
    let (from, to) = (System::start().await?, System::start().await?);
    let mut db = to.db.connect().await?;
    sqlx::query("delete from users").execute(&mut db).await?;
    let lines = [
        json!({"email": "eve@example.test", "name": "Eve \u{1f600} \"E\"", "password_hash": HASHES[0].0}),
        json!({"email": "mallory@example.test", "name": "M", "disabled": true, "created_at": "2020-01-02T03:04:05Z",
               "email_is_unproven": true, "identities": [{"issuer": "google", "subject": "7"}, {"issuer": "demo", "subject": "s"}]}),
    ];
    ensure!(import(&from, &lines).await?.success);
    let plain = operator(&from, &["users", "export"]).await?;
    ensure!(
        !plain.contains("$argon2") && !plain.contains("password_hash"),
        "{plain}"
    );
    let exported = operator(&from, &["users", "export", "--with-password-hashes"]).await?;
    assert_eq!(exported.lines().count(), 4);
    let ran = typed_by_operator(&to, &["users", "import", "-"], &exported).await?;
    ensure!(
        ran.success && ran.printed.trim() == "4 imported",
        "{}",
        ran.printed
    );
    let again = operator(&to, &["users", "export", "--with-password-hashes"]).await?;
    assert_eq!(again, exported);

    sign_in(&to, "eve@example.test", PASSWORD)
        .await?
        .expect(200)?;
    let ada = to.login(&ADA).await?;
    let disabled = sign_in(&to, "mallory@example.test", PASSWORD).await?;
    disabled.expect_problem(401, "unauthenticated")?;
    let list = ada
        .get("/auth/admin/users?q=mallory")
        .await?
        .expect(200)?
        .json()?;
    ensure!(list["users"][0]["disabled_at"].is_string(), "{list}");
    let kinds: i64 = sqlx::query_scalar("select count(distinct user_id) from events where kind = 'user_created' and user_id in (select id from users)")
        .fetch_one(&mut db)
        .await?;
    assert_eq!(kinds, 4, "each is in the log");
    Ok(())
}

/// With almost all passwords hashed by a slower algorithm, a sign-in to an unknown account is as slow as to a known one.
#[tokio::test]
async fn the_time_does_not_tell_whether_an_imported_account_exists() -> Result<()> {
    let system = System::builder().edges(0).start().await?;
    let email = |index: usize| format!("user-{index}@example.test");
    let lines: Vec<Value> = (0..60)
        .map(|index| json!({"email": email(index), "name": "U", "password_hash": SLOW}))
        .collect();
    ensure!(import(&system, &lines).await?.success);
    let disabled = ["users", "disable", "--email", &email(0)];
    operator(&system, &disabled).await?;
    let client = system.issuer_client(0)?;
    let time = async |email: String| {
        let credentials = json!({"email": email, "password": "wrong horse"});
        let start = Instant::now();
        let answer = client.post_json("/auth/login", &credentials).await?;
        answer.expect_problem(401, "unauthenticated")?;
        anyhow::Ok(start.elapsed())
    };
    let (mut known, mut unknown, mut shut, mut ours) = (vec![], vec![], vec![], vec![]);
    for index in 1..14 {
        known.push(time(email(index)).await?);
        unknown.push(time(format!("nobody-{index}@example.test")).await?);
        shut.push(time(email(0)).await?);
        ours.push(time(BOB.email.to_owned()).await?);
    }
    let (known, unknown) = (median(known)?, median(unknown)?);
    let (shut, ours) = (median(shut)?, median(ours)?);
    let alike = |a: Duration, b: Duration| a < b.mul_f64(1.5) && b < a.mul_f64(1.5);
    ensure!(
        alike(known, unknown),
        "known {known:?}, unknown {unknown:?}"
    );
    ensure!(alike(known, shut), "known {known:?}, disabled {shut:?}");
    // Else the test shows nothing.
    ensure!(!alike(known, ours), "imported {known:?}, ours {ours:?}");
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Result<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied().context("no times")
}

#[tokio::test]
async fn what_commands_print_is_json_where_it_is_asked_for() -> Result<()> {
    let system = System::start().await?;
    let run = async |command: &[&str], typed: &str| {
        let command = [command, &["--json"]].concat();
        let ran = typed_by_operator(&system, &command, typed).await?;
        let json: Value =
            serde_json::from_str(&ran.printed).with_context(|| ran.printed.clone())?;
        anyhow::Ok((ran.success, json))
    };
    let eve = ["--email", "eve@example.test"];
    let create = ["users", "create", "--name", "Eve", eve[0], eve[1]];
    let (good, made) = run(&create, PASSWORD).await?;
    ensure!(good && made["id"].is_string(), "{made}");
    let (good, error) = run(&create, PASSWORD).await?;
    ensure!(!good && error["error"].is_string(), "{error}");
    let (_, list) = run(&["users", "list"], "").await?;
    assert_eq!(list["users"].as_array().map(Vec::len), Some(3));
    assert_eq!(list["users"][2]["id"], made["id"]);
    let (_, granted) = run(&["users", "grant", "--role", "editor", eve[0], eve[1]], "").await?;
    assert_eq!(granted["user"]["roles"], json!(["editor"]));
    let (_, disabled) = run(&["users", "disable", eve[0], eve[1]], "").await?;
    ensure!(disabled["user"]["disabled_at"].is_string(), "{disabled}");
    system.login(&BOB).await?;
    let (_, sessions) = run(&["sessions", "list", "--email", BOB.email], "").await?;
    assert_eq!(sessions["sessions"][0]["provider"], "password");
    let (_, ended) = run(&["sessions", "end", "--email", BOB.email], "").await?;
    assert_eq!(ended, json!({"ended": 1}));
    for command in [
        &["users", "delete", eve[0], eve[1]][..],
        &["tokens", "revoke", "AAAAAAAAAAAAAAAAAAAAAA"],
        &["check"],
        &["migrate"],
    ] {
        let (good, done) = run(command, "").await?;
        ensure!(good && done == json!({"ok": true}), "{command:?}: {done}");
    }
    Ok(())
}
