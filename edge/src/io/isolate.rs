//! What this isolate holds between requests. A panic empties it, so "nothing yet" is a normal state.
//!
//! Everything is swapped in short borrows that end before the function does: none is ever held over an await.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use shared::assertion::Serial;
use shared::key::KeySet;
use shared::revocation::{OpenUpdate, Standing};
use shared::time::UnixMillis;

use super::entropy;
use crate::config::Config;
use crate::freshness::turn::{Turn, Turns};
use crate::gate::{self, Asked, Known, Stop};
use crate::identity::Upstream;
use crate::open::{self, Look, Open, Tried};
use crate::sessions::Sessions;
use crate::token_cache::TokenCache;
use crate::verdict::Patience;
use crate::view::{Latest, Source, Taken, View};

/// The settings, or why there are none.
pub(crate) type Settings = Rc<Result<Config, String>>;

/// A key set that was accepted.
pub(crate) struct HeldKeys {
    /// The keys.
    pub(crate) set: KeySet,
    /// When the issuer made the set.
    pub(crate) made_at: UnixMillis,
}

/// Why the last look did not help; nothing once it did.
#[derive(Clone, Default)]
pub(crate) struct Troubles {
    /// Of KV.
    pub(crate) kv: Option<String>,
    /// Of the issuer.
    pub(crate) issuer: Option<String>,
}

#[derive(Default)]
struct Isolate {
    settings: RefCell<Option<Settings>>,
    keys: RefCell<Option<Rc<HeldKeys>>>,
    view: RefCell<Option<View>>,
    latest: RefCell<Latest>,
    tokens: RefCell<TokenCache>,
    kv_asked_at: Cell<Option<UnixMillis>>,
    renewals: RefCell<Turns>,
    keys_asked_at: Cell<Option<UnixMillis>>,
    asked_in_vain_at: Cell<Option<UnixMillis>>,
    feed_asked_at: Cell<Option<UnixMillis>>,
    sessions: RefCell<Sessions>,
    questions: RefCell<Turns>,
    troubles: RefCell<Troubles>,
    serial: Cell<Option<Serial>>,
}

thread_local! {
    static ISOLATE: Isolate = Isolate::default();
}

/// How the request goes on, if what is held is enough to say so.
pub(crate) fn pass_at_once(asked: Asked<'_>) -> Option<String> {
    // The hot path is not given the headers that make a preflight.
    if asked.method == "OPTIONS" {
        return None;
    }
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
    with_known(config, asked.now, patience, |known, isolate| {
        gate::pass(asked, known, &mut isolate.tokens.borrow_mut())
    })
}

/// Looks at an open connection with what is held.
pub(crate) fn look(config: &Config, open: Open<'_>, now: UnixMillis) -> Look {
    with_known(config, now, Patience::CanAsk, |known, isolate| {
        let tried = Tried {
            renewing: is_renewing(now),
            feed_asked_at: isolate.feed_asked_at.get(),
            keys_asked_at: isolate.keys_asked_at.get(),
            asking: isolate.questions.borrow().is_running(now),
        };
        let (mut tokens, mut sessions) =
            (isolate.tokens.borrow_mut(), isolate.sessions.borrow_mut());
        open::look(open, known, tried, &mut tokens, &mut sessions, now)
    })
}

fn with_known<T>(
    config: &Config,
    now: UnixMillis,
    patience: Patience,
    decide: impl FnOnce(Known<'_>, &Isolate) -> T,
) -> T {
    let serial = next_serial();
    ISOLATE.with(|isolate| {
        if isolate.latest.borrow_mut().is_put_back(now) {
            // While the clock was ahead, entries may have been dropped that are of use again. The number that is held
            // would keep them from being told once more.
            isolate.view.replace(None);
            isolate.feed_asked_at.set(None);
        }
        let (keys, view) = (isolate.keys.borrow(), isolate.view.borrow());
        let held = || keys.as_ref().map(|held| &held.set);
        let known = Known {
            config,
            keys: config.fixed_keys.as_ref().or_else(held),
            view: view.as_ref(),
            kv_asked_at: isolate.kv_asked_at.get().filter(|_| !is_renewing(now)),
            patience,
            serial,
        };
        decide(known, isolate)
    })
}

/// A serial that no assertion has had: the maker is drawn once per isolate, and anew after a panic.
fn next_serial() -> Serial {
    ISOLATE.with(|isolate| {
        let serial = match isolate.serial.get() {
            Some(last) => Serial {
                number: last.number.wrapping_add(1),
                ..last
            },
            None => Serial {
                maker: entropy::bytes(),
                number: 0,
            },
        };
        isolate.serial.set(Some(serial));
        serial
    })
}

pub(crate) fn settings() -> Option<Settings> {
    ISOLATE.with(|isolate| isolate.settings.borrow().clone())
}

pub(crate) fn hold_settings(settings: Settings) {
    ISOLATE.with(|isolate| isolate.settings.replace(Some(settings)));
}

/// Whether keys are held.
pub(crate) fn has_keys() -> bool {
    keys().is_some()
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

/// Adds what an update says to what is known.
pub(crate) fn take(update: OpenUpdate<'_>, source: Source, now: UnixMillis) -> Taken {
    ISOLATE.with(|isolate| View::take(&mut isolate.view.borrow_mut(), update, source, now))
}

/// What is known of revocations, asked for something; nothing where none are held.
pub(crate) fn of_view<T>(asked: impl FnOnce(&View) -> T) -> Option<T> {
    ISOLATE.with(|isolate| isolate.view.borrow().as_ref().map(asked))
}

/// Whether what is known says that this access token, which was verified here, is revoked.
pub(crate) fn is_revoked(token: &str) -> bool {
    ISOLATE.with(|isolate| {
        let identity = isolate.tokens.borrow_mut().find(token);
        identity.is_some_and(|identity| {
            let standing = of_view(|view| view.standing_of(identity.token()));
            standing == Some(Standing::Revoked)
        })
    })
}

/// What went wrong at the last look.
pub(crate) fn troubles() -> Troubles {
    ISOLATE.with(|isolate| isolate.troubles.borrow().clone())
}

pub(crate) fn note_trouble(change: impl FnOnce(&mut Troubles)) {
    ISOLATE.with(|isolate| change(&mut isolate.troubles.borrow_mut()));
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

/// When the issuer was last asked for revocations and did not help; nothing once it did.
pub(crate) fn asked_in_vain_at() -> Option<UnixMillis> {
    ISOLATE.with(|isolate| isolate.asked_in_vain_at.get())
}

pub(crate) fn note_asked_in_vain(at: Option<UnixMillis>) {
    ISOLATE.with(|isolate| isolate.asked_in_vain_at.set(at));
}

pub(crate) fn note_feed_asked(at: UnixMillis) {
    ISOLATE.with(|isolate| isolate.feed_asked_at.set(Some(at)));
}

/// What is known of the sessions on which open connections live.
pub(crate) fn of_sessions<T>(asked: impl FnOnce(&mut Sessions) -> T) -> T {
    ISOLATE.with(|isolate| asked(&mut isolate.sessions.borrow_mut()))
}

/// Begins a question about sessions, unless one is being asked. It counts as asked for `limit` at most.
pub(crate) fn begin_question(now: UnixMillis, limit: Duration) -> Option<Turn> {
    ISOLATE.with(|isolate| isolate.questions.borrow_mut().begin(now, limit))
}

pub(crate) fn end_question(turn: Turn) {
    ISOLATE.with(|isolate| isolate.questions.borrow_mut().end(turn));
}

/// Begins a renewal, unless one is running. It counts as running for `limit` at most: its request may be cancelled.
pub(crate) fn begin_renewal(now: UnixMillis, limit: Duration) -> Option<Turn> {
    ISOLATE.with(|isolate| isolate.renewals.borrow_mut().begin(now, limit))
}

pub(crate) fn end_renewal(turn: Turn) {
    ISOLATE.with(|isolate| isolate.renewals.borrow_mut().end(turn));
}

/// Whether a renewal is running.
pub(crate) fn is_renewing(now: UnixMillis) -> bool {
    ISOLATE.with(|isolate| isolate.renewals.borrow().is_running(now))
}
