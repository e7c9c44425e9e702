//! Requests that look like a browser's, or like anything else.

use anyhow::{Context as _, Result};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method};
use serde_json::Value;

use super::answer::Answer;
use super::client::Client;

const PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Who a request looks as if it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `fetch()` in a page of the site.
    #[default]
    Fetch,
    /// The address bar, or a form or link of the site.
    Navigate,
    /// A form of another site.
    CrossSite,
    /// A program: no Sec-Fetch headers and no Origin.
    Bare,
}

/// A request that is being put together.
#[derive(Debug)]
pub struct Request {
    client: Client,
    method: Method,
    path: String,
    mode: Mode,
    headers: HeaderMap,
    body: Option<Body>,
    cookies: bool,
}

impl Request {
    pub(super) fn new(client: Client, method: Method, path: &str) -> Self {
        Self {
            client,
            method,
            path: path.to_owned(),
            mode: Mode::default(),
            headers: HeaderMap::new(),
            body: None,
            cookies: true,
        }
    }

    /// Whom it looks as if it came from.
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Adds a header; one that the browser would set itself takes its place. A name or value that HTTP forbids is
    /// left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (
            name.parse::<HeaderName>(),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            self.headers.append(name, value);
        }
        self
    }

    /// `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// A body of any kind.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A body of JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// A body as a form sends it.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
            .collect();
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(pairs.join("&"))
    }

    /// Sends none of the jar's cookies, and keeps none of the answer's.
    #[must_use]
    pub const fn without_cookies(mut self) -> Self {
        self.cookies = false;
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// No answer came.
    pub async fn send(self) -> Result<Answer> {
        let client = self.client.clone();
        let (keeps, what) = (self.cookies, format!("{} {}", self.method, self.path));
        let answer = self
            .prepare()
            .send()
            .await
            .with_context(|| format!("no answer to {what}"))?;
        let answer = Answer::read(&what, answer).await?;
        if keeps {
            client.keep_cookies(&answer);
        }
        Ok(answer)
    }

    fn prepare(mut self) -> reqwest::RequestBuilder {
        for (name, value) in self.browsers_headers() {
            if let (false, Ok(value)) = (
                self.headers.contains_key(&name),
                HeaderValue::from_str(&value),
            ) {
                self.headers.insert(name, value);
            }
        }
        let url = format!("http://{}{}", self.client.addr, self.path);
        let request = self
            .client
            .http
            .request(self.method, url)
            .headers(self.headers);
        match self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }

    /// What a browser adds by itself (W3C Fetch Metadata; RFC 6454 §7).
    fn browsers_headers(&self) -> Vec<(HeaderName, String)> {
        let site = &self.client.public_url;
        let fetch = |name: &'static str| HeaderName::from_static(name);
        let mut headers = vec![(header::HOST, authority(site).to_owned())];
        let cookies = if self.cookies {
            self.client.cookies()
        } else {
            Vec::new()
        };
        // Lax: cookies stay at home when another site posts.
        if !cookies.is_empty() && self.mode != Mode::CrossSite {
            let pairs: Vec<String> = cookies
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            headers.push((header::COOKIE, pairs.join("; ")));
        }
        let (mode, dest, from, accept) = match self.mode {
            Mode::Bare => return headers,
            Mode::Fetch => ("cors", "empty", "same-origin", "*/*"),
            Mode::Navigate if self.method == Method::GET => ("navigate", "document", "none", PAGE),
            Mode::Navigate => ("navigate", "document", "same-origin", PAGE),
            Mode::CrossSite => ("navigate", "document", "cross-site", PAGE),
        };
        headers.extend([
            (fetch("sec-fetch-mode"), mode.to_owned()),
            (fetch("sec-fetch-dest"), dest.to_owned()),
            (fetch("sec-fetch-site"), from.to_owned()),
            (header::ACCEPT, accept.to_owned()),
            (
                header::USER_AGENT,
                "Mozilla/5.0 (X11; Linux x86_64) Harness/1.0".to_owned(),
            ),
        ]);
        if self.method != Method::GET && self.method != Method::HEAD {
            let origin = if self.mode == Mode::CrossSite {
                "https://elsewhere.example"
            } else {
                site
            };
            headers.push((header::ORIGIN, origin.to_owned()));
        }
        headers
    }
}

fn authority(url: &str) -> &str {
    url.split_once("://")
        .map_or(url, |(_, authority)| authority)
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3), which every form decoder reads.
fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use issuer::time::Clock;

    use crate::origin::Origin;

    async fn client() -> (Origin, Client) {
        let origin = Origin::start().await.unwrap();
        let client = Client::new(origin.addr(), "http://localhost:8787", Clock::system()).unwrap();
        (origin, client)
    }

    #[tokio::test]
    async fn a_fetch_looks_like_one_of_the_sites_own_page() {
        let (_origin, client) = client().await;
        client.set_cookie("a", "1");
        client.set_cookie("b", "2");
        let received = client
            .post_json("/api/x?y", &serde_json::json!({}))
            .await
            .unwrap()
            .received()
            .unwrap();
        for (name, value) in [
            ("host", "localhost:8787"),
            ("cookie", "a=1; b=2"),
            ("origin", "http://localhost:8787"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(received.header(name), Some(value), "{name}");
        }
    }

    #[tokio::test]
    async fn a_program_sends_only_what_it_is_told() {
        let (_origin, client) = client().await;
        let received = client
            .request(Method::POST, "/api/x")
            .mode(Mode::Bare)
            .header("x-a", "1")
            .header("x-a", "2");
        let received = received.send().await.unwrap().received().unwrap();
        let mut names: Vec<&str> = received
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        names.retain(|name| !["accept", "content-length"].contains(name));
        assert_eq!(names, ["x-a", "x-a", "host"]);
    }

    #[tokio::test]
    async fn another_sites_form_brings_no_cookies_and_its_own_origin() {
        let (_origin, client) = client().await;
        client.set_cookie("a", "1");
        let sent = client
            .request(Method::POST, "/api/x")
            .mode(Mode::CrossSite)
            .form(&[("k", "a b&c")])
            .send()
            .await;
        let received = sent.unwrap().received().unwrap();
        assert_eq!(
            (received.header("cookie"), received.header("sec-fetch-site")),
            (None, Some("cross-site"))
        );
        assert_eq!(received.body_length, "k=a%20b%26c".len());
    }
}
