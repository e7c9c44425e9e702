//! What this isolate holds between requests. A panic empties it, so "nothing yet" is a normal state.
//!
//! Everything is swapped in short borrows that end before the function does: none is ever held over an await.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use shared::key::KeySet;
use shared::time::UnixMillis;

use crate::config::Config;
use crate::freshness::RENEWAL_LIMIT;
use crate::gate::{self, Asked, Known, Stop};
use crate::identity::Upstream;
use crate::token_cache::TokenCache;
use crate::verdict::Patience;
use crate::view::View;

/// The settings, or why there are none.
pub(crate) type Settings = Rc<Result<Config, String>>;

/// A key set that was accepted.
pub(crate) struct HeldKeys {
    /// The keys.
    pub(crate) set: KeySet,
    /// When the issuer made the set.
    pub(crate) made_at: UnixMillis,
}

#[derive(Default)]
struct Isolate {
    settings: RefCell<Option<Settings>>,
    keys: RefCell<Option<Rc<HeldKeys>>>,
    view: RefCell<Option<Rc<View>>>,
    tokens: RefCell<TokenCache>,
    kv_asked_at: Cell<Option<UnixMillis>>,
    renewal_since: Cell<Option<UnixMillis>>,
    keys_asked_at: Cell<Option<UnixMillis>>,
    issuer_failed_at: Cell<Option<UnixMillis>>,
}

thread_local! {
    static ISOLATE: Isolate = Isolate::default();
}

/// How the request goes on, if what is held is enough to say so.
pub(crate) fn pass_at_once(asked: Asked<'_>) -> Option<String> {
    let settings = settings()?;
    let config = settings.as_ref().as_ref().ok()?;
    let onward = pass(config, asked, Patience::CanAsk).ok()?.onward;
    // The issuer is told the client's address, which is not among what the hot path is given.
    (onward.upstream == Upstream::Origin).then(|| onward.encode())
}

/// Tells the request's story with what is held.
pub(crate) fn pass<'a>(
    config: &Config,
    asked: Asked<'a>,
    patience: Patience,
) -> Result<gate::Pass<'a>, Stop> {
    let (keys, view) = (keys(), view());
    let keys = config
        .fixed_keys
        .as_ref()
        .or(keys.as_ref().map(|held| &held.set));
    let kv_asked_at = ISOLATE
        .with(|isolate| isolate.kv_asked_at.get())
        .filter(|_| !is_renewing(asked.now));
    let known = Known {
        config,
        keys,
        view: view.as_deref(),
        kv_asked_at,
        patience,
    };
    ISOLATE.with(|isolate| gate::pass(asked, known, &mut isolate.tokens.borrow_mut()))
}

pub(crate) fn settings() -> Option<Settings> {
    ISOLATE.with(|isolate| isolate.settings.borrow().clone())
}

pub(crate) fn hold_settings(settings: Settings) {
    ISOLATE.with(|isolate| isolate.settings.replace(Some(settings)));
}

pub(crate) fn keys() -> Option<Rc<HeldKeys>> {
    ISOLATE.with(|isolate| isolate.keys.borrow().clone())
}

/// Holds a newer key set. Tokens verified under the one before are forgotten: their key may be gone.
pub(crate) fn hold_keys(keys: HeldKeys) {
    ISOLATE.with(|isolate| {
        isolate.tokens.replace(TokenCache::default());
        isolate.keys.replace(Some(Rc::new(keys)));
    });
}

pub(crate) fn view() -> Option<Rc<View>> {
    ISOLATE.with(|isolate| isolate.view.borrow().clone())
}

pub(crate) fn hold_view(view: View) {
    ISOLATE.with(|isolate| isolate.view.replace(Some(Rc::new(view))));
}

/// When KV was last asked for revocations.
pub(crate) fn kv_asked_at() -> Option<UnixMillis> {
    ISOLATE.with(|isolate| isolate.kv_asked_at.get())
}

pub(crate) fn note_kv_asked(at: UnixMillis) {
    ISOLATE.with(|isolate| isolate.kv_asked_at.set(Some(at)));
}

/// When keys were last asked for.
pub(crate) fn keys_asked_at() -> Option<UnixMillis> {
    ISOLATE.with(|isolate| isolate.keys_asked_at.get())
}

pub(crate) fn note_keys_asked(at: UnixMillis) {
    ISOLATE.with(|isolate| isolate.keys_asked_at.set(Some(at)));
}

/// When the issuer last failed to give revocations; nothing once it gave them again.
pub(crate) fn issuer_failed_at() -> Option<UnixMillis> {
    ISOLATE.with(|isolate| isolate.issuer_failed_at.get())
}

pub(crate) fn note_issuer_failed(at: Option<UnixMillis>) {
    ISOLATE.with(|isolate| isolate.issuer_failed_at.set(at));
}

/// Begins a background renewal, unless one is running.
pub(crate) fn begin_renewal(now: UnixMillis) -> bool {
    let free = !is_renewing(now);
    if free {
        ISOLATE.with(|isolate| isolate.renewal_since.set(Some(now)));
    }
    free
}

pub(crate) fn end_renewal() {
    ISOLATE.with(|isolate| isolate.renewal_since.set(None));
}

/// One that has run past its limit was cancelled with its request, and counts no more.
fn is_renewing(now: UnixMillis) -> bool {
    let since = ISOLATE.with(|isolate| isolate.renewal_since.get());
    since.is_some_and(|since| now.since(since) < RENEWAL_LIMIT)
}
