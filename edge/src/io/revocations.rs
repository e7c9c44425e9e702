//! Where revocations come from: head and base in KV, and the issuer's feed. What is bad, old, cut or oversized is not
//! taken: what was known stays, and its age counts on.

use std::time::Duration;

use shared::revocation::OpenUpdate;
use shared::wire::kv;
use worker::Env;

use super::{isolate, location, log, upstream};
use crate::config::Config;
use crate::view::{Source, Taken, View};

/// How long the issuer is left alone after it failed: a route with a narrow bound would ask it at every request.
const ISSUER_COOL_DOWN: Duration = Duration::from_secs(1);

/// Reads the head in KV, and the base it continues if that is needed.
pub(crate) async fn read_kv(env: &Env, config: &Config) {
    let asked_at = upstream::now();
    isolate::note_kv_asked(asked_at);
    let read = read_head(env, config, Source::Kv(asked_at)).await;
    if let Err(reason) = &read {
        log::warn("revocations could not be read", &[("reason", reason)]);
    }
    isolate::note_trouble(|troubles| troubles.kv = read.err());
}

async fn read_head(env: &Env, config: &Config, source: Source) -> Result<(), String> {
    let head = value(env, kv::REVOCATIONS_HEAD).await?;
    let Taken::Lacks(base) = take(&head, config, source)? else {
        return Ok(());
    };
    let base = value(env, &base.key()).await?;
    take(&base, config, source)?;
    match take(&head, config, source)? {
        Taken::Lacks(base) => Err(format!("{} in KV is another base", base.key())),
        _ => Ok(()),
    }
}

async fn value(env: &Env, key: &str) -> Result<Vec<u8>, String> {
    upstream::kv(env, key)
        .await?
        .ok_or_else(|| format!("KV has no {key}"))
}

/// Asks the issuer for what is not known, unless it failed a moment ago. For a second its answer serves every isolate of
/// this location.
pub(crate) async fn ask_issuer(config: &Config) {
    let now = upstream::now();
    if isolate::issuer_failed_at().is_some_and(|at| now.since(at) < ISSUER_COOL_DOWN) {
        return;
    }
    let after = isolate::of_view(View::number).unwrap_or(0);
    let asked = match location::find(config, after).await {
        Some(kept) => take(&kept.bytes, config, Source::Feed(kept.asked_at)),
        None => ask(config, after).await,
    };
    let trouble = asked.err();
    isolate::note_issuer_failed(trouble.is_some().then(upstream::now));
    if let Some(reason) = &trouble {
        log::warn("the issuer gave no revocations", &[("reason", reason)]);
    }
    isolate::note_trouble(|troubles| troubles.issuer = trouble);
}

async fn ask(config: &Config, after: u64) -> Result<Taken, String> {
    let asked_at = upstream::now();
    let bytes = upstream::issuer_get(config, &format!("/edge/revocations?after={after}"))
        .await
        .map_err(|refusal| refusal.to_string())?;
    let taken = take(&bytes, config, Source::Feed(asked_at))?;
    location::keep(config, after, &bytes, asked_at).await;
    Ok(taken)
}

fn take(bytes: &[u8], config: &Config, source: Source) -> Result<Taken, String> {
    let update =
        OpenUpdate::open(bytes, &config.edge_secrets).map_err(|error| error.to_string())?;
    match isolate::take(update, source, upstream::now()) {
        Taken::Misfit => Err("it continues what is not known here".to_owned()),
        Taken::ClocksDiffer(apart) => Err(format!(
            "the issuer's clock and this one are {} s apart",
            apart.as_secs()
        )),
        taken => Ok(taken),
    }
}
