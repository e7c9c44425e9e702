//! Where a message ends (RFC 9112 §6.3), as far as tests send and receive them.

/// The head with its empty line, and the body so far; `None` while the head is not there.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    Some(bytes.split_at(end))
}

/// The header lines of a head.
pub(super) fn headers(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head);
    let lines = text.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Whether `bytes` hold a whole message, or one that only the end of the connection ends.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let Some((head, body)) = split(bytes) else {
        return false;
    };
    let headers = headers(head);
    let value = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    if is_chunked(&headers) {
        return unchunked(body).1;
    }
    let is_request = !head.starts_with(b"HTTP/");
    match value("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => {
            is_request
                || [b" 101", b" 204", b" 304"]
                    .iter()
                    .any(|code| head[8..].starts_with(*code))
        }
    }
}

/// The body of a message, without the sizes of its chunks.
pub(super) fn content(bytes: &[u8]) -> Vec<u8> {
    match split(bytes) {
        Some((head, body)) if is_chunked(&headers(head)) => unchunked(body).0,
        Some((_, body)) => body.to_vec(),
        None => Vec::new(),
    }
}

fn is_chunked(headers: &[(String, String)]) -> bool {
    headers.iter().any(|(name, coding)| {
        name.eq_ignore_ascii_case("transfer-encoding") && coding.eq_ignore_ascii_case("chunked")
    })
}

/// What is in the chunks, and whether the last one is there, and the trailer section behind it (RFC 9112 §7.1).
fn unchunked(body: &[u8]) -> (Vec<u8>, bool) {
    let (mut content, mut rest) = (Vec::new(), body);
    loop {
        let Some(line) = rest.windows(2).position(|part| part == b"\r\n") else {
            return (content, false);
        };
        let (size, behind) = rest.split_at(line);
        let size = String::from_utf8_lossy(size);
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            return (content, true);
        };
        if size == 0 {
            return (content, behind.windows(4).any(|part| part == b"\r\n\r\n"));
        }
        let Some(next) = behind.get(2 + size + 2..) else {
            return (content, false);
        };
        content.extend_from_slice(&behind[2..2 + size]);
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_it_says() {
        for (text, complete) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", false),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", true),
            ("HTTP/1.1 200 OK\r\n\r\nabc", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n",
                true,
            ),
        ] {
            assert_eq!(is_complete(text.as_bytes()), complete, "{text:?}");
        }
    }

    #[test]
    fn the_content_is_what_is_in_the_chunks() {
        for (text, whole) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "abc"),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nx: y\r\n\r\n",
                "abc",
            ),
        ] {
            assert_eq!(content(text.as_bytes()), whole.as_bytes(), "{text:?}");
        }
    }
}
