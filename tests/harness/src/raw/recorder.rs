//! An origin that keeps every byte: nothing is parsed away, put into one case, joined or refused.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::message;
use crate::system::background::{self, Task};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// A running one. It takes one request per connection.
#[derive(Debug)]
pub struct Recorder {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Recorded>>>,
    _task: Task,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    bytes: Vec<u8>,
}

impl Recorder {
    /// One that answers everything with 200.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        Self::answering(ANSWER).await
    }

    /// One that answers everything with these bytes, and closes the connection.
    ///
    /// # Errors
    /// No port is free.
    pub async fn answering(answer: impl Into<Arc<str>>) -> Result<Self> {
        let answer = answer.into();
        let (addr, listener) = background::listen().await?;
        let seen = Arc::<Mutex<Vec<Recorded>>>::default();
        let records = seen.clone();
        let task = Task::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, records.clone(), answer.clone()));
            }
        })?;
        Ok(Self {
            addr,
            seen,
            _task: task,
        })
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The requests since this was asked last.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(mut stream: TcpStream, records: Arc<Mutex<Vec<Recorded>>>, answer: Arc<str>) {
    let mut bytes = Vec::new();
    while !message::is_complete(&bytes) {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            break;
        }
    }
    if bytes.is_empty() {
        return;
    }
    records
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Recorded { bytes });
    // Whoever asked may be gone; what it asked is recorded.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

impl Recorded {
    /// The method of the first line.
    pub fn method(&self) -> String {
        let text = self.text();
        let method = text.split_once(' ').map_or("", |(method, _)| method);
        method.to_owned()
    }

    /// The request target of the first line.
    pub fn target(&self) -> String {
        let text = self.text();
        let line = text.split("\r\n").next().unwrap_or_default();
        let target = line.split_once(' ').map_or("", |(_, rest)| rest);
        target
            .rsplit_once(' ')
            .map_or(target, |(target, _)| target)
            .to_owned()
    }

    /// The header lines, names as they came.
    pub fn headers(&self) -> Vec<(String, String)> {
        message::split(&self.bytes).map_or_else(Vec::new, |(head, _)| message::headers(head))
    }

    /// The values of a header, by its exact name in any case.
    pub fn values(&self, name: &str) -> Vec<String> {
        self.headers()
            .into_iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The body, without the sizes of its chunks.
    pub fn body(&self) -> Vec<u8> {
        message::content(&self.bytes)
    }

    /// All of it, byte by byte.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
