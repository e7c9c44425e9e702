//! As much of HTTP/1.1 (RFC 9112) as the load generator and its origin need: whether a head is complete, what it says.

/// The header in which an answer says by which way it came about.
pub(crate) const MARK: &str = "x-measure";

/// What matters of an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerHead<'a> {
    /// The status code.
    pub(crate) status: u16,
    /// The value of [`MARK`].
    pub(crate) mark: Option<&'a str>,
    /// How many bytes follow.
    pub(crate) body_length: usize,
    /// How many bytes the head has, its empty line included.
    pub(crate) length: usize,
}

/// Bytes that are no answer of the kind that is expected here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unexpected(pub(crate) &'static str);

/// The answer's head at the start of `bytes`; nothing while it is incomplete.
///
/// # Errors
/// [`Unexpected`]: no HTTP/1.1, or an answer whose length is not told beforehand.
pub(crate) fn answer_head(bytes: &[u8]) -> Result<Option<AnswerHead<'_>>, Unexpected> {
    let Some(length) = head_length(bytes) else {
        return Ok(None);
    };
    let head = bytes.get(..length).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| Unexpected("a head that is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(status)
        .ok_or(Unexpected("no HTTP/1.1 status line"))?;
    let (mut mark, mut body_length) = (None, None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case(MARK) {
            mark = Some(value.trim());
        } else if name.eq_ignore_ascii_case("content-length") {
            body_length = value.trim().parse().ok();
        }
    }
    let body_length = body_length.ok_or(Unexpected("an answer without Content-Length"))?;
    Ok(Some(AnswerHead {
        status,
        mark,
        body_length,
        length,
    }))
}

/// How many bytes the head at the start of `bytes` has, its empty line included; nothing while it is incomplete.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    bytes
        .windows(END.len())
        .position(|window| window == END)
        .map(|at| at + END.len())
}

fn status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Measure: floor\r\n\r\nabcHTTP/1.1 500";

    #[test]
    fn a_complete_head_is_read_and_what_follows_left_alone() {
        let head = answer_head(ANSWER.as_bytes()).unwrap().unwrap();
        let expected = AnswerHead {
            status: 200,
            mark: Some("floor"),
            body_length: 3,
            length: ANSWER.find("abc").unwrap(),
        };
        assert_eq!(head, expected);
    }

    #[test]
    fn an_incomplete_head_is_awaited() {
        let complete = ANSWER.find("abc").unwrap();
        for end in 0..complete {
            assert_eq!(answer_head(&ANSWER.as_bytes()[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn a_refusal_has_no_mark() {
        let refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        let head = answer_head(refusal).unwrap().unwrap();
        assert_eq!((head.status, head.mark, head.body_length), (401, None, 0));
    }

    #[test]
    fn what_is_no_such_answer_is_told() {
        for bytes in [
            &b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"\xff\r\n\r\n",
        ] {
            assert!(
                answer_head(bytes).is_err(),
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}
