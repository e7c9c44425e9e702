//! The issuer's command line: settings are checked before anything starts, all problems at once, no secret printed.

use anyhow::{Result, ensure};
use harness::system::{BOB, System};

use crate::support::issuer;

const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

#[tokio::test]
async fn every_problem_is_named_at_once_and_no_secret_is_printed() -> Result<()> {
    let settings = [
        (
            "DATABASE_URL",
            "postgres://portcullis:hunter2hunter2@localhost/x",
        ),
        ("ENCRYPTION_KEY", "changeme-changeme-changeme-change"),
        ("EDGE_SECRET", "short-secret"),
        ("JWT_ACCESS_EXPIRES_IN", "soon"),
        ("MAX_CONCURRENT_SESSIONS", "0"),
        ("SESSION_LIMIT_POLICY", "evict-newest"),
        ("SESSION_TIMEOUT_HUORS", "24"),
    ];
    for command in ["check", "serve"] {
        let run = issuer(&[command], &settings, "").await?;
        ensure!(!run.success, "{command} must fail");
        let printed = &run.printed;
        let named = [
            "PUBLIC_URL",
            "ENCRYPTION_KEY",
            "EDGE_SECRET",
            "JWT_ACCESS_EXPIRES_IN",
            "MAX_CONCURRENT_SESSIONS",
            "SESSION_LIMIT_POLICY",
            "SESSION_TIMEOUT_HUORS",
        ];
        for name in named {
            ensure!(
                printed.contains(name),
                "{command} does not name {name}:\n{printed}"
            );
        }
        for secret in ["hunter2", "changeme-changeme", "short-secret"] {
            ensure!(
                !printed.contains(secret),
                "{command} prints a secret:\n{printed}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn good_settings_pass_the_check() -> Result<()> {
    let settings = [
        ("DATABASE_URL", "postgres://localhost/x"),
        ("PUBLIC_URL", "https://app.example.test"),
        ("ENCRYPTION_KEY", SECRET),
        ("EDGE_SECRET", SECRET),
    ];
    let run = issuer(&["check"], &settings, "").await?;
    ensure!(run.success, "{}", run.printed);
    Ok(())
}

#[tokio::test]
async fn the_log_of_a_whole_life_holds_no_token_and_no_password() -> Result<()> {
    let system = System::builder().processes().start().await?;
    let client = system.login(&BOB).await?;
    let mut secrets: Vec<String> = client
        .cookies()
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    client.refresh().await?.expect(200)?;
    secrets.extend(client.cookies().into_iter().map(|(_, value)| value));
    client.logout().await?.expect(204)?;
    let log = system.issuers[0].log().await;
    ensure!(
        log.contains("listening") && log.lines().count() > 3,
        "the log is there: {log}"
    );
    for line in log.lines().filter(|line| !line.is_empty()) {
        serde_json::from_str::<serde_json::Value>(line)?;
    }
    secrets.push(BOB.password.to_owned());
    for secret in secrets {
        ensure!(!log.contains(&secret), "the log holds a secret");
    }
    Ok(())
}
