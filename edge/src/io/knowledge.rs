//! Renewing what this isolate knows. At most one renewal runs at a time, however many requests need it.
//!
//! A renewal belongs to the isolate, not to the request that began it: the runtime keeps it alive when that request's
//! client goes away. Other requests that need it look now and then whether it is over. They must not wait for its
//! promise: the runtime cancels a request that waits for another one's.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{Delay, Env};

use super::isolate::Settings;
use super::{isolate, keys, log, revocations, upstream};
use crate::refusal::Refusal;

/// How long a renewal may take: two looks into KV or one at the issuer, with their limits.
const LIMIT: Duration = Duration::from_millis(4_500);

/// How long a request waits for the renewals of others, before it decides with what is there.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often a request that waits looks whether the renewal of another is over.
const GLANCE: Duration = Duration::from_millis(5);

#[wasm_bindgen]
extern "C" {
    /// The execution context of a request.
    pub type Context;

    #[wasm_bindgen(method, js_name = waitUntil)]
    fn wait_until(this: &Context, promise: &Promise);
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
    /// Others' took too long.
    Late,
}

/// Renews what is wanted for a request that cannot go on without, or waits until another request has renewed something.
pub(crate) async fn renew(
    env: &Env,
    settings: &Settings,
    context: &Context,
    wanted: Wanted,
) -> Renewal {
    let began = upstream::now();
    if !isolate::begin_renewal(began, LIMIT) {
        while isolate::is_renewing(upstream::now()) {
            if upstream::now().since(began) > PATIENCE {
                return Renewal::Late;
            }
            Delay::from(GLANCE).await;
        }
        return Renewal::Other;
    }
    let outcome = Rc::new(Cell::new(None));
    let (env, settings, slot) = (env.clone(), Rc::clone(settings), Rc::clone(&outcome));
    let promise = future_to_promise(async move {
        slot.set(Some(fetch(&env, &settings, wanted).await));
        isolate::end_renewal();
        Ok(JsValue::UNDEFINED)
    });
    context.wait_until(&promise);
    // It cannot fail; and if it were lost, there is no outcome.
    let _ = JsFuture::from(promise).await;
    Renewal::Done(outcome.take().unwrap_or(Ok(())))
}

/// Renews while no request waits for it.
pub(crate) async fn renew_in_background(env: &Env, settings: &Settings, wanted: Wanted) {
    if !isolate::begin_renewal(upstream::now(), LIMIT) {
        return;
    }
    if let Err(refusal) = fetch(env, settings, wanted).await {
        log::warn("no keys", &[("reason", &refusal.to_string())]);
    }
    isolate::end_renewal();
}

async fn fetch(env: &Env, settings: &Settings, wanted: Wanted) -> Result<(), Refusal> {
    let Ok(config) = settings.as_ref() else {
        return Ok(());
    };
    match wanted {
        Wanted::All => {
            let (loaded, ()) =
                join(keys::load(env, config), revocations::read_kv(env, config)).await;
            loaded
        }
        Wanted::Kv => {
            revocations::read_kv(env, config).await;
            keys::renew_if_old(env, config).await;
            Ok(())
        }
        Wanted::Feed => {
            revocations::ask_issuer(config).await;
            Ok(())
        }
    }
}
