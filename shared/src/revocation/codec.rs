//! Revocations as bytes: sections of one kind and one expiry.
//!
//! Numbers are big-endian. A section: kind (1 byte), expiry in minutes since the epoch (4), count (4), then `count` items:
//! token, session and key 8 bytes, user 8 + 4, everyone 8. Sections ascend by kind and expiry, items within one ascend, and
//! nothing follows the last: one set has one spelling. Grouping by expiry is why an entry costs 8 bytes and not 12.

use std::collections::BTreeMap;

use super::entry::{Entry, Revocation};
use crate::envelope::EnvelopeError;
use crate::id::Fingerprint;
use crate::time::UnixTime;

/// Appends `revocations` to `bytes`. Expiries are rounded up to whole minutes, so nothing is forgotten early.
pub(super) fn write(revocations: &[Revocation], bytes: &mut Vec<u8>) {
    let mut sections: BTreeMap<(Kind, u32), Vec<Item>> = BTreeMap::new();
    for Revocation { entry, expires } in revocations {
        let (kind, item) = Kind::split(*entry);
        sections
            .entry((kind, minutes_up(*expires)))
            .or_default()
            .push(item);
    }
    for ((kind, minute), mut items) in sections {
        items.sort_unstable();
        items.dedup();
        bytes.push(kind as u8);
        bytes.extend_from_slice(&minute.to_be_bytes());
        bytes.extend_from_slice(&(items.len() as u32).to_be_bytes());
        for (id, below) in items {
            bytes.extend_from_slice(&id.to_be_bytes());
            if kind == Kind::User {
                bytes.extend_from_slice(&below.to_be_bytes());
            }
        }
    }
}

/// Revocations that are read from bytes one by one: a million of them need no memory beside the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<'a> {
    rest: Reader<'a>,
    section: Option<Section>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Section {
    kind: Kind,
    minute: u32,
    left: u32,
    previous: Option<Item>,
}

impl<'a> Entries<'a> {
    /// The revocations in `rest`, which is read once to its end to see that it is well-formed.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] where it is not in the one spelling described above.
    pub(super) fn check(rest: Reader<'a>) -> Result<Self, EnvelopeError> {
        let entries = Self {
            rest,
            section: None,
        };
        let mut all = entries.clone();
        while all.read()?.is_some() {}
        Ok(entries)
    }

    fn read(&mut self) -> Result<Option<Revocation>, EnvelopeError> {
        let mut section = match self.section {
            Some(section) if section.left > 0 => section,
            _ if self.rest.0.is_empty() => return Ok(None),
            before => self.open_section(before)?,
        };
        let id = self.rest.u64()?;
        let below = if section.kind == Kind::User {
            self.rest.u32()?
        } else {
            0
        };
        if section.previous.replace((id, below)) >= Some((id, below)) {
            return Err(EnvelopeError::Malformed("items out of order"));
        }
        section.left -= 1;
        self.section = Some(section);
        Ok(Some(Revocation {
            entry: section.kind.join((id, below)),
            expires: UnixTime::from_secs(i64::from(section.minute) * 60),
        }))
    }

    fn open_section(&mut self, before: Option<Section>) -> Result<Section, EnvelopeError> {
        let section = Section {
            kind: Kind::from_byte(self.rest.u8()?)?,
            minute: self.rest.u32()?,
            left: self.rest.u32()?,
            previous: None,
        };
        let order = |section: Section| (section.kind, section.minute);
        if before.map(order) >= Some(order(section)) {
            return Err(EnvelopeError::Malformed("sections out of order"));
        }
        let item_bytes = if section.kind == Kind::User { 12 } else { 8 };
        if section.left == 0 || self.rest.0.len() / item_bytes < section.left as usize {
            return Err(EnvelopeError::Malformed("a section is empty or cut short"));
        }
        Ok(section)
    }
}

impl Iterator for Entries<'_> {
    type Item = Revocation;

    fn next(&mut self) -> Option<Revocation> {
        // They were read to the end before: there are no errors left.
        self.read().ok().flatten()
    }
}

/// An id (or a time), and for a user the version.
type Item = (u64, u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Token = 1,
    Session = 2,
    User = 3,
    Everyone = 4,
    Key = 5,
}

impl Kind {
    const fn from_byte(byte: u8) -> Result<Self, EnvelopeError> {
        match byte {
            1 => Ok(Self::Token),
            2 => Ok(Self::Session),
            3 => Ok(Self::User),
            4 => Ok(Self::Everyone),
            5 => Ok(Self::Key),
            _ => Err(EnvelopeError::Malformed("an unknown kind of revocation")),
        }
    }

    const fn split(entry: Entry) -> (Self, Item) {
        match entry {
            Entry::Token(fingerprint) => (Self::Token, (fingerprint.0, 0)),
            Entry::Session(fingerprint) => (Self::Session, (fingerprint.0, 0)),
            Entry::Key(fingerprint) => (Self::Key, (fingerprint.0, 0)),
            Entry::User { user, below } => (Self::User, (user.0, below)),
            Entry::Everyone { before } => (Self::Everyone, (before.secs().cast_unsigned(), 0)),
        }
    }

    const fn join(self, (id, below): Item) -> Entry {
        match self {
            Self::Token => Entry::Token(Fingerprint(id)),
            Self::Session => Entry::Session(Fingerprint(id)),
            Self::Key => Entry::Key(Fingerprint(id)),
            Self::User => Entry::User {
                user: Fingerprint(id),
                below,
            },
            Self::Everyone => Entry::Everyone {
                before: UnixTime::from_secs(id.cast_signed()),
            },
        }
    }
}

fn minutes_up(time: UnixTime) -> u32 {
    let secs = u64::try_from(time.secs()).unwrap_or(0);
    u32::try_from(secs.div_ceil(60)).unwrap_or(u32::MAX)
}

/// What is left to read. Nothing is allocated from a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], EnvelopeError> {
        let (head, rest) = self
            .0
            .split_first_chunk()
            .ok_or(EnvelopeError::Malformed("cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, EnvelopeError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, EnvelopeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, EnvelopeError> {
        self.array().map(u64::from_be_bytes)
    }
}
