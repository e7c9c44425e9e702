//! What a stopped request may fetch before its story is told again, each at most once.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use shared::cookie::Cookies;
use shared::rejection::Rejection;
use shared::time::UnixMillis;
use web_sys::Request;
use worker::{Delay, Env};

use super::isolate::{self, Settings};
use super::knowledge::{self, Context, Renewal, Wanted};
use super::renewal::{self, NotRenewed};
use super::{keys, log, upstream};
use crate::config::Config;
use crate::credential::{self, Credential};
use crate::freshness;
use crate::gate::Reason;
use crate::refusal::Refusal;
use crate::verdict::Patience;
use crate::view::ago;

/// How long a request waits for what it lacks of keys and revocations, in all, whoever fetches them: for a KV that does
/// not answer, and then for the issuer.
const WAIT: Duration = Duration::from_secs(5);

/// One request's errands.
pub(crate) struct Errands<'a> {
    config: &'a Config,
    settings: &'a Settings,
    request: &'a Request,
    env: &'a Env,
    context: &'a Context,
    cookies_sent: &'a Cookies,
    began_at: UnixMillis,
    keys_loaded: bool,
    newer_keys_sought: bool,
    renewed_keys_sought: bool,
    kv_asked: bool,
    patience: Patience,
    renewed: Option<String>,
    cookies: Vec<String>,
}

impl<'a> Errands<'a> {
    pub(crate) fn new(
        config: &'a Config,
        settings: &'a Settings,
        request: &'a Request,
        env: &'a Env,
        context: &'a Context,
        cookies_sent: &'a Cookies,
    ) -> Self {
        Self {
            config,
            settings,
            request,
            env,
            context,
            cookies_sent,
            began_at: upstream::now(),
            keys_loaded: false,
            newer_keys_sought: false,
            renewed_keys_sought: false,
            kv_asked: false,
            patience: Patience::CanAsk,
            renewed: None,
            cookies: Vec::new(),
        }
    }

    /// Whether newer revocations can still be asked for.
    pub(crate) const fn patience(&self) -> Patience {
        self.patience
    }

    /// The access token that the issuer gave meanwhile.
    pub(crate) fn renewed(&self) -> Option<&str> {
        self.renewed.as_deref()
    }

    /// The `Set-Cookie` values that the issuer gave for the browser, whatever became of its session.
    pub(crate) fn cookies(&self) -> &[String] {
        &self.cookies
    }

    /// Fetches what the request lacks. `Ok`: tell the story again.
    pub(crate) async fn run(&mut self, reason: Reason) -> Result<(), Refusal> {
        match reason {
            Reason::Refused(refusal) => Err(refusal),
            Reason::LacksKeys => self.load_keys().await,
            Reason::LacksNewerKeys => self.seek_newer_keys().await,
            Reason::LacksRevocations(freshness) => {
                self.load_revocations(freshness).await;
                Ok(())
            }
            Reason::LacksRenewal(refusal) => self.renew(refusal).await,
        }
    }

    /// A cold start: keys and revocations at once.
    async fn load_keys(&mut self) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.keys_loaded, true) {
            return Err(Refusal::IssuerUnreachable);
        }
        match self.fetch(Wanted::All).await {
            Renewal::Done(loaded) => {
                self.kv_asked = true;
                loaded
            }
            // Whether it brought keys is seen when the story is told again; if not, this request tries itself.
            Renewal::Other => {
                self.keys_loaded = isolate::has_keys();
                Ok(())
            }
            Renewal::Late => Err(Refusal::IssuerUnreachable),
        }
    }

    /// Where no key is found, a refresh token brings a token under one that is there. That one the issuer has just named, so
    /// it is looked for at once.
    async fn seek_newer_keys(&mut self) -> Result<(), Refusal> {
        let by_issuer = self.renewed.is_some();
        let sought_before = std::mem::replace(&mut self.newer_keys_sought, true);
        if !sought_before || (by_issuer && !self.renewed_keys_sought) {
            self.renewed_keys_sought = by_issuer;
            let looking = pin!(keys::look_again(self.env, self.config, by_issuer));
            let found = select(looking, Delay::from(self.time_left())).await;
            if matches!(found, Either::Left((true, _))) {
                return Ok(());
            }
        }
        self.renew(Refusal::Token(Rejection::UnknownKey)).await
    }

    /// KV, and if that does not help the issuer, and if that does not help either, or takes too long, what is there must
    /// do.
    async fn load_revocations(&mut self, freshness: Duration) {
        let kv_asked_at = isolate::kv_asked_at();
        let kv_first =
            !self.kv_asked && freshness::kv_first(kv_asked_at, freshness, upstream::now());
        let wanted = if kv_first { Wanted::Kv } else { Wanted::Feed };
        match self.fetch(wanted).await {
            Renewal::Done(_) if kv_first => self.kv_asked = true,
            // Whether it helped is seen when the story is told again.
            Renewal::Other => {}
            Renewal::Done(_) | Renewal::Late => self.patience = Patience::MustDecide,
        }
    }

    async fn fetch(&self, wanted: Wanted) -> Renewal {
        let time_left = self.time_left();
        if time_left.is_zero() {
            return Renewal::Late;
        }
        knowledge::renew(self.env, self.settings, self.context, wanted, time_left).await
    }

    /// None where the clock was put back meanwhile: nobody knows how long the request has waited.
    fn time_left(&self) -> Duration {
        WAIT.saturating_sub(ago(self.began_at, upstream::now()))
    }

    async fn renew(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        if self.renewed.is_some() {
            return Err(refusal);
        }
        let Ok(Credential::Cookies {
            refresh: Some(refresh),
            ..
        }) = credential::take(self.cookies_sent, None)
        else {
            return Err(refusal);
        };
        match renewal::renew(self.config, self.request, refresh).await {
            Ok(renewed) => {
                self.renewed = Some(renewed.access);
                self.cookies = renewed.cookies;
                Ok(())
            }
            Err(NotRenewed::Ended { refusal, cookies }) => {
                self.cookies = cookies;
                Err(refusal)
            }
            Err(NotRenewed::Refused) => Err(refusal),
            Err(NotRenewed::Unknown(unreachable)) => {
                log::warn(
                    "a session could not be renewed",
                    &[("reason", &unreachable.to_string())],
                );
                Err(unreachable)
            }
        }
    }
}
