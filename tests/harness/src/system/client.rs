//! A browser without a window: a cookie jar, and requests that look like a browser's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use issuer::time::Clock;
use reqwest::Method;
use serde_json::Value;

use super::answer::Answer;
use super::jar::Jar;
use super::request::{Mode, Request};
use super::{Account, http_client};

/// One browser. It follows no redirect, so that a test sees each step; clones share the cookies.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(crate) addr: SocketAddr,
    pub(crate) public_url: String,
    jar: Arc<Mutex<Jar>>,
    clock: Clock,
}

impl Client {
    /// A browser without cookies that reaches the site `public_url` at `addr`.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(addr: SocketAddr, public_url: &str, clock: Clock) -> Result<Self> {
        Ok(Self {
            http: http_client()?,
            addr,
            public_url: public_url.to_owned(),
            jar: Arc::default(),
            clock,
        })
    }

    /// A browser with a copy of the cookies, which from now on go their own ways: a thief, a restored backup.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            jar: Arc::new(Mutex::new(self.jar().clone())),
            ..self.clone()
        }
    }

    /// The same browser, reaching the site elsewhere: through another edge, or straight at an issuer.
    #[must_use]
    pub fn at(&self, addr: SocketAddr) -> Self {
        Self {
            addr,
            ..self.clone()
        }
    }

    /// The site as users see it.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Begins a request.
    pub fn request(&self, method: Method, path: &str) -> Request {
        Request::new(self.clone(), method, path)
    }

    /// A `fetch()` of the site's own page.
    ///
    /// # Errors
    /// No answer came; so for all that follow.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request(Method::GET, path).send().await
    }

    /// A page.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn navigate(&self, path: &str) -> Result<Answer> {
        self.request(Method::GET, path)
            .mode(Mode::Navigate)
            .send()
            .await
    }

    /// A `fetch()` with POST and without a body.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn post(&self, path: &str) -> Result<Answer> {
        self.request(Method::POST, path).send().await
    }

    /// A `fetch()` with JSON.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn post_json(&self, path: &str, body: &Value) -> Result<Answer> {
        self.request(Method::POST, path).json(body).send().await
    }

    /// A form of the site.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.request(Method::POST, path)
            .mode(Mode::Navigate)
            .form(fields)
            .send()
            .await
    }

    /// Signs in with a password, as the site's script does. The answer may be a refusal.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn sign_in(&self, account: &Account) -> Result<Answer> {
        let body = serde_json::json!({ "email": account.email, "password": account.password });
        self.post_json("/auth/login", &body).await
    }

    /// `POST /auth/refresh`.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn refresh(&self) -> Result<Answer> {
        self.post("/auth/refresh").await
    }

    /// `POST /auth/logout`.
    ///
    /// # Errors
    /// See [`Client::get`].
    pub async fn logout(&self) -> Result<Answer> {
        self.post("/auth/logout").await
    }

    /// The value of a cookie that has not run out.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies()
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// All cookies that have not run out.
    pub fn cookies(&self) -> Vec<(String, String)> {
        self.jar().live(self.clock.now())
    }

    /// Puts a cookie into the jar.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar().set(name, value);
    }

    /// Takes a cookie out of the jar.
    pub fn remove_cookie(&self, name: &str) {
        self.jar().remove(name);
    }

    /// Empties the jar.
    pub fn clear_cookies(&self) {
        *self.jar() = Jar::default();
    }

    /// Does what the answer says about cookies.
    pub(super) fn keep_cookies(&self, answer: &Answer) {
        self.jar()
            .take(&answer.headers_named("set-cookie"), self.clock.now());
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_cookies_of_its_own() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let client = Client::new(addr, "http://localhost", Clock::system()).unwrap();
        client.set_cookie("a", "1");
        let (copy, clone) = (client.copy(), client.clone());
        client.set_cookie("a", "2");
        assert_eq!(
            (copy.cookie("a"), clone.cookie("a")),
            (Some("1".into()), Some("2".into()))
        );
    }
}
