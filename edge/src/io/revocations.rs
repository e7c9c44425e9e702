//! Where revocations come from: head and base in KV, and the issuer's feed. What is bad, old, cut or oversized is not
//! taken: what was known stays, and its age counts on.

use std::time::Duration;

use shared::revocation::OpenUpdate;
use shared::wire::kv;
use worker::Env;

use super::location::{self, Spare};
use super::{isolate, log, upstream};
use crate::config::Config;
use crate::freshness;
use crate::view::{Source, Taken, View, ago};

/// How long the issuer is left alone after it failed, or told nothing young enough for a narrow bound: a route with such a
/// bound would ask it at every request, and each would wait.
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

/// Asks the issuer for what is not known, unless it could not help a moment ago. For a second its answer serves every
/// isolate of this location: gives what they can use.
pub(crate) async fn ask_issuer(config: &Config) -> Option<Spare> {
    let now = upstream::now();
    if isolate::asked_in_vain_at().is_some_and(|at| ago(at, now) < ISSUER_COOL_DOWN) {
        return None;
    }
    isolate::note_feed_asked(now);
    if others_helped(config).await {
        isolate::note_trouble(|troubles| troubles.issuer = None);
        return None;
    }
    let asked = ask(config).await;
    let helped = asked.is_ok() && is(freshness::issuer_helped);
    isolate::note_asked_in_vain((!helped).then(upstream::now));
    if let Err(reason) = &asked {
        log::warn("the issuer gave no revocations", &[("reason", reason)]);
    }
    let (spare, trouble) = match asked {
        Ok(spare) => (spare, None),
        Err(reason) => (None, Some(reason)),
    };
    isolate::note_trouble(|troubles| troubles.issuer = trouble);
    spare.filter(|_| helped)
}

/// Whether another isolate has shared an answer that will do. Where not, for whatever reason, there is still the issuer.
async fn others_helped(config: &Config) -> bool {
    let after = isolate::of_view(View::number).unwrap_or(0);
    let Some(found) = location::find(config, after).await else {
        return false;
    };
    match take(&found.bytes, config, found.source) {
        Ok(taken) => taken == Taken::Newer && is(freshness::shared_will_do),
        Err(reason) => {
            let message = "what another isolate shared of revocations is no use";
            log::warn(message, &[("reason", &reason)]);
            false
        }
    }
}

async fn ask(config: &Config) -> Result<Option<Spare>, String> {
    let after = isolate::of_view(View::number).unwrap_or(0);
    let asked_at = upstream::now();
    let bytes = upstream::issuer_get(config, &format!("/edge/revocations?after={after}"))
        .await
        .map_err(|refusal| refusal.to_string())?;
    take(&bytes, config, Source::Feed(asked_at))?;
    Ok(Spare::new(config, after, bytes, asked_at))
}

/// Whether what is known now is of an age that `fits`.
fn is(fits: impl FnOnce(Duration) -> bool) -> bool {
    isolate::of_view(|view| view.age(upstream::now())).is_some_and(fits)
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
        Taken::ClockPutBack => Err("a clock was put back meanwhile".to_owned()),
        taken => Ok(taken),
    }
}
