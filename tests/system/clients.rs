//! Services as the operator registers them, and how a program calls the endpoints under `/oauth/`.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::setup;
use harness::system::{Answer, Client, Method, Mode, System};
use serde_json::Value;
use shared::cookie;
use tokio::process::Command;

use crate::support::{operator, typed_by_operator};

/// A registered service.
pub(crate) struct Service {
    pub(crate) id: String,
    /// Empty where it has keys.
    pub(crate) secret: String,
}

impl Service {
    /// Registers one with a secret.
    pub(crate) async fn register(system: &System, arguments: &[&str]) -> Result<Self> {
        let command = [&["clients", "create", "--json", "--name", "n"], arguments].concat();
        Self::read(&operator(system, &command).await?)
    }

    /// Registers one with a public key, typed in.
    pub(crate) async fn with_key(system: &System, jwk: &str, arguments: &[&str]) -> Result<Self> {
        let fixed = [
            "clients",
            "create",
            "--json",
            "--name",
            "n",
            "--public-key",
            "-",
        ];
        let ran = typed_by_operator(system, &[&fixed, arguments].concat(), jwk).await?;
        ensure!(ran.success, "{}", ran.printed);
        Self::read(&ran.printed)
    }

    fn read(printed: &str) -> Result<Self> {
        let printed: Value = serde_json::from_str(printed)?;
        let id = printed["client_id"].as_str().context("client_id")?;
        let secret = printed["client_secret"].as_str().unwrap_or_default();
        Ok(Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// Asks for a token as `client_secret_post`.
    pub(crate) async fn ask(&self, system: &System, scope: &str) -> Result<Answer> {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        self.call(system, "/oauth/token", &fields).await
    }

    /// Calls an endpoint with its secret beside these fields.
    pub(crate) async fn call(
        &self,
        system: &System,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer> {
        let proof = [
            ("client_id", self.id.as_str()),
            ("client_secret", self.secret.as_str()),
        ];
        post(system, path, &[fields, &proof].concat()).await
    }

    /// A token with all of its scopes.
    pub(crate) async fn token(&self, system: &System) -> Result<String> {
        let answer = self.ask(system, "").await?.expect(200)?;
        member(&answer, "access_token")
    }

    /// Whether a token is active, as this service is told.
    pub(crate) async fn sees_active(&self, system: &System, token: &str) -> Result<bool> {
        let fields = [("token", token)];
        let answer = self.call(system, "/oauth/introspect", &fields).await?;
        let told = answer.expect(200)?.json()?;
        let active = told["active"].as_bool().context("active")?;
        let members = told.as_object().context("an object")?.len();
        ensure!(active || members == 1, "nothing is said beside: {told}");
        Ok(active)
    }
}

/// Posts a form to the edge as a program does: no cookies, no word of where it comes from.
pub(crate) async fn post(system: &System, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
    let request = system.client()?.request(Method::POST, path);
    request.mode(Mode::Bare).form(fields).send().await
}

/// Asks a route of the site with a bearer token, as a program does.
pub(crate) async fn bearer(system: &System, path: &str, token: &str) -> Result<Answer> {
    let request = system.client()?.request(Method::GET, path);
    request.mode(Mode::Bare).bearer(token).send().await
}

/// A text in a JSON answer.
pub(crate) fn member(answer: &Answer, name: &str) -> Result<String> {
    let value = answer.json()?[name].as_str().map(str::to_owned);
    value.with_context(|| format!("no {name} in {answer}"))
}

/// The answer, if it is this OAuth error (RFC 6749 §5.2).
pub(crate) fn expect_error(answer: Answer, status: u16, error: &str) -> Result<Answer> {
    let answer = answer.expect(status)?;
    assert_eq!(member(&answer, "error")?, error, "{answer}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let challenges = answer.headers_named("www-authenticate").len();
    assert_eq!(challenges, usize::from(status == 401), "{answer}");
    Ok(answer)
}

/// Access and refresh token of a program that has signed in.
pub(crate) fn tokens(client: &Client) -> Result<(String, String)> {
    let held = |name| client.cookie(name).with_context(|| format!("no {name}"));
    Ok((held(cookie::ACCESS)?, held(cookie::REFRESH)?))
}

/// Runs a script of `oauth/` with Node, which finds the packages of the set-up.
pub(crate) async fn node(script: &str, arguments: &[&str]) -> Result<()> {
    let npm = tokio::task::spawn_blocking(setup::npm::ready).await??;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("oauth")
        .join(script);
    let node = Command::new("node")
        .arg(path)
        .args(arguments)
        .env("PATH", npm.path())
        .env("NPM_MODULES", npm.modules())
        .kill_on_drop(true)
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = tokio::time::timeout(Duration::from_secs(120), node)
        .await
        .with_context(|| format!("{script} does not end"))??;
    let printed = [stdout, stderr].concat();
    ensure!(status.success(), "{}", String::from_utf8_lossy(&printed));
    Ok(())
}
