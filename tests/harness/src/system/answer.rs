//! What came back.

use anyhow::{Context as _, Result, bail};
use reqwest::header::HeaderMap;
use serde_json::Value;
use shared::wire::PROBLEM_JSON;

use crate::origin::Received;

/// An HTTP answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    what: String,
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub(super) async fn read(what: &str, answer: reqwest::Response) -> Result<Self> {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer
            .bytes()
            .await
            .with_context(|| format!("the answer to {what} broke off"))?
            .to_vec();
        Ok(Self {
            what: what.to_owned(),
            status,
            headers,
            body,
        })
    }

    /// 200, 303, 401 …
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers of that name that are text.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect()
    }

    /// All headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Where a redirect leads.
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("no JSON: {self}"))
    }

    /// The `code` of a problem (RFC 9457), if the answer is one.
    pub fn code(&self) -> Option<String> {
        let is_problem = self.header("content-type")?.starts_with(PROBLEM_JSON);
        let code = self.json().ok()?.get("code")?.as_str()?.to_owned();
        is_problem.then_some(code)
    }

    /// What the demo origin says it received.
    ///
    /// # Errors
    /// The answer is not the demo origin's.
    pub fn received(&self) -> Result<Received> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not the demo origin's answer: {self}"))
    }

    /// The answer itself, if it has this status.
    ///
    /// # Errors
    /// It has another; the message shows it.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status != status {
            bail!("{status} expected, but: {self}");
        }
        Ok(self)
    }

    /// The answer itself, if it is this problem.
    ///
    /// # Errors
    /// It is not; the message shows it.
    pub fn expect_problem(self, status: u16, code: &str) -> Result<Self> {
        if self.status != status || self.code().as_deref() != Some(code) {
            bail!("{status} {code} expected, but: {self}");
        }
        Ok(self)
    }
}

/// For messages: never the cookies.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.text().chars().take(600).collect();
        write!(f, "{} was answered {}", self.what, self.status)?;
        if let Some(location) = self.location() {
            write!(f, " to {location}")?;
        }
        write!(f, ": {text}")
    }
}
