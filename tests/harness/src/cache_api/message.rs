//! An answer as the Cache API hands it over to be kept: a whole HTTP/1.1 message (RFC 9112), and how long it may be.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// An answer that may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Message {
    /// Reads it; nothing if it is none.
    pub(super) fn parse(bytes: &Bytes) -> Option<Self> {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let name: HeaderName = name.parse().ok()?;
            headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
        }
        Some(Self {
            status: status.parse().ok()?,
            headers,
            body: bytes.slice(end + 4..),
        })
    }

    /// How long it may be kept: nothing if not at all. A shared cache keeps neither what is meant for one person nor
    /// what does not say for how long (RFC 9111 §3; the real one would make up a time for the latter).
    pub(super) fn lifetime(&self) -> Option<Duration> {
        if self.headers.contains_key("set-cookie") || self.status == StatusCode::PARTIAL_CONTENT {
            return None;
        }
        let control = self.headers.get("cache-control")?.to_str().ok()?;
        let control = control.to_ascii_lowercase();
        let directives: Vec<&str> = control.split(',').map(str::trim).collect();
        let seconds = |name: &str| {
            directives
                .iter()
                .find_map(|directive| directive.strip_prefix(name)?.strip_prefix('='))
                .and_then(|value| value.parse().ok())
        };
        let forbidden = ["no-store", "private", "no-cache"];
        if directives
            .iter()
            .any(|directive| forbidden.contains(directive))
        {
            return None;
        }
        let seconds = seconds("s-maxage").or_else(|| seconds("max-age"))?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &str) -> Message {
        let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\nbody");
        Message::parse(&Bytes::from(text)).unwrap()
    }

    #[test]
    fn a_message_is_taken_apart() {
        let message = message("Content-Type: text/plain\r\nX: 1\r\n");
        assert_eq!((message.status, message.headers.len()), (StatusCode::OK, 2));
        assert_eq!(message.body, "body");
        for broken in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 xx OK\r\n\r\n",
            "a\r\n\r\n",
        ] {
            assert_eq!(Message::parse(&Bytes::from(broken)), None, "{broken:?}");
        }
    }

    #[test]
    fn only_what_says_for_how_long_is_kept() {
        let lifetime = |headers: &str| message(headers).lifetime().map(|time| time.as_secs());
        assert_eq!(lifetime("Cache-Control: max-age=1\r\n"), Some(1));
        assert_eq!(
            lifetime("Cache-Control: public, S-MaxAge=5, max-age=1\r\n"),
            Some(5)
        );
        for kept_by_nobody in [
            "",
            "Cache-Control: max-age=0\r\n",
            "Cache-Control: no-store, max-age=9\r\n",
            "Cache-Control: private, max-age=9\r\n",
            "Cache-Control: max-age=9\r\nSet-Cookie: a=b\r\n",
        ] {
            assert_eq!(lifetime(kept_by_nobody), None, "{kept_by_nobody:?}");
        }
    }
}
