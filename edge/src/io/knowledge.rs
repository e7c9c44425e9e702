//! Renewing what this isolate knows. At most one renewal runs at a time, however many requests need it.
//!
//! A renewal belongs to the isolate, not to the request that began it: the runtime keeps it alive when that request's
//! client goes away. Other requests that need it look now and then whether it is over. They must not wait for its
//! promise: the runtime cancels a request that waits for another one's.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join, select};
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{Delay, Env};

use super::isolate::Settings;
use super::location::Spare;
use super::{isolate, keys, log, revocations, upstream};
use crate::freshness::turn::pause;
use crate::refusal::Refusal;
use crate::view::ago;

/// How long a renewal may take. Keys and revocations are fetched side by side, each with two calls of two seconds at most,
/// and a large base takes a while to read.
const LIMIT: Duration = Duration::from_millis(4_500);

#[wasm_bindgen]
extern "C" {
    /// The execution context of a request.
    pub type Context;

    #[wasm_bindgen(method, js_name = waitUntil)]
    pub(crate) fn wait_until(this: &Context, promise: &Promise);
}

/// What to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Everything: nothing is held yet.
    All,
    /// What KV has.
    Kv,
    /// Revocations, from the issuer.
    Feed,
}

/// What became of a renewal that a request asked for.
pub(crate) enum Renewal {
    /// It was done; what it lacked is told for keys only, since a decision needs them.
    Done(Result<(), Refusal>),
    /// Another request's was under way, and is over.
    Other,
    /// It took too long, whoever's it was. If it goes on, later requests have the use of it.
    Late,
}

/// What a renewal brought.
struct Fetched {
    keys: Result<(), Refusal>,
    /// What other isolates can use. Nobody should wait while they are given it.
    spare: Option<Spare>,
}

/// Renews what is wanted for a request that cannot go on without, or waits until another request has renewed something;
/// neither for longer than `patience`.
pub(crate) async fn renew(
    env: &Env,
    settings: &Settings,
    context: &Context,
    wanted: Wanted,
    patience: Duration,
) -> Renewal {
    let Some(turn) = isolate::begin_renewal(upstream::now(), LIMIT) else {
        return wait_for_other(patience).await;
    };
    let (keys, spare) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(None)));
    let (env, settings) = (env.clone(), Rc::clone(settings));
    let (keys_slot, spare_slot) = (Rc::clone(&keys), Rc::clone(&spare));
    let fetching = future_to_promise(async move {
        let fetched = fetch(&env, &settings, wanted).await;
        keys_slot.set(Some(fetched.keys));
        spare_slot.set(fetched.spare);
        isolate::end_renewal(turn);
        Ok(JsValue::UNDEFINED)
    });
    let fetched = JsFuture::from(fetching.clone());
    context.wait_until(&future_to_promise(async move {
        let _ = JsFuture::from(fetching).await;
        share(spare.take()).await;
        Ok(JsValue::UNDEFINED)
    }));
    match select(fetched, Delay::from(patience)).await {
        // It cannot fail; and if it were lost, there is no outcome.
        Either::Left(_) => Renewal::Done(keys.take().unwrap_or(Ok(()))),
        Either::Right(_) => Renewal::Late,
    }
}

async fn wait_for_other(patience: Duration) -> Renewal {
    let began_at = upstream::now();
    while isolate::is_renewing(upstream::now()) {
        let waited = ago(began_at, upstream::now());
        if waited >= patience {
            return Renewal::Late;
        }
        Delay::from(pause(waited).min(patience - waited)).await;
    }
    Renewal::Other
}

/// Renews while no request waits for it.
pub(crate) async fn renew_in_background(env: &Env, settings: &Settings, wanted: Wanted) {
    let Some(turn) = isolate::begin_renewal(upstream::now(), LIMIT) else {
        return;
    };
    let fetched = fetch(env, settings, wanted).await;
    isolate::end_renewal(turn);
    if let Err(refusal) = fetched.keys {
        log::warn("no keys", &[("reason", &refusal.to_string())]);
    }
    share(fetched.spare).await;
}

async fn share(spare: Option<Spare>) {
    if let Some(spare) = spare {
        spare.keep().await;
    }
}

async fn fetch(env: &Env, settings: &Settings, wanted: Wanted) -> Fetched {
    let mut fetched = Fetched {
        keys: Ok(()),
        spare: None,
    };
    let Ok(config) = settings.as_ref() else {
        return fetched;
    };
    match wanted {
        Wanted::All => {
            (fetched.keys, ()) =
                join(keys::load(env, config), revocations::read_kv(env, config)).await;
        }
        Wanted::Kv => {
            join(
                revocations::read_kv(env, config),
                keys::renew_if_old(env, config),
            )
            .await;
        }
        Wanted::Feed => fetched.spare = revocations::ask_issuer(config).await,
    }
    fetched
}
