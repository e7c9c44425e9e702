//! Whether the time of a failed sign-in tells what was wrong: the account exists and the password is not its own, there is no such
//! account, it is disabled, or it has no password (OWASP ASVS 5.0, 6.3.8).
//!
//! One client asks for one after the other, in an order drawn anew for each round, so that what disturbs the machine disturbs all
//! alike. The limits by account are on, so that their statement is part of the time; the allowance is large enough.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use harness::system::{BOB, Client, System};
use serde_json::json;

use crate::statistics::{median, percentile};

/// Medians may differ from that of the known account by so much.
const BOUND: f64 = 0.05;

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often each is tried
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    tries: u32,
    /// Also write the times to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Somebody who cannot sign in, and why.
struct Case {
    name: &'static str,
    email: &'static str,
    password: &'static str,
    /// What makes it so.
    sql: &'static str,
    millis: Vec<f64>,
}

fn cases() -> [Case; 4] {
    let case = |name, email, password, sql| Case {
        name,
        email,
        password,
        sql,
        millis: Vec::new(),
    };
    const MAKE: &str = "insert into users (id, email, name, created_at) values
        (decode(repeat('0b', 16), 'hex'), 'disabled@example.test', 'Disabled', now()),
        (decode(repeat('0c', 16), 'hex'), 'invited@example.test', 'Invited', now());
        update users set disabled_at = now() where email = 'disabled@example.test';
        insert into credentials (user_id, phc, changed_at)
        select decode(repeat('0b', 16), 'hex'), phc, changed_at from credentials limit 1";
    [
        case(
            "known, wrong password",
            "bob@example.test",
            "wrong horse",
            "",
        ),
        case("unknown", "nobody@example.test", "wrong horse", ""),
        case(
            "disabled, right password",
            "disabled@example.test",
            BOB.password,
            MAKE,
        ),
        case(
            "without a password",
            "invited@example.test",
            "wrong horse",
            "",
        ),
    ]
}

/// Measures, and prints the table.
///
/// # Errors
/// The stack does not come up, somebody was let in, or a median is too far from that of the known account.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let cases = runtime.block_on(measure(options.tries))?;
    if let Some(path) = &options.json {
        let times = cases
            .iter()
            .map(|case| (case.name.to_owned(), json!(case.millis)));
        let json = serde_json::Value::Object(times.collect()).to_string();
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report(&cases)
}

async fn measure(tries: u32) -> Result<[Case; 4]> {
    let builder = System::builder().edges(0).processes();
    let system = builder
        .setting("LIMIT_ACCOUNT", "1000000/1s")
        .start()
        .await?;
    let mut cases = cases();
    let mut db = system.db.connect().await?;
    for case in &cases {
        sqlx::raw_sql(case.sql).execute(&mut db).await?;
    }
    let client = system.issuer_client(0)?;
    for case in &cases {
        // Connections, caches, and a row of the count.
        one(&client, case).await?;
    }
    for _ in 0..tries {
        for index in order()? {
            let millis = one(&client, &cases[index]).await?;
            cases[index].millis.push(millis);
        }
    }
    Ok(cases)
}

async fn one(client: &Client, case: &Case) -> Result<f64> {
    let body = json!({ "email": case.email, "password": case.password });
    let begun = Instant::now();
    let answer = client.post_json("/auth/login", &body).await?;
    let took = begun.elapsed();
    ensure!(answer.status() == 401, "{}: {}", case.name, answer.text());
    Ok(took.as_secs_f64() * 1e3)
}

/// 0 to 3 in an order of chance (Fisher-Yates).
fn order() -> Result<[usize; 4]> {
    let mut order = [0, 1, 2, 3];
    let mut draws = [0; 4];
    getrandom::fill(&mut draws).context("no randomness")?;
    for last in (1..order.len()).rev() {
        order.swap(last, usize::from(draws[last]) % (last + 1));
    }
    Ok(order)
}

fn report(cases: &[Case]) -> Result<()> {
    println!("| account | tries | median ms | 10th-90th percentile | median / known |");
    println!("|---|---|---|---|---|");
    let of = |case: &Case| median(case.millis.iter().copied()).context("no times");
    let known = cases.first().map(of).context("no cases")??;
    let mut told_apart = Vec::new();
    for case in cases {
        let ratio = of(case)? / known;
        let (low, high) = (percentile(&case.millis, 0.1), percentile(&case.millis, 0.9));
        println!(
            "| {} | {} | {:.3} | {:.2}-{:.2} | {ratio:.4} |",
            case.name,
            case.millis.len(),
            of(case)?,
            low.unwrap_or_default(),
            high.unwrap_or_default(),
        );
        if (ratio - 1.0).abs() > BOUND {
            told_apart.push(case.name);
        }
    }
    ensure!(
        told_apart.is_empty(),
        "the time tells these apart: {told_apart:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(medians: [f64; 4]) -> [Case; 4] {
        let mut cases = cases();
        for (case, median) in cases.iter_mut().zip(medians) {
            case.millis = vec![median; 3];
        }
        cases
    }

    #[test]
    fn a_median_that_is_too_far_off_is_told() {
        assert!(report(&with([20.0, 20.9, 19.1, 20.0])).is_ok());
        assert!(report(&with([20.0, 20.0, 18.9, 20.0])).is_err());
    }

    #[test]
    fn every_order_is_one_of_all_four() {
        for _ in 0..100 {
            let mut order = order().unwrap();
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3]);
        }
    }
}
