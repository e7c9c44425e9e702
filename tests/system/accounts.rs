//! What an operator does with accounts, and what it means for those who are signed in.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, Answer, BOB, Client, Method, Mode, System};
use serde_json::json;
use shared::cookie;

use crate::support::{Ran, operator, typed_by_operator};
use crate::wire::of_session;

/// The `freshness` of `/admin/*`.
const BOUND: Duration = Duration::from_secs(2);

const NEW_PASSWORD: &str = "wrong donkey capacitor paperclip";

async fn attempt(system: &System, email: &str, password: &str) -> Result<(Client, Answer)> {
    let client = system.client()?;
    let credentials = json!({"email": email, "password": password});
    let answer = client.post_json("/auth/login", &credentials).await?;
    Ok((client, answer))
}

/// All of an answer that a stranger sees, but for its date.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers().iter();
    let headers = headers
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), format!("{value:?}")));
    (answer.status(), headers.collect(), answer.text())
}

/// Makes Bob an administrator: the last one can be neither disabled nor demoted.
pub(crate) async fn another_administrator(system: &System) -> Result<()> {
    let grant = ["users", "grant", "--email", BOB.email, "--role", "admin"];
    operator(system, &grant).await?;
    Ok(())
}

/// Sets the password, as an operator does who types it.
async fn set_password(system: &System, email: &str, password: &str) -> Result<Ran> {
    let typed = format!("{password}\n");
    typed_by_operator(system, &["users", "password", "--email", email], &typed).await
}

#[tokio::test]
async fn a_disabled_user_is_out_and_learns_no_more_than_a_stranger() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    ada.get("/admin/x").await?.expect(200)?;
    let (_, mistyped) = attempt(&system, BOB.email, "wrong horse").await?;
    another_administrator(&system).await?;
    operator(&system, &["users", "disable", "--email", ADA.email]).await?;

    ada.refresh().await?.expect_problem(401, "session_ended")?;
    let (client, refused) = attempt(&system, ADA.email, ADA.password).await?;
    refused.clone().expect_problem(401, "unauthenticated")?;
    ensure!(client.cookies().is_empty());
    assert_eq!(seen(&refused), seen(&mistyped));
    let (_, unknown) = attempt(&system, "nobody@example.test", ADA.password).await?;
    assert_eq!(seen(&unknown), seen(&mistyped));

    operator(&system, &["users", "enable", "--email", ADA.email]).await?;
    let (ada, _) = attempt(&system, ADA.email, ADA.password).await?;
    system.advance(BOUND).await?;
    ada.get("/admin/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_disabled_user_passes_no_longer_than_the_route_says() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    ada.get("/admin/x").await?.expect(200)?;
    let access = ada.cookie(cookie::ACCESS).context("access cookie")?;
    another_administrator(&system).await?;
    operator(&system, &["users", "disable", "--email", ADA.email]).await?;
    ada.get("/auth/session")
        .await?
        .expect_problem(401, "session_ended")?;
    system.advance(BOUND).await?;
    // What is known of one route is known of all.
    for path in ["/admin/x", "/api/x"] {
        let request = ada.request(Method::GET, path).mode(Mode::Bare);
        let request = request.without_cookies().bearer(&access);
        request.send().await?.expect_problem(401, "session_ended")?;
    }
    let refused = ada.get("/admin/x").await?;
    refused.expect_problem(401, "session_ended")?;
    Ok(())
}

#[tokio::test]
async fn a_role_that_was_taken_away_closes_the_route_at_the_next_request() -> Result<()> {
    let system = System::start().await?;
    let ada = system.login(&ADA).await?;
    ada.get("/admin/x").await?.expect(200)?;
    let access = ada.cookie(cookie::ACCESS).context("access cookie")?;
    another_administrator(&system).await?;
    let revoke = ["users", "revoke", "--email", ADA.email, "--role", "admin"];
    assert_eq!(operator(&system, &revoke).await?.trim(), "user");
    system.advance(BOUND).await?;
    // A program is told, a browser gets a new token and then hears what that says.
    let request = ada.request(Method::GET, "/admin/x").mode(Mode::Bare);
    let answer = request.without_cookies().bearer(&access).send().await?;
    answer.expect_problem(401, "claims_stale")?;
    let answer = ada.get("/admin/x").await?;
    let answer = answer.expect_problem(403, "forbidden")?;
    assert_eq!(answer.headers_named("set-cookie").len(), 2);
    let session = ada.get("/auth/session").await?.expect(200)?.json()?;
    assert_eq!(session["user"]["roles"], json!(["user"]));
    ada.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_the_old_one() -> Result<()> {
    let system = System::start().await?;
    let (phone, laptop) = (system.login(&BOB).await?, system.login(&BOB).await?);
    let ran = set_password(&system, BOB.email, "short").await?;
    ensure!(
        !ran.success && ran.printed.contains("characters"),
        "{}",
        ran.printed
    );
    phone.refresh().await?.expect(200)?;

    let ran = set_password(&system, BOB.email, NEW_PASSWORD).await?;
    ensure!(ran.success && ran.printed.is_empty(), "{}", ran.printed);
    for client in [&phone, &laptop] {
        let refused = client.refresh().await?;
        refused.expect_problem(401, "session_ended")?;
    }
    let (_, old) = attempt(&system, BOB.email, BOB.password).await?;
    old.expect_problem(401, "unauthenticated")?;
    let (bob, new) = attempt(&system, BOB.email, NEW_PASSWORD).await?;
    new.expect(200)?;
    bob.get("/api/x").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn accounts_and_sessions_are_listed_as_they_are() -> Result<()> {
    let system = System::start().await?;
    let (first, second) = (system.login(&BOB).await?, system.login(&BOB).await?);
    system.login(&ADA).await?;
    another_administrator(&system).await?;
    operator(&system, &["users", "disable", "--email", ADA.email]).await?;

    let printed = operator(&system, &["users", "list"]).await?;
    let user = of_session(&first, "/user/id").await?;
    let lines: Vec<&str> = printed.lines().collect();
    let [ada, bob] = lines[..] else {
        anyhow::bail!("{printed}");
    };
    ensure!(
        ada.ends_with(r#"  ada@example.test  "Ada Lovelace"  admin,user  disabled"#),
        "{printed}"
    );
    assert_eq!(
        bob,
        format!(r#"{user}  bob@example.test  "Bob Kahn"  admin,user"#)
    );

    let list = ["sessions", "list", "--email"];
    let printed = operator(&system, &[&list[..], &[BOB.email]].concat()).await?;
    let mut expected = String::new();
    for client in [&first, &second] {
        let id = of_session(client, "/session/id").await?;
        expected += &format!(
            "{id}  127.0.0.1  password  seen 0 min ago  \"Mozilla/5.0 (X11; Linux x86_64) Harness/1.0\"\n"
        );
    }
    assert_eq!(printed, expected, "the oldest first");
    assert_eq!(
        operator(&system, &[&list[..], &[ADA.email]].concat()).await?,
        ""
    );

    let all = ["sessions", "end", "--email", BOB.email];
    assert_eq!(operator(&system, &all).await?.trim(), "2 ended");
    ensure!(
        operator(&system, &["users", "disable", "--email", "x@y"])
            .await
            .is_err()
    );
    Ok(())
}
