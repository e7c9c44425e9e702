//! The smallest origin: it keeps connections open and answers every request with a few bytes, and with the way by which
//! the request came: whether the guard has said who the user is, and whether a session cookie slipped through.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{self, MARK};

const BODY: &str = r#"{"greeting":"hello"}"#;

/// The mark of an answer to a request that came with the user's identity, and without the session's cookies.
pub(crate) const IDENTIFIED: &str = "identified";
/// The mark of an answer to a request as the browser sent it.
pub(crate) const UNTOUCHED: &str = "untouched";
const IDENTIFIED_WITH_COOKIE: &str = "identified-with-session-cookie";

/// What an origin says of who may keep its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// Nothing: the guard must say it.
    Nothing,
    /// That they are private, as frameworks with sessions do.
    Private,
}

impl Says {
    const fn header(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Private => "Cache-Control: private, no-cache\r\n",
        }
    }
}

/// Starts one on a free port of 127.0.0.1; it runs as long as the runtime.
///
/// # Errors
/// No port is free.
pub(crate) async fn start(says: Says) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .context("no port for the origin")?;
    let addr = listener.local_addr().context("the origin has no address")?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A connection that breaks is the caller's to notice.
            tokio::spawn(async move { serve(stream, says).await.ok() });
        }
    });
    Ok(addr)
}

async fn serve(mut stream: TcpStream, says: Says) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(8192);
    while stream.read_buf(&mut received).await? > 0 {
        while let Some(length) = http::head_length(&received) {
            let mark = mark(received.get(..length).unwrap_or_default());
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}{MARK}: {mark}\r\n\r\n{BODY}",
                BODY.len(),
                says.header()
            );
            stream.write_all(answer.as_bytes()).await?;
            received.drain(..length);
        }
    }
    Ok(())
}

fn mark(head: &[u8]) -> &'static str {
    let head = String::from_utf8_lossy(head);
    let has = |wanted: &str| {
        head.lines().any(|line| {
            line.get(..wanted.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(wanted))
        })
    };
    let identified = has("portcullis-user:") && has("portcullis-assertion:");
    match (identified, head.contains(shared::cookie::ACCESS)) {
        (false, _) => UNTOUCHED,
        (true, false) => IDENTIFIED,
        (true, true) => IDENTIFIED_WITH_COOKIE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_by_which_way_it_came() {
        let by_browser = b"GET / HTTP/1.1\r\nCookie: __Host-Http-access=x\r\n\r\n";
        assert_eq!(mark(by_browser), UNTOUCHED);
        let by_guard = b"GET / HTTP/1.1\r\nPortcullis-User: u\r\nportcullis-assertion: a\r\n\r\n";
        assert_eq!(mark(by_guard), IDENTIFIED);
        let leaky = b"GET / HTTP/1.1\r\ncookie: __Host-Http-access=x\r\nportcullis-user: u\r\nportcullis-assertion: a\r\n\r\n";
        assert_eq!(mark(leaky), IDENTIFIED_WITH_COOKIE);
    }

    #[tokio::test]
    async fn it_answers_every_request_of_a_connection() {
        let mut stream = TcpStream::connect(start(Says::Nothing).await.unwrap())
            .await
            .unwrap();
        for _ in 0..2 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = vec![0; 512];
            let length = stream.read(&mut answer).await.unwrap();
            let head = http::answer_head(&answer[..length]).unwrap().unwrap();
            assert_eq!(
                (head.status, head.mark, head.body_length),
                (200, Some(UNTOUCHED), BODY.len())
            );
        }
    }
}
