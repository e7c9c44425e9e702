//! An OpenID provider of our own that speaks the real protocol, and lies, stumbles and stalls when it is told to.
//!
//! It stands for a provider that was broken into, for one that is badly made, and for an attacker between.

mod delivery;
mod endpoints;
mod keys;
mod sign_in;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use axum::http::StatusCode;
use axum::response::Response;
use issuer::time::Clock;
use serde_json::{Value, json};

pub use delivery::{Delivery, Endpoint};
pub use keys::Signature;
pub use sign_in::SignIn;

use super::{below, setting};
use crate::private::random_hex;
use crate::process::serial;
use crate::system::background::{self, Task};
use crate::system::settings::Settings;
use endpoints::Grant;
use keys::Key;
use sign_in::patched;

/// The one client's id.
pub const CLIENT_ID: &str = "portcullis-at-hostile";
/// The member of `events` that makes a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
pub const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A parameter of our own at the authorization endpoint: which [`SignIn`] this is.
const PLAN: &str = "harness_plan";

/// A running provider; dropping it ends it.
#[derive(Debug)]
pub struct Hostile {
    name: String,
    addr: SocketAddr,
    inner: Arc<Inner>,
    _task: Task,
}

struct Inner {
    issuer: String,
    client_secret: String,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    key: Key,
    metadata: Value,
    plans: HashMap<String, SignIn>,
    grants: HashMap<String, Grant>,
    /// By access token.
    people: HashMap<String, Value>,
    deliveries: HashMap<Endpoint, Delivery>,
    requests: HashMap<Endpoint, u64>,
}

impl Hostile {
    /// Starts one, which the issuer is to know as `name`. Its time is the machine's.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(name: &str) -> Result<Self> {
        let (addr, listener) = background::listen().await?;
        let inner = Arc::new(Inner {
            issuer: format!("http://{addr}"),
            client_secret: random_hex()?,
            clock: Clock::system(),
            state: Mutex::new(State {
                key: Key::new("first")?,
                metadata: json!({}),
                plans: HashMap::new(),
                grants: HashMap::new(),
                people: HashMap::new(),
                deliveries: HashMap::new(),
                requests: HashMap::new(),
            }),
        });
        let router = endpoints::router(inner.clone());
        let task = Task::spawn(async move {
            // Ends only with the task.
            let _ = axum::serve(listener, router).await;
        })?;
        Ok(Self {
            name: name.to_owned(),
            addr,
            inner,
            _task: task,
        })
    }

    /// What the issuer knows it as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its issuer identifier, which is where it is reached.
    pub fn issuer_url(&self) -> &str {
        &self.inner.issuer
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What the issuer is to be told, so that people can sign in with it.
    pub fn settings(&self) -> Settings {
        let told = [
            ("ISSUER", self.inner.issuer.clone()),
            ("CLIENT_ID", CLIENT_ID.to_owned()),
            ("CLIENT_SECRET", self.inner.client_secret.clone()),
            ("SIGNUP", "open".to_owned()),
        ];
        told.map(|(name, value)| (setting(&self.name, name), value))
            .into()
    }

    /// Does at the provider what a browser does that the site has sent to `address`: the path and query at `site` to which
    /// it is sent back.
    ///
    /// # Errors
    /// `address` is not that of a request for a sign-in, with PKCE, state and nonce; or leads elsewhere than to `site`.
    pub async fn sign_in(&self, site: &str, address: &str, sign_in: &SignIn) -> Result<String> {
        below(&self.inner.issuer, address)?;
        let plan = serial().to_string();
        self.inner
            .state()
            .plans
            .insert(plan.clone(), sign_in.clone());
        let address = format!("{address}&{PLAN}={plan}");
        let answer = crate::system::http_client()?.get(address).send().await?;
        let status = answer.status();
        let to = answer.headers().get("location").cloned();
        let Some(to) = to else {
            let text = answer.text().await.unwrap_or_default();
            anyhow::bail!("the provider refuses the request, {status}: {text}");
        };
        let to = to.to_str().context("a redirect to no text")?;
        below(site, to).map(str::to_owned)
    }

    /// From now on `endpoint` answers so.
    pub fn delivers(&self, endpoint: Endpoint, delivery: Delivery) {
        self.inner.state().deliveries.insert(endpoint, delivery);
    }

    /// From now on discovery says this of what it says otherwise; `null` leaves a member out.
    pub fn claims_of_itself(&self, metadata: Value) {
        self.inner.state().metadata = metadata;
    }

    /// From now on it signs with another key, and publishes that one alone.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn rotate(&self) -> Result<()> {
        let key = Key::new(&format!("key-{}", serial()))?;
        self.inner.state().key = key;
        Ok(())
    }

    /// How often `endpoint` was asked.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        let state = self.inner.state();
        state.requests.get(&endpoint).copied().unwrap_or_default()
    }

    /// A JWT of the type `typ` with these claims.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn token(&self, typ: &str, claims: &Value, signature: Signature) -> Result<String> {
        self.inner.token(typ, claims, signature)
    }

    /// The claims of a good logout token for this subject (OpenID Connect Back-Channel Logout 1.0 §2.4), with `changes`;
    /// `null` leaves one out.
    pub fn logout_claims(&self, subject: &str, changes: &Value) -> Value {
        let now = self.inner.clock.now().to_secs().secs();
        let right = json!({
            "iss": self.inner.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 120,
            "jti": format!("jti-{}", serial()),
            "sub": subject,
            "events": {LOGOUT_EVENT: {}},
        });
        patched(right, changes)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, typ: &str, claims: &Value, signature: Signature) -> Result<String> {
        let state = self.state();
        state.key.token(typ, claims, signature, &self.client_secret)
    }

    async fn deliver(&self, endpoint: Endpoint, status: StatusCode, right: Value) -> Response {
        let delivery = {
            let mut state = self.state();
            *state.requests.entry(endpoint).or_default() += 1;
            state.deliveries.get(&endpoint).cloned().unwrap_or_default()
        };
        delivery.of(status, right).await
    }
}

/// Without keys and secrets.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
