//! What a provider has told, kept for a while: asked again when it gets old, and never more often than the cool-down allows.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::time::UnixMillis;

/// How long a copy serves without a question.
const FRESH: Duration = Duration::from_secs(3600);

/// How long a copy serves while the provider cannot be asked.
const USABLE: Duration = Duration::from_secs(24 * 3600);

/// How long after a question the next one may come. An unknown `kid` costs the provider no more than this.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// The same where nothing is held, and people wait.
const RETRY: Duration = Duration::from_secs(5);

/// Which copy serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One that is not too old.
    Any,
    /// One that was fetched later than this one, in which something is missing.
    NewerThan(UnixMillis),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// The copy serves.
    Use,
    /// Ask; if that fails, the copy serves if there is one that is wanted.
    Ask,
    /// No copy serves, and it is too early to ask.
    Refuse,
}

/// Decides at `now`, where a copy was fetched at `held` and the last question was put at `asked`.
fn plan(
    wanted: Wanted,
    held: Option<UnixMillis>,
    asked: Option<UnixMillis>,
    now: UnixMillis,
) -> Plan {
    let cooled = |pause| asked.is_none_or(|asked| now >= asked.plus(pause));
    let Some(held) = held.filter(|held| now < held.plus(USABLE)) else {
        return if cooled(RETRY) {
            Plan::Ask
        } else {
            Plan::Refuse
        };
    };
    match wanted {
        Wanted::Any if now < held.plus(FRESH) || !cooled(COOL_DOWN) => Plan::Use,
        Wanted::NewerThan(seen) if held > seen => Plan::Use,
        Wanted::NewerThan(_) if !cooled(COOL_DOWN) => Plan::Refuse,
        Wanted::Any | Wanted::NewerThan(_) => Plan::Ask,
    }
}

/// A copy, and when it was fetched.
pub(super) struct Copy<T> {
    pub(super) value: Arc<T>,
    pub(super) fetched_at: UnixMillis,
}

impl<T> Clone for Copy<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            fetched_at: self.fetched_at,
        }
    }
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError<E> {
    /// Asked, and this came.
    #[error(transparent)]
    Fetch(E),
    /// Asked a moment ago, and not again so soon.
    #[error("was asked a moment ago")]
    CoolingDown,
}

/// One thing that a provider tells.
pub(super) struct Cached<T> {
    state: Mutex<State<T>>,
    /// Held by who asks: the others wait for the answer, or use what is there.
    asking: tokio::sync::Mutex<()>,
}

struct State<T> {
    held: Option<Copy<T>>,
    asked: Option<UnixMillis>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                held: None,
                asked: None,
            }),
            asking: tokio::sync::Mutex::default(),
        }
    }
}

impl<T> Cached<T> {
    /// The copy that is wanted, by way of `fetch` if need be.
    pub(super) async fn get<E>(
        &self,
        wanted: Wanted,
        now: UnixMillis,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<Copy<T>, CacheError<E>> {
        if let (Plan::Use, Some(held)) = self.plan(wanted, now) {
            return Ok(held);
        }
        let _asking = match (wanted, self.held(now), self.asking.try_lock()) {
            (_, _, Ok(asking)) => asking,
            (Wanted::Any, Some(held), Err(_)) => return Ok(held),
            _ => self.asking.lock().await,
        };
        // Only now, for whoever asked meanwhile may have been told.
        match self.plan(wanted, now) {
            (Plan::Use, Some(held)) => return Ok(held),
            (Plan::Refuse, _) => return Err(CacheError::CoolingDown),
            (Plan::Use | Plan::Ask, _) => {}
        }
        self.state().asked = Some(now);
        match fetch.await {
            Ok(value) => {
                let copy = Copy {
                    value: Arc::new(value),
                    fetched_at: now,
                };
                self.state().held = Some(copy.clone());
                Ok(copy)
            }
            Err(error) => match (wanted, self.held(now)) {
                (Wanted::Any, Some(held)) => Ok(held),
                _ => Err(CacheError::Fetch(error)),
            },
        }
    }

    fn plan(&self, wanted: Wanted, now: UnixMillis) -> (Plan, Option<Copy<T>>) {
        let state = self.state();
        let held = state.held.as_ref().map(|held| held.fetched_at);
        (plan(wanted, held, state.asked, now), state.held.clone())
    }

    fn held(&self, now: UnixMillis) -> Option<Copy<T>> {
        let held = self.state().held.clone();
        held.filter(|held| now < held.fetched_at.plus(USABLE))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const START: UnixMillis = UnixMillis::from_millis(1_764_000_000_000);

    fn at(secs: u64) -> UnixMillis {
        START.plus(Duration::from_secs(secs))
    }

    #[test]
    fn a_fresh_copy_costs_no_question_and_an_old_one_costs_one() {
        assert_eq!(plan(Wanted::Any, None, None, START), Plan::Ask);
        assert_eq!(
            plan(Wanted::Any, Some(START), Some(START), at(3599)),
            Plan::Use
        );
        assert_eq!(
            plan(Wanted::Any, Some(START), Some(START), at(3600)),
            Plan::Ask
        );
        // The provider is down: the old copy serves for a day, and one question in half a minute is put.
        assert_eq!(
            plan(Wanted::Any, Some(START), Some(at(3600)), at(3629)),
            Plan::Use
        );
        assert_eq!(
            plan(Wanted::Any, Some(START), Some(at(3600)), at(3630)),
            Plan::Ask
        );
        assert_eq!(
            plan(Wanted::Any, Some(START), Some(at(86_398)), at(86_400)),
            Plan::Refuse
        );
    }

    #[test]
    fn an_unknown_key_costs_one_question_in_half_a_minute() {
        let newer = Wanted::NewerThan(START);
        assert_eq!(plan(newer, Some(START), Some(START), at(29)), Plan::Refuse);
        assert_eq!(plan(newer, Some(START), Some(START), at(30)), Plan::Ask);
        assert_eq!(plan(newer, Some(at(30)), Some(at(30)), at(31)), Plan::Use);
    }

    #[test]
    fn a_provider_that_never_answered_is_asked_again_soon_but_not_by_everybody() {
        assert_eq!(plan(Wanted::Any, None, Some(START), at(4)), Plan::Refuse);
        assert_eq!(plan(Wanted::Any, None, Some(START), at(5)), Plan::Ask);
    }

    #[tokio::test]
    async fn a_crowd_asks_once() {
        let (cached, asked) = (Cached::default(), AtomicU32::new(0));
        let ask = || {
            cached.get(Wanted::Any, START, async {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, HttpGone>(7)
            })
        };
        let (a, b, c) = tokio::join!(ask(), ask(), ask());
        assert_eq!([a, b, c].map(|copy| *copy.unwrap().value), [7; 3]);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn while_a_provider_is_down_what_is_held_serves() {
        let cached = Cached::default();
        let gone = || async { Err::<i32, _>(HttpGone) };
        assert!(matches!(
            cached.get(Wanted::Any, START, gone()).await,
            Err(CacheError::Fetch(HttpGone))
        ));
        assert!(matches!(
            cached.get(Wanted::Any, at(1), gone()).await,
            Err(CacheError::CoolingDown)
        ));
        let told = cached.get(Wanted::Any, at(6), async { Ok::<_, HttpGone>(1) });
        assert_eq!(*told.await.unwrap().value, 1);
        let later = cached.get(Wanted::Any, at(4000), gone()).await.unwrap();
        assert_eq!((*later.value, later.fetched_at), (1, at(6)));
        let newer = cached.get(Wanted::NewerThan(at(6)), at(4100), gone()).await;
        assert!(matches!(newer, Err(CacheError::Fetch(HttpGone))));
    }

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("gone")]
    struct HttpGone;
}
