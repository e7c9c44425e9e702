//! What `wrangler.toml` says: tests run the worker with the same date, flags and rules as production.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::workspace;

/// The parts of `wrangler.toml` that matter here.
#[derive(Clone, Debug, Deserialize)]
pub struct Wrangler {
    /// The date that fixes how the runtime behaves.
    pub compatibility_date: String,
    /// Deviations from that.
    #[serde(default)]
    pub compatibility_flags: Vec<String>,
    /// The settings that are no secrets.
    pub vars: Vars,
    /// The KV namespaces.
    #[serde(default)]
    pub kv_namespaces: Vec<KvNamespace>,
}

/// `[vars]`.
#[derive(Clone, Debug, Deserialize)]
pub struct Vars {
    /// The rules, as JSON.
    #[serde(rename = "ROUTES")]
    pub routes: Value,
}

/// `[[kv_namespaces]]`.
#[derive(Clone, Debug, Deserialize)]
pub struct KvNamespace {
    /// What the worker calls it.
    pub binding: String,
    /// What the REST calls know it by.
    pub id: String,
}

/// The repository's `wrangler.toml`.
///
/// # Errors
/// It is missing or is not what is expected.
pub fn read() -> Result<Wrangler> {
    let text = std::fs::read_to_string(workspace::root().join("wrangler.toml"))
        .context("cannot read wrangler.toml")?;
    parse(&text)
}

fn parse(text: &str) -> Result<Wrangler> {
    toml::from_str(text).context("wrangler.toml is not what the harness expects")
}

impl Wrangler {
    /// The id of the namespace that the worker reads.
    ///
    /// # Errors
    /// There is none.
    pub fn namespace(&self) -> Result<&str> {
        let found = self
            .kv_namespaces
            .iter()
            .find(|namespace| namespace.binding == "REVOCATIONS");
        Ok(&found
            .context("wrangler.toml has no KV namespace with the binding REVOCATIONS")?
            .id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_json_and_the_namespace_is_found() {
        let text = r#"
            name = "portcullis-edge"
            compatibility_date = "2026-11-01"
            [vars]
            PUBLIC_URL = "http://localhost:8787"
            [[vars.ROUTES]]
            path = "/app/*"
            roles = ["admin"]
            [[kv_namespaces]]
            binding = "REVOCATIONS"
            id = "abc"
        "#;
        let wrangler = parse(text).unwrap();
        assert_eq!(
            wrangler.vars.routes,
            serde_json::json!([{ "path": "/app/*", "roles": ["admin"] }])
        );
        assert_eq!(wrangler.namespace().unwrap(), "abc");
        assert!(wrangler.compatibility_flags.is_empty());
    }
}
