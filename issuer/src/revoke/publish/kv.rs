//! Workers KV through its REST API.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header;
use serde::{Deserialize, Serialize};
use shared::secret::SecretText;

use crate::config::KvConfig;

/// A key and what is to stand there.
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    /// After which time KV forgets it; a minute at least.
    pub(super) ttl: Option<Duration>,
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// No connection, or it broke.
    #[error("KV does not answer: {0}")]
    Transport(#[source] reqwest::Error),
    /// An answer, but a refusal.
    #[error("KV refuses: status {status}, errors {errors:?}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the API says.
        errors: Vec<String>,
    },
    /// The call could not be put into words.
    #[error("writing JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A thread died.
    #[error("encoding: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<reqwest::Error> for KvError {
    fn from(error: reqwest::Error) -> Self {
        // The URL names account and namespace: nothing for a log.
        Self::Transport(error.without_url())
    }
}

/// The namespace to write to.
pub struct KvClient {
    http: reqwest::Client,
    url: String,
    token: SecretText,
}

#[derive(Serialize)]
struct Write {
    key: String,
    value: String,
    base64: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_ttl: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    success: bool,
    errors: Vec<ApiError>,
    result: Option<WriteResult>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WriteResult {
    unsuccessful_keys: Vec<String>,
}

impl KvClient {
    /// A client for the configured namespace.
    ///
    /// # Errors
    /// [`KvError`] where TLS cannot be set up.
    pub fn new(config: &KvConfig) -> Result<Self, KvError> {
        install_tls_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = format!(
            "{}/storage/kv/namespaces/{}/bulk",
            config.api_url, config.namespace
        );
        Ok(Self {
            http,
            url,
            token: config.token.clone(),
        })
    }

    /// Writes all of `pairs` in one call.
    pub(super) async fn write(&self, pairs: Vec<Pair>) -> Result<(), KvError> {
        let body = tokio::task::spawn_blocking(move || body(pairs)).await??;
        let response = self
            .http
            .put(&self.url)
            .bearer_auth(self.token.expose())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await?;
        let status = response.status();
        let answer = if status.is_success() {
            response.json::<Answer>().await?
        } else {
            response.json().await.unwrap_or_default()
        };
        let unwritten = answer
            .result
            .map(|result| result.unsuccessful_keys)
            .unwrap_or_default();
        if status.is_success() && answer.success && unwritten.is_empty() {
            return Ok(());
        }
        let told = answer.errors.into_iter().map(|error| error.message);
        let errors = told
            .chain(
                unwritten
                    .into_iter()
                    .map(|key| format!("{key} was not written")),
            )
            .collect();
        Err(KvError::Refused {
            status: status.as_u16(),
            errors,
        })
    }
}

/// On a thread that may be busy: a base has megabytes.
fn body(pairs: Vec<Pair>) -> Result<Vec<u8>, KvError> {
    let writes: Vec<Write> = pairs
        .into_iter()
        .map(|pair| Write {
            key: pair.key,
            value: STANDARD.encode(&pair.value),
            base64: true,
            expiration_ttl: pair.ttl.map(|ttl| ttl.as_secs()),
        })
        .collect();
    Ok(serde_json::to_vec(&writes)?)
}

/// Makes ring the TLS provider of this process, unless it has one. Needed before any [`reqwest::Client`] is built, because
/// the workspace builds reqwest without a provider of its own.
pub fn install_tls_provider() {
    // An error means that another provider is installed already, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
pub(super) mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::put;
    use tokio::sync::mpsc;

    use super::*;

    /// A namespace whose every answer is this one, and the calls it gets.
    pub(in crate::revoke::publish) async fn kv_that_answers(
        status: StatusCode,
        body: &'static str,
    ) -> (KvClient, mpsc::UnboundedReceiver<(HeaderMap, String)>) {
        let (seen, received) = mpsc::unbounded_channel();
        let kv = kv_that(move |headers, sent| {
            seen.send((headers, sent)).unwrap();
            (status, body)
        });
        (kv.await, received)
    }

    /// A namespace that answers each call with what `answer` says.
    pub(in crate::revoke::publish) async fn kv_that(
        answer: impl Fn(HeaderMap, String) -> (StatusCode, &'static str) + Clone + Send + Sync + 'static,
    ) -> KvClient {
        let handler = put(async move |headers: HeaderMap, sent: String| answer(headers, sent));
        let app = Router::new().route("/acc/storage/kv/namespaces/ns/bulk", handler);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let config = KvConfig {
            api_url: format!("http://{address}/acc"),
            token: SecretText::new("tok".to_owned()),
            namespace: "ns".to_owned(),
        };
        KvClient::new(&config).unwrap()
    }

    fn pairs() -> Vec<Pair> {
        vec![Pair {
            key: "keys".to_owned(),
            value: vec![0, 255],
            ttl: None,
        }]
    }

    #[tokio::test]
    async fn a_write_is_one_authorized_call() {
        let (kv, mut received) =
            kv_that_answers(StatusCode::OK, r#"{"success":true,"errors":[]}"#).await;
        kv.write(pairs()).await.unwrap();
        let (headers, body) = received.recv().await.unwrap();
        assert_eq!(headers["authorization"], "Bearer tok");
        assert_eq!(body, r#"[{"key":"keys","value":"AP8=","base64":true}]"#);
        let mut pairs = pairs();
        pairs[0].ttl = Some(Duration::from_secs(60));
        kv.write(pairs).await.unwrap();
        let (_, body) = received.recv().await.unwrap();
        assert!(body.ends_with(r#""expiration_ttl":60}]"#), "{body}");
    }

    #[tokio::test]
    async fn half_a_success_is_a_failure() {
        let partly = r#"{"success":true,"result":{"unsuccessful_keys":["keys"]}}"#;
        for (status, body) in [
            (StatusCode::OK, partly),
            (
                StatusCode::OK,
                r#"{"success":false,"errors":[{"code":1,"message":"no"}]}"#,
            ),
            (StatusCode::TOO_MANY_REQUESTS, "slow down"),
        ] {
            let (kv, _received) = kv_that_answers(status, body).await;
            assert!(
                matches!(kv.write(pairs()).await, Err(KvError::Refused { .. })),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_dead_kv_is_told_without_its_url() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let config = KvConfig {
            api_url: format!("http://{address}/acc"),
            token: SecretText::new("tok".to_owned()),
            namespace: "ns".to_owned(),
        };
        let error = KvClient::new(&config)
            .unwrap()
            .write(pairs())
            .await
            .unwrap_err();
        assert!(!error.to_string().contains("namespaces"), "{error}");
    }
}
