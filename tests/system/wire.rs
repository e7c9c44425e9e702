//! Requests written byte by byte.

use anyhow::{Context as _, Result};
use harness::raw::{self, Answer, Recorded, Recorder};
use harness::system::{Client, System};
use shared::cookie;

/// A site whose origin hides nothing of what it is sent.
pub(crate) struct Site {
    pub(crate) system: System,
    pub(crate) origin: Recorder,
}

/// What became of a request.
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// What the origin saw of it.
    pub(crate) reached: Option<Recorded>,
}

impl Site {
    /// Sends a GET of `target` as `client`, with more header lines, each with its line break.
    pub(crate) async fn get(&self, target: &str, client: &Client, more: &[u8]) -> Result<Outcome> {
        self.exchange(
            &[b"GET ", target.as_bytes(), b" HTTP/1.1\r\n"].concat(),
            client,
            more,
            b"",
        )
        .await
    }

    /// Sends a request that begins with `line`, and says whether it has reached the origin.
    pub(crate) async fn exchange(
        &self,
        line: &[u8],
        client: &Client,
        more: &[u8],
        body: &[u8],
    ) -> Result<Outcome> {
        let mut fixed = format!("Host: {}\r\nAccept: */*\r\n", authority(&self.system));
        if let Some(token) = client.cookie(cookie::ACCESS) {
            fixed += &format!("Cookie: {}={token}\r\n", cookie::ACCESS);
        }
        let request = [line, fixed.as_bytes(), more, b"\r\n", body].concat();
        let answer = raw::exchange(self.system.edges[0].addr(), &request).await?;
        let mut reached = self.origin.take();
        anyhow::ensure!(reached.len() < 2, "one request became {}", reached.len());
        Ok(Outcome {
            answer,
            reached: reached.pop(),
        })
    }
}

/// Host and port of the site, as its users see it.
pub(crate) fn authority(system: &System) -> &str {
    system.public_url().trim_start_matches("http://")
}

/// The value of a field of `GET /auth/session`, by its JSON pointer.
pub(crate) async fn of_session(client: &Client, pointer: &str) -> Result<String> {
    let session = client.get("/auth/session").await?.expect(200)?.json()?;
    let found = session.pointer(pointer).and_then(|value| value.as_str());
    Ok(found
        .with_context(|| format!("{pointer} in {session}"))?
        .to_owned())
}
