//! Asks one address as fast as it answers, over a fixed number of connections that stay open, and checks every answer:
//! a benchmark of refusals would look splendid.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked, and which answer is the right one.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where.
    pub(crate) addr: SocketAddr,
    /// The request up to its token.
    pub(crate) before_token: Arc<str>,
    /// One token after the other, then from the start again; the place is kept from one drive to the next.
    pub(crate) tokens: Arc<Tokens>,
    /// The request from its token on.
    pub(crate) after_token: Arc<str>,
    /// The mark of the right answer (see [`http::MARK`]).
    pub(crate) mark: &'static str,
}

/// The tokens of the requests to come.
#[derive(Debug)]
pub(crate) struct Tokens {
    pool: Arc<[String]>,
    next: AtomicUsize,
}

impl Tokens {
    /// All of `pool`, over and over.
    pub(crate) const fn new(pool: Arc<[String]>) -> Self {
        Self {
            pool,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> &str {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.pool
            .get(turn % self.pool.len().max(1))
            .map_or("", String::as_str)
    }
}

/// What a drive came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Right answers.
    pub(crate) right: u64,
    /// All others.
    pub(crate) wrong: u64,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// What the first wrong answer was.
    pub(crate) first_wrong: Option<String>,
}

/// Drives `target` over `connections` connections for `time`. Every request begun is answered before this returns.
///
/// # Errors
/// The address cannot be reached, breaks a connection, does not answer in time, or does not speak HTTP/1.1.
pub(crate) async fn drive(target: &Target, connections: usize, time: Duration) -> Result<Count> {
    let mut streams = Vec::with_capacity(connections);
    for _ in 0..connections {
        streams.push(Connection::open(target.addr).await?);
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for connection in streams {
        running.spawn(keep_asking(connection, target.clone(), started + time));
    }
    let mut total = Count::default();
    while let Some(ended) = running.join_next().await {
        let count = ended.context("a connection's task ended badly")??;
        total.right += count.right;
        total.wrong += count.wrong;
        total.first_wrong = total.first_wrong.or(count.first_wrong);
    }
    total.took = started.elapsed();
    Ok(total)
}

async fn keep_asking(mut connection: Connection, target: Target, until: Instant) -> Result<Count> {
    let mut count = Count::default();
    while Instant::now() < until {
        let asked = tokio::time::timeout(PATIENCE, connection.ask(&target)).await;
        match asked.with_context(|| format!("no answer in {PATIENCE:?}"))?? {
            None => count.right += 1,
            Some(wrong) => {
                count.wrong += 1;
                count.first_wrong.get_or_insert(wrong);
            }
        }
    }
    Ok(count)
}

/// A connection that stays open, and its buffers.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    received: Vec<u8>,
}

impl Connection {
    async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)
            .await
            .with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self {
            stream,
            request: Vec::with_capacity(4096),
            received: Vec::with_capacity(4096),
        })
    }

    /// One request and its answer; what the answer was, if it is not the right one.
    async fn ask(&mut self, target: &Target) -> Result<Option<String>> {
        self.request.clear();
        for part in [
            &*target.before_token,
            target.tokens.next(),
            &*target.after_token,
        ] {
            self.request.extend_from_slice(part.as_bytes());
        }
        self.stream
            .write_all(&self.request)
            .await
            .context("the connection broke")?;
        self.received.clear();
        loop {
            if self
                .stream
                .read_buf(&mut self.received)
                .await
                .context("the connection broke")?
                == 0
            {
                bail!("the connection was closed");
            }
            let head = http::answer_head(&self.received)
                .map_err(|http::Unexpected(what)| anyhow::anyhow!("got {what}"))?;
            let Some(head) =
                head.filter(|head| self.received.len() >= head.length + head.body_length)
            else {
                continue;
            };
            let right = head.status == 200 && head.mark == Some(target.mark);
            return Ok((!right).then(|| String::from_utf8_lossy(&self.received).into_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin;

    async fn target(mark: &'static str, tokens: &[&str]) -> Target {
        let pool: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
        Target {
            addr: origin::start(origin::Says::Nothing).await.unwrap(),
            before_token: "GET / HTTP/1.1\r\nCookie: ".into(),
            tokens: Arc::new(Tokens::new(pool.into())),
            after_token: "\r\n\r\n".into(),
            mark,
        }
    }

    #[tokio::test]
    async fn right_answers_are_counted() {
        let count = drive(
            &target(origin::UNTOUCHED, &["a"]).await,
            2,
            Duration::from_millis(50),
        )
        .await
        .unwrap();
        assert!(
            count.right > 2 && count.took >= Duration::from_millis(50),
            "{count:?}"
        );
        assert_eq!((count.wrong, count.first_wrong), (0, None));
    }

    #[tokio::test]
    async fn an_answer_by_another_way_is_wrong_and_shown() {
        let count = drive(
            &target(origin::IDENTIFIED, &["a"]).await,
            2,
            Duration::from_millis(20),
        )
        .await
        .unwrap();
        assert!(count.right == 0 && count.wrong > 2, "{count:?}");
        assert!(count.first_wrong.unwrap().contains("x-measure: untouched"));
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let mut nowhere = target(origin::UNTOUCHED, &["a"]).await;
        nowhere.addr = SocketAddr::from(([127, 0, 0, 1], harness::ports::free().unwrap()));
        assert!(drive(&nowhere, 1, Duration::from_millis(20)).await.is_err());
    }

    #[test]
    fn tokens_come_in_turn() {
        let tokens = Tokens::new(Arc::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(
            [tokens.next(), tokens.next(), tokens.next()],
            ["a", "b", "a"]
        );
    }
}
