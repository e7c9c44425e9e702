//! What this isolate knows of revocations: loaded from KV, renewed in the background, and asked of the issuer where a
//! route cannot wait. What is bad, old, cut or oversized is not taken: what was known stays, and its age counts on.

use std::time::Duration;

use shared::revocation::Snapshot;
use shared::time::UnixMillis;
use shared::wire::kv;
use worker::Env;

use super::{isolate, keys, log, settings, upstream};
use crate::config::Config;
use crate::freshness::KV_INTERVAL;
use crate::view::{Offered, View};

/// How long the issuer is left alone after it failed: a route with a narrow bound would ask it at every request.
const ISSUER_COOL_DOWN: Duration = Duration::from_secs(1);

/// Looks into KV, unless that was done a moment ago. Says whether something newer is held now.
///
/// While nothing is held at all, each request looks for itself: none may wait for the promise of another, and the
/// issuer should not be asked by all that find an isolate cold.
pub(crate) async fn load_from_kv(env: &Env, config: &Config) -> bool {
    let asked_at = upstream::now();
    let asked_lately = isolate::kv_asked_at().is_some_and(|at| asked_at.since(at) < KV_INTERVAL);
    if asked_lately && isolate::view().is_some() {
        return false;
    }
    isolate::note_kv_asked(asked_at);
    match upstream::kv(env, kv::REVOCATIONS_HEAD).await {
        Ok(Some(bytes)) => take(&bytes, config, asked_at, "KV"),
        Ok(None) => {
            log::warn("KV has no revocations", &[]);
            false
        }
        Err(reason) => {
            log::warn("revocations could not be read", &[("reason", &reason)]);
            false
        }
    }
}

/// Asks the issuer, unless it failed a moment ago. Says whether something newer is held now.
pub(crate) async fn load_from_issuer(config: &Config) -> bool {
    let asked_at = upstream::now();
    if isolate::issuer_failed_at().is_some_and(|at| asked_at.since(at) < ISSUER_COOL_DOWN) {
        return false;
    }
    match upstream::issuer_get(config, "/edge/revocations?after=0").await {
        Ok(bytes) => {
            isolate::note_issuer_failed(None);
            take(&bytes, config, asked_at, "the issuer")
        }
        Err(refusal) => {
            isolate::note_issuer_failed(Some(upstream::now()));
            log::warn(
                "the issuer gave no revocations",
                &[("reason", &refusal.to_string())],
            );
            false
        }
    }
}

/// Renews what is known while no request waits for it. One at a time per isolate.
pub(crate) async fn renew_in_background(env: &Env, from_issuer: bool) {
    let settings = settings::held_or_read(env);
    let Ok(config) = settings.as_ref() else {
        return;
    };
    if !isolate::begin_renewal(upstream::now()) {
        return;
    }
    if from_issuer {
        load_from_issuer(config).await;
    } else {
        load_from_kv(env, config).await;
        keys::renew_if_old(env, config).await;
    }
    isolate::end_renewal();
}

fn take(bytes: &[u8], config: &Config, asked_at: UnixMillis, source: &str) -> bool {
    let snapshot = match Snapshot::open(bytes, &config.edge_secrets) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            log::warn(
                "revocations are refused",
                &[("source", source), ("reason", &error.to_string())],
            );
            return false;
        }
    };
    match View::offer(isolate::view().as_deref(), snapshot, asked_at) {
        Offered::Newer(view) => {
            isolate::hold_view(view);
            true
        }
        Offered::Known => false,
        Offered::Older { held, shown } => {
            let numbers = format!("{shown} shown, {held} held");
            log::warn(
                "older revocations are refused",
                &[("source", source), ("numbers", &numbers)],
            );
            false
        }
    }
}
