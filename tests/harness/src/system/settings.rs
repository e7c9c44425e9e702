//! The settings of a stack: what issuer and edge are told, in the environment's own terms.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use issuer::config::Config;
use issuer::session::policy::Policy;

use crate::private::random_hex;

/// Settings by name.
pub type Settings = BTreeMap<String, String>;

/// Secrets that issuer and edge share, fresh.
///
/// # Errors
/// The operating system has no random bytes.
pub fn secrets() -> Result<Settings> {
    ["ENCRYPTION_KEY", "EDGE_SECRET", "ORIGIN_SECRET"]
        .into_iter()
        .map(|name| Ok((name.to_owned(), random_hex()?)))
        .collect()
}

/// No limits by address or account: clients of a test are many at one address. A test of a limit sets it.
pub fn unlimited() -> Settings {
    ["SIGN_IN", "REFRESH", "ADMIN", "OAUTH", "OTHER", "ACCOUNT"]
        .into_iter()
        .map(|limit| (format!("LIMIT_{limit}"), "off".to_owned()))
        .collect()
}

/// A configuration of the issuer, read as its program reads it.
///
/// # Errors
/// Something is wrong with it; every problem is named.
pub fn issuer_config(settings: &Settings) -> Result<Config> {
    // The worker's own secret is none of the issuer's settings.
    let own = settings
        .clone()
        .into_iter()
        .filter(|(name, _)| name != "ORIGIN_SECRET");
    Config::from_env(own).context("the issuer refuses its settings")
}

/// The limits of sessions that hold by default.
///
/// # Errors
/// There is no randomness for the settings that must be secret.
pub fn policy() -> Result<Policy> {
    let mut settings = secrets()?;
    settings.insert("DATABASE_URL".into(), "postgres://localhost/none".into());
    settings.insert("PUBLIC_URL".into(), "http://localhost".into());
    Ok(issuer_config(&settings)?.policy)
}

/// What the worker is told, besides the rules.
pub fn edge_texts(
    settings: &Settings,
    issuer_url: &str,
    origin_url: &str,
) -> Vec<(String, String)> {
    let shared = ["PUBLIC_URL", "EDGE_SECRET", "ORIGIN_SECRET", "JWT_SECRET"];
    let known = shared
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), settings.get(name)?.clone())));
    let urls = [("ISSUER_URL", issuer_url), ("ORIGIN_URL", origin_url)];
    known
        .chain(
            urls.into_iter()
                .map(|(name, url)| (name.to_owned(), url.to_owned())),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_secrets_make_a_good_configuration() {
        assert!(policy().is_ok());
        assert_ne!(secrets().unwrap(), secrets().unwrap());
    }

    #[test]
    fn the_edge_is_told_no_more_than_it_needs() {
        let mut settings = secrets().unwrap();
        settings.insert("DATABASE_URL".into(), "postgres://secret".into());
        let texts = edge_texts(&settings, "http://127.0.0.1:1", "http://127.0.0.1:2");
        let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["EDGE_SECRET", "ORIGIN_SECRET", "ISSUER_URL", "ORIGIN_URL"]
        );
    }
}
