//! HTTP/1.1 as bytes on a connection, for requests that no client library would write, and an origin that hides nothing
//! of what it is sent.

mod message;
mod recorder;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use recorder::{Recorded, Recorder};

/// Nothing that is asked here takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)
            .await
            .with_context(|| format!("nobody listens at {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            seen: Vec::new(),
        })
    }

    /// Writes `bytes` as they are.
    ///
    /// # Errors
    /// The other side has closed it.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads on until `text` has been seen.
    ///
    /// # Errors
    /// The connection ends before that, or it takes too long.
    pub async fn read_until(&mut self, text: &str) -> Result<()> {
        let wanted = |seen: &[u8]| seen.windows(text.len()).any(|part| part == text.as_bytes());
        while !wanted(&self.seen) {
            if self.read().await? == 0 {
                bail!("the connection ended before `{text}`: {}", self.seen());
            }
        }
        Ok(())
    }

    /// Reads on to the end, whether that was said or the connection broke.
    ///
    /// # Errors
    /// It goes on after `limit`.
    pub async fn read_to_end(&mut self, limit: Duration) -> Result<()> {
        let reading =
            async { while self.stream.read_buf(&mut self.seen).await.unwrap_or(0) > 0 {} };
        timeout(limit, reading)
            .await
            .with_context(|| format!("it goes on after {limit:?}"))
    }

    /// Reads the next bytes and forgets them: how many, 0 at the end.
    ///
    /// # Errors
    /// The connection breaks, or nothing comes for too long.
    pub async fn skip(&mut self) -> Result<usize> {
        let read = self.read().await?;
        self.seen.clear();
        Ok(read)
    }

    /// What was read so far.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Sends a request and reads its answer; the connection can be used again.
    ///
    /// # Errors
    /// The other side has closed it.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.send(request).await?;
        self.answer().await
    }

    async fn read(&mut self) -> Result<usize> {
        let reading = self.stream.read_buf(&mut self.seen);
        Ok(timeout(LIMIT, reading)
            .await
            .with_context(|| format!("{LIMIT:?} without a byte"))??)
    }

    /// Reads one answer.
    async fn answer(&mut self) -> Result<Answer> {
        // A server that has had enough may close without a word.
        while !message::is_complete(&self.seen) && self.read().await.unwrap_or(0) > 0 {}
        Ok(Answer {
            bytes: std::mem::take(&mut self.seen),
        })
    }
}

/// Sends `request` as it is on a connection of its own, and reads what comes.
///
/// # Errors
/// Nobody listens there.
pub async fn exchange(addr: SocketAddr, request: &[u8]) -> Result<Answer> {
    let mut connection = Connection::open(addr).await?;
    // Whoever refuses a request may do so before its end.
    let _ = connection.send(request).await;
    connection.answer().await
}

/// What came back, byte by byte.
#[derive(Clone, Debug)]
pub struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// The status; `None`: the connection was closed without one.
    pub fn status(&self) -> Option<u16> {
        let text = String::from_utf8_lossy(&self.bytes);
        text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    /// Whether it says "no", by a status of 4xx or by closing the connection.
    pub fn is_refusal(&self) -> bool {
        self.status()
            .is_none_or(|status| (400..500).contains(&status))
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
