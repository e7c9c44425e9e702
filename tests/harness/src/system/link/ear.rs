//! Hears how often a text goes over a wire, from its near end to its far end.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Result};

/// What was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How often.
    pub times: u64,
    /// When for the last time.
    pub last: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Ear {
    text: &'static str,
    heard: Mutex<Heard>,
}

impl Ear {
    pub(super) fn new(text: &'static str) -> Self {
        let heard = Mutex::default();
        Self { text, heard }
    }

    pub(super) fn heard(&self) -> Heard {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears `bytes`, which follow on `before`, and leaves there what the next ones may complete.
    fn listen(&self, before: &mut Vec<u8>, bytes: &[u8]) {
        if self.text.is_empty() {
            return;
        }
        before.extend_from_slice(bytes);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let found = before.windows(self.text.len());
        let found = found.filter(|part| *part == self.text.as_bytes()).count();
        if found > 0 {
            heard.times += u64::try_from(found).unwrap_or(0);
            heard.last = Some(Instant::now());
        }
        let known = before.len().saturating_sub(self.text.len() - 1);
        before.drain(..known);
    }
}

/// A connection whose bytes an [`Ear`] hears when they are read.
#[derive(Debug)]
pub(super) struct Overheard<'a, S> {
    stream: S,
    ear: &'a Ear,
    before: Vec<u8>,
}

impl<'a, S> Overheard<'a, S> {
    pub(super) const fn new(stream: S, ear: &'a Ear) -> Self {
        let before = Vec::new();
        Self {
            stream,
            ear,
            before,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Overheard<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let this = &mut *self;
        let start = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(start..).unwrap_or_default();
        this.ear.listen(&mut this.before, read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Overheard<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_heard_once_however_it_is_cut() {
        let whole = b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /a";
        for cut in 0..=whole.len() {
            let (ear, mut before) = (Ear::new("GET /a"), Vec::new());
            ear.listen(&mut before, &whole[..cut]);
            ear.listen(&mut before, &whole[cut..]);
            assert_eq!(ear.heard().times, 2, "{cut}");
        }
        assert_eq!(Ear::new("x").heard(), Heard::default());
    }

    #[test]
    fn nothing_is_heard_where_nothing_is_listened_for() {
        let (ear, mut before) = (Ear::new(""), Vec::new());
        ear.listen(&mut before, b"anything");
        assert_eq!((ear.heard().times, before.len()), (0, 0));
    }
}
