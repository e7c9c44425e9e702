//! The issuer's keys: held, loaded when there are none, and looked for again when a token names another one.

use std::time::Duration;

use shared::key::KeySet;
use shared::wire::kv;
use worker::Env;

use super::{isolate, log, upstream};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::view::ago;

/// How long after one look for keys the next may come. Anybody can make up a `kid`; only this many of them are looked
/// for (coreos/go-oidc#482).
const COOL_DOWN: Duration = Duration::from_secs(10);

/// How often the set is looked at again, so that a key that was withdrawn is forgotten.
const RENEW_AFTER: Duration = Duration::from_secs(300);

/// Loads a key set where none is held: from KV, or else from the issuer.
pub(crate) async fn load(env: &Env, config: &Config) -> Result<(), Refusal> {
    isolate::note_keys_asked(upstream::now());
    match from_kv(env, config).await {
        Ok(()) => Ok(()),
        Err(reason) => {
            log::warn("no keys from KV; asking the issuer", &[("reason", &reason)]);
            from_issuer(config).await
        }
    }
}

/// Looks for newer keys: from the issuer, which knows them first. Says whether it may have found some. The cool-down is for
/// names that anybody can make up, not for one that was named `by_issuer`.
pub(crate) async fn look_again(env: &Env, config: &Config, by_issuer: bool) -> bool {
    let now = upstream::now();
    let is_too_soon = || isolate::keys_asked_at().is_some_and(|at| ago(at, now) < COOL_DOWN);
    if config.fixed_keys.is_some() || (!by_issuer && is_too_soon()) {
        return false;
    }
    isolate::note_keys_asked(now);
    if from_issuer(config).await.is_ok() {
        return true;
    }
    from_kv(env, config)
        .await
        .inspect_err(|reason| log::warn("no newer keys", &[("reason", reason)]))
        .is_ok()
}

/// Looks into KV again once the set held is some minutes old.
pub(crate) async fn renew_if_old(env: &Env, config: &Config) {
    let now = upstream::now();
    if config.fixed_keys.is_some()
        || isolate::keys_asked_at().is_some_and(|at| ago(at, now) < RENEW_AFTER)
    {
        return;
    }
    isolate::note_keys_asked(now);
    if let Err(reason) = from_kv(env, config).await {
        log::warn(
            "the keys could not be renewed; the old ones stay",
            &[("reason", &reason)],
        );
    }
}

async fn from_kv(env: &Env, config: &Config) -> Result<(), String> {
    let bytes = upstream::kv(env, kv::KEY_SET)
        .await?
        .ok_or("KV has no key set")?;
    hold(&bytes, config)
}

async fn from_issuer(config: &Config) -> Result<(), Refusal> {
    let bytes = upstream::issuer_get(config, "/edge/keys").await?;
    hold(&bytes, config).map_err(|reason| {
        log::warn("the issuer's keys are refused", &[("reason", &reason)]);
        Refusal::IssuerUnreachable
    })
}

/// Holds the set if its MAC is good and it is not older than the one held.
fn hold(bytes: &[u8], config: &Config) -> Result<(), String> {
    let (set, made_at) =
        KeySet::open(bytes, &config.edge_secrets).map_err(|error| error.to_string())?;
    match isolate::keys() {
        Some(held) if made_at < held.made_at => {
            Err("the key set is older than the one held".to_owned())
        }
        Some(held) if made_at == held.made_at => Ok(()),
        _ => {
            isolate::hold_keys(isolate::HeldKeys { set, made_at });
            Ok(())
        }
    }
}
