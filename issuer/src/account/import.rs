//! Importing accounts from lines of JSON, with the hashes that another system made.
//!
//! All or nothing: where a line is bad, every bad line is named and no account is made. So a run can be repeated once the file
//! is mended.

use std::fmt;
use std::io::{self, BufRead};

use shared::id::UserId;
use shared::time::UnixMillis;

use super::checks;
use super::line::Line;
use crate::entropy::{self, EntropyError};
use crate::events::{self, By, Kind};
use crate::fault::{Fault, via_fault};
use crate::json;
use crate::sign_in::password::StoredHash;
use crate::store::directory::Entry;
use crate::store::users::{Access, User};
use crate::store::{Store, StoreError, imports};
use crate::time::Clock;

/// The longest line, in bytes.
const MAX_LINE: usize = 64 * 1024;

/// Accounts in one statement.
const CHUNK: usize = 1_000;

/// Bad lines that are named.
const MAX_NAMED: usize = 100;

/// Characters of an issuer and of a subject (OpenID Connect Core 1.0 §2: at most 255).
const MAX_IDENTITY: usize = 255;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file has bad lines.
    #[error("{0}")]
    Lines(BadLines),
    /// The file cannot be read.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// Our fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

via_fault!(ImportError: StoreError, EntropyError);

/// The bad lines of a file.
#[derive(Debug)]
pub struct BadLines {
    /// The first of them, in order.
    pub named: Vec<BadLine>,
    /// How many there are.
    pub count: usize,
}

/// A line that is no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number; the first is 1.
    pub line: usize,
    /// The field and what is wrong with it.
    pub problem: String,
}

impl BadLines {
    fn of(mut bad: Vec<BadLine>) -> Self {
        let count = bad.len();
        bad.truncate(MAX_NAMED);
        Self { named: bad, count }
    }
}

impl fmt::Display for BadLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for BadLine { line, problem } in &self.named {
            writeln!(f, "line {line}: {problem}")?;
        }
        write!(f, "nothing was imported: {} bad lines", self.count)
    }
}

/// Adds all accounts of a file and returns how many. Blank lines count for nothing.
///
/// # Errors
/// [`ImportError`]; nothing has happened then.
pub async fn import(
    store: &Store,
    clock: &Clock,
    by: By<'_>,
    file: impl BufRead,
) -> Result<usize, ImportError> {
    let now = clock.now();
    let (entries, bad) = read(file, now)?;
    if !bad.is_empty() {
        return Err(ImportError::Lines(BadLines::of(bad)));
    }
    let mut tx = store.tx("import users").await?;
    // The events first: they lock nothing, while a new user's row keeps "end everyone" waiting until the commit.
    for (_, entry) in &entries {
        let event = by.event(Kind::UserCreated).of(entry.user.id);
        events::record(&mut tx, &event, now).await?;
    }
    let (lines, entries): (Vec<usize>, Vec<Entry>) = entries.into_iter().unzip();
    let mut bad = Vec::new();
    for (chunk, lines) in entries.chunks(CHUNK).zip(lines.chunks(CHUNK)) {
        let refused = imports::insert(&mut tx, chunk, now).await?;
        bad.extend(refused.into_iter().filter_map(|place| {
            let line = *lines.get(place)?;
            let problem = "its email, its id or an identity of it is taken, or stands twice";
            Some(BadLine {
                line,
                problem: problem.to_owned(),
            })
        }));
    }
    if !bad.is_empty() {
        return Err(ImportError::Lines(BadLines::of(bad)));
    }
    tx.commit().await?;
    Ok(entries.len())
}

type Numbered = Vec<(usize, Entry)>;

fn read(mut file: impl BufRead, now: UnixMillis) -> Result<(Numbered, Vec<BadLine>), ImportError> {
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let id = UserId::from_bytes(entropy::bytes()?);
        match entry(line.trim_ascii(), id, now) {
            Ok(Some(entry)) => entries.push((number, entry)),
            Ok(None) => {}
            Err(problem) => bad.push(BadLine {
                line: number,
                problem,
            }),
        }
    }
    Ok((entries, bad))
}

/// The account on a line; `None` of a blank one. `id` is for those that bring none.
fn entry(line: &[u8], id: UserId, now: UnixMillis) -> Result<Option<Entry>, String> {
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() > MAX_LINE {
        return Err(format!("longer than {MAX_LINE} bytes"));
    }
    let line: Line = json::parse(line)?;
    let created_at = match line.created_at {
        None => now,
        Some(at) => i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000))
            .map(UnixMillis::from_millis)
            .map_err(|_| "created_at: not a moment")?,
    };
    if created_at > now {
        return Err("created_at: lies in the future".to_owned());
    }
    let user = User {
        id: line.id.unwrap_or(id),
        email: checks::email(&line.email).map_err(|error| format!("email: {error}"))?,
        name: checks::name(&line.name).map_err(|error| format!("name: {error}"))?,
        roles: checks::roles(line.roles).map_err(|error| format!("roles: {error}"))?,
        ver: 1,
        created_at,
        access: if line.disabled {
            Access::Disabled { since: now }
        } else {
            Access::Enabled
        },
    };
    let phc = line.password_hash.map(|text| {
        let hash = StoredHash::parse(text.trim());
        hash.map(|hash| hash.as_str().to_owned())
            .map_err(|error| format!("password_hash: {error}"))
    });
    let mut identities = Vec::new();
    for identity in line.identities {
        for text in [&identity.issuer, &identity.subject] {
            let length = text.chars().count();
            if !(1..=MAX_IDENTITY).contains(&length) || text.chars().any(char::is_control) {
                return Err(format!(
                    "identities: issuer and subject have 1 to {MAX_IDENTITY} characters in one line"
                ));
            }
        }
        identities.push((identity.issuer, identity.subject));
    }
    Ok(Some(Entry {
        user,
        phc: phc.transpose()?,
        email_is_unproven: line.email_is_unproven,
        identities,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::from_millis(1_764_000_000_123);

    fn read_text(text: &str) -> (Numbered, Vec<BadLine>) {
        read(text.as_bytes(), NOW).unwrap()
    }

    #[test]
    fn a_line_needs_an_address_and_a_name_only() {
        let (entries, bad) = read_text(concat!(
            "{\"email\":\" a@x \",\"name\":\"A\"}\r\n",
            "\n  \n",
            "{\"email\":\"b@x\",\"name\":\"B\",\"roles\":[\"b\",\"a\"],\"disabled\":true,",
            "\"created_at\":\"2020-01-02T03:04:05Z\",\"id\":\"AQEBAQEBAQEBAQEBAQEBAQ\",",
            "\"identities\":[{\"issuer\":\"google\",\"subject\":\"7\"}]}",
        ));
        assert_eq!(bad, []);
        let [(1, a), (4, b)] = &entries[..] else {
            panic!("{entries:?}");
        };
        assert_eq!((a.user.email.as_str(), a.user.created_at), ("a@x", NOW));
        assert_eq!(a.user.access, Access::Enabled);
        assert_eq!(b.user.id, UserId::from_bytes([1; 16]));
        assert_eq!(b.user.roles, ["a", "b"]);
        assert_eq!(b.user.access, Access::Disabled { since: NOW });
        assert_eq!(b.user.created_at.millis(), 1_577_934_245_000);
        assert_eq!(b.identities, [("google".to_owned(), "7".to_owned())]);
    }

    #[test]
    fn every_bad_line_is_named_with_its_field() {
        let start = r#"{"email":"a@x","name":"A""#;
        let lines = [
            (r#"{"name":"A"}"#.to_owned(), "email"),
            (r#"{"email":"a","name":"A"}"#.to_owned(), "email: "),
            (r#"{"email":"a@x","name":""}"#.to_owned(), "name: "),
            (format!(r#"{start},"roles":["A"]}}"#), "roles: "),
            (format!(r#"{start},"roles":"admin"}}"#), "roles: "),
            (format!(r#"{start},"password":"p"}}"#), "`password`"),
            (
                format!(r#"{start},"password_hash":"$1$x"}}"#),
                "password_hash: ",
            ),
            (format!(r#"{start},"id":"x"}}"#), "id: "),
            (
                format!(r#"{start},"created_at":"2999-01-01T00:00:00Z"}}"#),
                "created_at: ",
            ),
            (
                format!(r#"{start},"created_at":"yesterday"}}"#),
                "created_at: ",
            ),
            (
                format!(r#"{start},"identities":[{{"issuer":"","subject":"s"}}]}}"#),
                "identities: ",
            ),
            (
                format!(r#"{start},"identities":[{{"issuer":"p"}}]}}"#),
                "identities[0]",
            ),
            ("not json".to_owned(), "expected"),
            (
                format!(r#"{{"email":"a@x","name":"{}"}}"#, "x".repeat(MAX_LINE)),
                "longer than",
            ),
        ];
        let text: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
        let (entries, bad) = read_text(&text.join("\n"));
        assert!(entries.is_empty(), "{entries:?}");
        assert_eq!(bad.len(), lines.len(), "{bad:?}");
        for (index, ((line, field), bad)) in lines.iter().zip(&bad).enumerate() {
            assert_eq!(bad.line, index + 1);
            assert!(bad.problem.contains(field), "{line}: {}", bad.problem);
        }
    }

    #[test]
    fn of_very_many_bad_lines_the_first_are_named() {
        let bad = (1..=250).map(|line| BadLine {
            line,
            problem: "bad".to_owned(),
        });
        let text = BadLines::of(bad.collect()).to_string();
        assert!(text.starts_with("line 1: bad\nline 2: bad\n"), "{text}");
        assert!(
            text.ends_with("line 100: bad\nnothing was imported: 250 bad lines"),
            "{text}"
        );
    }
}
