//! What `wrangler.toml` says: tests run the worker with the same date, flags and rules as production.

use anyhow::{Context as _, Result};
use edge::policy::Policy;
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
    /// Checks the rules as the worker would at its first request.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn check_rules(&self) -> Result<()> {
        let rules = self.vars.routes.to_string();
        Policy::from_json(&rules).context("wrangler.toml has a rule that no worker would take")?;
        Ok(())
    }

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
    fn wrong_rules_are_told_before_anything_is_built() {
        let rules = |more: &str| {
            let text = format!(
                "compatibility_date = \"2026-11-01\"\n[vars]\n[[vars.ROUTES]]\npath = \"/app/*\"\naccess = \"user\"\n{more}"
            );
            parse(&text).unwrap().check_rules()
        };
        rules("").unwrap();
        let twice = "[[vars.ROUTES]]\npath = \"/App/*\"\naccess = \"public\"\n";
        let error = format!("{:#}", rules(twice).unwrap_err());
        assert!(error.contains("share a method"), "{error}");
        assert!(rules("acess = \"user\"\n").is_err());
    }

    /// The domain as it stands there in a comment, too.
    #[test]
    fn a_deployed_worker_has_no_name_but_its_sites() {
        let path = workspace::root().join("wrangler.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let shown = text.replace("# [[routes]]\n# ", "[[routes]]\n");
        let shown = shown.replace("\n# zone_name", "\nzone_name");
        let shown = shown.replace("\n# custom_domain", "\ncustom_domain");
        for text in [text, shown] {
            let says: toml::Table = toml::from_str(&text).unwrap();
            for name in ["workers_dev", "preview_urls"] {
                assert_eq!(says[name].as_bool(), Some(false), "{name}");
            }
            assert_eq!(says["cache"]["enabled"].as_bool(), Some(false));
            // It stands where it takes no other setting into its table.
            assert!(says.contains_key("no_bundle") && says.contains_key("base_dir"));
            if let Some(routes) = says.get("routes") {
                assert_eq!(routes[0]["custom_domain"].as_bool(), Some(true));
                assert!(routes[0]["zone_name"].is_str() && routes[0]["pattern"].is_str());
                return;
            }
        }
        panic!("no domain is shown");
    }

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
