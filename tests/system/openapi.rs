//! The description of the API: it is valid OpenAPI 3.1, and the API does what it says, for all that schemathesis finds to ask.
//!
//! Through the edge, because that is what the description is of: what the edge refuses itself is a part of it.

mod fields;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use harness::process::{self, Finished, serial};
use harness::setup::{ApiTools, api_tools};
use harness::system::{ADA, System};
use harness::workspace;
use serde_json::Value;

use crate::clients::Service;
use crate::support::operator;

const LIMIT: Duration = Duration::from_secs(5 * 60);

/// What succeeds only with a token that a provider signed. Tests of their own see to these.
const OF_OTHERS: [&str; 3] = [
    "GET /auth/callback/{provider}",
    "POST /auth/backchannel-logout/{provider}",
    "POST /auth/global-token-revocation/{provider}",
];

#[tokio::test]
async fn the_description_is_valid_openapi_3_1() -> Result<()> {
    let system = System::start().await?;
    let (text, api) = description(&system).await?;
    ensure!(api["openapi"] == "3.1.0", "{}", api["openapi"]);
    ensure!(api["servers"][0]["url"] == system.public_url());
    let folder = folder()?;
    let good = folder.join("openapi.json");
    std::fs::write(&good, text)?;
    valid(&good).await?;
    // So that it is known to look.
    let bad = folder.join("bad.json");
    let mut api = api;
    api["paths"]["/auth/session"]["get"]["responses"]["200"] = serde_json::json!({"body": 1});
    std::fs::write(&bad, api.to_string())?;
    ensure!(valid(&bad).await.is_err(), "the validator looks at nothing");
    Ok(())
}

#[tokio::test]
async fn every_answer_is_as_the_description_says() -> Result<()> {
    let system = System::builder()
        // Every case may begin a session, and the older ones are looked at still.
        .setting("MAX_CONCURRENT_SESSIONS", "100")
        .demo_id()
        .start()
        .await?;
    let grant = [
        "users",
        "grant",
        "--email",
        ADA.email,
        "--role",
        "impersonate",
    ];
    operator(&system, &grant).await?;
    let (text, api) = description(&system).await?;
    let folder = folder()?;
    std::fs::write(folder.join("openapi.json"), text)?;
    let service = Service::register(&system, &["--scope", "read", "--introspect"]).await?;
    let finished = try_out(&system, &service, &folder).await?;
    let report = folder.join("report.json");
    let report = std::fs::read(&report).with_context(|| shown(&finished.output))?;
    let report: Value = serde_json::from_slice(&report)?;
    ensure!(finished.status.success(), "{}", shown(&finished.output));
    ensure!(report["failures"] == serde_json::json!([]), "{report}");
    ensure!(report["errors"] == serde_json::json!([]), "{report}");
    ensure!(report["complete"] == true, "{report}");
    for phase in ["examples", "coverage", "fuzzing", "stateful"] {
        let status = &report["phases"][phase]["status"];
        ensure!(status == "success", "the phase {phase}: {status}");
    }
    let asked = succeeded(&report)?;
    let missing: Vec<String> = operations(&api)?
        .into_iter()
        .filter(|operation| !asked.contains(operation) && !OF_OTHERS.contains(&operation.as_str()))
        .collect();
    ensure!(
        missing.is_empty(),
        "not once did these succeed, so little was tried: {missing:?}"
    );
    Ok(())
}

async fn description(system: &System) -> Result<(String, Value)> {
    let answer = system.client()?.get("/auth/openapi.json").await?;
    let answer = answer.expect(200)?;
    Ok((answer.text(), answer.json()?))
}

/// As schemathesis calls them: `GET /auth/session`.
fn operations(api: &Value) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for (path, item) in api["paths"].as_object().context("paths")? {
        let methods = item.as_object().context("a path")?.keys();
        all.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    ensure!(!all.is_empty(), "nothing is described");
    Ok(all)
}

/// The operations that a request succeeded at.
fn succeeded(report: &Value) -> Result<Vec<String>> {
    let rates = report["valid_rates"].as_object().context("valid_rates")?;
    let has_success = |phases: &Value| {
        let mut phases = phases
            .as_object()
            .into_iter()
            .flat_map(|each| each.values());
        phases.any(|phase| phase["accepted"].as_u64() > Some(0))
    };
    let good = rates.iter().filter(|(_, phases)| has_success(phases));
    Ok(good.map(|(operation, _)| operation.clone()).collect())
}

async fn try_out(system: &System, service: &Service, folder: &Path) -> Result<Finished> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    let mut command = tools().await?.module("schemathesis.cli");
    command
        .arg("--no-color")
        .arg("--config-file")
        .arg(source.join("schemathesis.toml"))
        .arg("run")
        // From a file, because of what it loads from the API it leaves out the call that it loads it by.
        .arg(folder.join("openapi.json"))
        .args(["--url", system.public_url()])
        .arg("--report-json-path")
        .arg(folder.join("report.json"))
        .env("HOOKS", source.join("hooks.py"))
        .env("SITE", system.public_url())
        .env("EMAIL", ADA.email)
        .env("PASSWORD", ADA.password)
        .env("CLIENT_ID", &service.id)
        .env("CLIENT_SECRET", &service.secret)
        .env("NO_PROXY", "localhost")
        // It keeps things where it runs.
        .current_dir(folder);
    tokio::task::spawn_blocking(|| process::finish("schemathesis", command, Stdio::null(), LIMIT))
        .await?
}

async fn valid(file: &Path) -> Result<()> {
    let mut command = tools().await?.module("openapi_spec_validator");
    command.args(["--schema", "3.1"]).arg(file);
    let run = || process::finish("openapi-spec-validator", command, Stdio::null(), LIMIT);
    let finished = tokio::task::spawn_blocking(run).await??;
    if !finished.status.success() {
        bail!("{}", shown(&finished.output));
    }
    Ok(())
}

async fn tools() -> Result<ApiTools> {
    tokio::task::spawn_blocking(api_tools::ready).await?
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::scratch()?.join(format!("openapi-{}", serial()));
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

/// The end of an output whose lines may hold a whole body.
fn shown(output: &str) -> String {
    const LINES: usize = 200;
    let lines: Vec<String> = output
        .lines()
        .map(|line| line.chars().take(400).collect())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
