//! Calling providers: no redirects (RFC 9700 §4.11: a redirect could lead into our own network), bounded in time and size.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use openidconnect::http::header::ACCEPT;
use openidconnect::http::{Method, Request, Response};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;
use url::Url;

/// How long one call may take, its body included. An edge waits ten seconds for the issuer, and a sign-in makes up to four.
const TIME_LIMIT: Duration = Duration::from_secs(4);

/// Bytes that an answer may have. Microsoft's metadata and keys together have about 20,000.
const MOST_BYTES: usize = 256 * 1024;

/// Why a provider gave no answer that can be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// Not reached, broken off, or too slow.
    #[error("{}", causes(.0))]
    Request(#[from] reqwest::Error),
    /// More than the limit.
    #[error("the answer has more than {MOST_BYTES} bytes")]
    TooLarge,
    /// Another status than 200 where nothing else is of use.
    #[error("the answer has status {0}")]
    Status(u16),
    /// No HTTP at all.
    #[error("not HTTP: {0}")]
    Malformed(#[from] openidconnect::http::Error),
}

/// `reqwest` tells the reason only in the causes. Without the URL, which is named elsewhere.
fn causes(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "timed out".to_owned()
    } else {
        "failed".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A client for calls to providers. It is made at the first call: an issuer without providers needs none.
#[derive(Debug, Default)]
pub(super) struct ProviderHttp(OnceLock<reqwest::Client>);

impl ProviderHttp {
    fn client(&self) -> Result<&reqwest::Client, HttpError> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let client = reqwest::Client::builder()
            .connect_timeout(TIME_LIMIT)
            .timeout(TIME_LIMIT)
            .redirect(Policy::none())
            .user_agent("portcullis-issuer")
            .build()?;
        Ok(self.0.get_or_init(|| client))
    }

    /// The body of `url`, where the status is 200.
    pub(super) async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<Vec<u8>, HttpError> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(ACCEPT, "application/json");
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let response = self.exchange(request.body(vec![])?).await?;
        match response.status().as_u16() {
            200 => Ok(response.into_body()),
            status => Err(HttpError::Status(status)),
        }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = self.client()?.clone();
        let mut answer = reqwest::RequestBuilder::from_parts(client, request.try_into()?)
            .send()
            .await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            if body.len() + piece.len() > MOST_BYTES {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.exchange(request))
    }
}
