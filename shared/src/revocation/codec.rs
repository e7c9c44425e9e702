//! The snapshot of all live revocations as bytes, with a MAC (see [`envelope`](crate::envelope)).
//!
//! Payload, numbers big-endian: format (1 byte), number (8), made_at in ms (8), sections. A section: kind (1), expiry
//! in minutes since the epoch (4), count (4), then `count` items: token and session 8 bytes, user 8 + 4, everyone 8.
//! Sections ascend by kind and expiry, items within one ascend, and nothing follows the last: one set has one spelling.
//! Grouping by expiry is why an entry costs 8 bytes and not 12.

use std::collections::BTreeMap;

use super::entry::{Entry, Revocation};
use super::set::RevocationSet;
use crate::envelope::{self, EnvelopeError};
use crate::id::Fingerprint;
use crate::secret::{Purpose, RootSecret};
use crate::time::{UnixMillis, UnixTime};

const FORMAT: u8 = 1;

/// All revocations that are live at one time, to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Grows with every revocation, in commit order. A reader never goes back to a lower one.
    pub number: u64,
    /// When the publisher began to read: what was committed before is inside. The age of the snapshot counts from here.
    pub made_at: UnixMillis,
    /// The revocations.
    pub entries: Vec<Revocation>,
}

/// A snapshot that was proven to be the issuer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSnapshot {
    /// See [`Snapshot::number`].
    pub number: u64,
    /// See [`Snapshot::made_at`].
    pub made_at: UnixMillis,
    /// The revocations, ready to be asked.
    pub set: RevocationSet,
}

impl Snapshot {
    /// The value to publish. Expiries are rounded up to whole minutes, so nothing is forgotten early.
    pub fn encode(&self, secret: &RootSecret) -> Vec<u8> {
        let mut sections: BTreeMap<(Kind, u32), Vec<Item>> = BTreeMap::new();
        for Revocation { entry, expires } in &self.entries {
            let (kind, item) = Kind::split(*entry);
            sections
                .entry((kind, minutes_up(*expires)))
                .or_default()
                .push(item);
        }
        let mut payload = vec![FORMAT];
        payload.extend_from_slice(&self.number.to_be_bytes());
        payload.extend_from_slice(&self.made_at.millis().to_be_bytes());
        for ((kind, minute), mut items) in sections {
            items.sort_unstable();
            items.dedup();
            payload.push(kind as u8);
            payload.extend_from_slice(&minute.to_be_bytes());
            payload.extend_from_slice(&(items.len() as u32).to_be_bytes());
            for (id, below) in items {
                payload.extend_from_slice(&id.to_be_bytes());
                if kind == Kind::User {
                    payload.extend_from_slice(&below.to_be_bytes());
                }
            }
        }
        envelope::close(payload, Purpose::Snapshot, secret)
    }

    /// Reads what [`Self::encode`] made with any of `secrets`.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the MAC does not hold or the payload is not in the one spelling described above.
    pub fn open(bytes: &[u8], secrets: &[RootSecret]) -> Result<OpenSnapshot, EnvelopeError> {
        let payload = envelope::open(bytes, Purpose::Snapshot, secrets)?;
        let snapshot = Self::untrusted_decode(payload)?;
        Ok(OpenSnapshot {
            number: snapshot.number,
            made_at: snapshot.made_at,
            set: RevocationSet::from_entries(snapshot.entries),
        })
    }

    /// Reads a payload without its MAC: says whether it is well-formed, and proves nothing. For fuzzing and inspection.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] where it is not in the one spelling described above.
    pub fn untrusted_decode(payload: &[u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader(payload);
        if reader.u8()? != FORMAT {
            return Err(EnvelopeError::Malformed("a format of another version"));
        }
        let number = reader.u64()?;
        let made_at = UnixMillis::from_millis(reader.u64()?.cast_signed());
        let mut entries = Vec::new();
        let mut previous = None;
        while !reader.0.is_empty() {
            let section = (Kind::from_byte(reader.u8()?)?, reader.u32()?);
            if previous.replace(section) >= Some(section) {
                return Err(EnvelopeError::Malformed("sections out of order"));
            }
            reader.section(section, &mut entries)?;
        }
        Ok(Self {
            number,
            made_at,
            entries,
        })
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
}

impl Kind {
    const fn from_byte(byte: u8) -> Result<Self, EnvelopeError> {
        match byte {
            1 => Ok(Self::Token),
            2 => Ok(Self::Session),
            3 => Ok(Self::User),
            4 => Ok(Self::Everyone),
            _ => Err(EnvelopeError::Malformed("an unknown kind of revocation")),
        }
    }

    const fn split(entry: Entry) -> (Self, Item) {
        match entry {
            Entry::Token(fingerprint) => (Self::Token, (fingerprint.0, 0)),
            Entry::Session(fingerprint) => (Self::Session, (fingerprint.0, 0)),
            Entry::User { user, below } => (Self::User, (user.0, below)),
            Entry::Everyone { before } => (Self::Everyone, (before.secs().cast_unsigned(), 0)),
        }
    }

    const fn join(self, (id, below): Item) -> Entry {
        match self {
            Self::Token => Entry::Token(Fingerprint(id)),
            Self::Session => Entry::Session(Fingerprint(id)),
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

/// What is left to read. Nothing is allocated from a count before the bytes are known to be there.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], EnvelopeError> {
        let (head, rest) = self
            .0
            .split_first_chunk()
            .ok_or(EnvelopeError::Malformed("cut short"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, EnvelopeError> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, EnvelopeError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, EnvelopeError> {
        self.array().map(u64::from_be_bytes)
    }

    fn section(
        &mut self,
        (kind, minute): (Kind, u32),
        entries: &mut Vec<Revocation>,
    ) -> Result<(), EnvelopeError> {
        let count = self.u32()? as usize;
        let item_bytes = if kind == Kind::User { 12 } else { 8 };
        if count == 0 || self.0.len() / item_bytes < count {
            return Err(EnvelopeError::Malformed("a section is empty or cut short"));
        }
        entries.reserve(count);
        let expires = UnixTime::from_secs(i64::from(minute) * 60);
        let mut previous = None;
        for _ in 0..count {
            let id = self.u64()?;
            let below = if kind == Kind::User { self.u32()? } else { 0 };
            if previous.replace((id, below)) >= Some((id, below)) {
                return Err(EnvelopeError::Malformed("items out of order"));
            }
            entries.push(Revocation {
                entry: kind.join((id, below)),
                expires,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

    fn secret() -> RootSecret {
        RootSecret::parse(SECRET).unwrap()
    }

    fn snapshot() -> Snapshot {
        let revocation = |entry, secs| Revocation {
            entry,
            expires: UnixTime::from_secs(secs),
        };
        Snapshot {
            number: 7,
            made_at: UnixMillis::from_millis(1_700_000_000_123),
            entries: vec![
                revocation(
                    Entry::Everyone {
                        before: UnixTime::from_secs(59),
                    },
                    60,
                ),
                revocation(Entry::Session(Fingerprint(2)), 61),
                revocation(Entry::Session(Fingerprint(1)), 120),
                revocation(Entry::Session(Fingerprint(1)), 120),
                revocation(
                    Entry::User {
                        user: Fingerprint(3),
                        below: 9,
                    },
                    60,
                ),
                revocation(Entry::Token(Fingerprint(4)), 60),
            ],
        }
    }

    /// Fixed bytes: an edge of the last release must read what an issuer of the next one writes.
    #[test]
    fn the_bytes_are_these() {
        let bytes = snapshot().encode(&secret());
        let payload = bytes.split_last_chunk::<32>().unwrap().0;
        let expected = concat!(
            "01",
            "0000000000000007",
            "0000018bcfe5687b",
            "01",
            "00000001",
            "00000001",
            "0000000000000004",
            "02",
            "00000002",
            "00000002",
            "0000000000000001",
            "0000000000000002",
            "03",
            "00000001",
            "00000001",
            "0000000000000003",
            "00000009",
            "04",
            "00000001",
            "00000001",
            "000000000000003b",
        );
        assert_eq!(hex::encode(payload), expected);
    }

    #[test]
    fn what_was_encoded_opens() {
        let open = Snapshot::open(&snapshot().encode(&secret()), &[secret()]).unwrap();
        assert_eq!((open.number, open.made_at), (7, snapshot().made_at));
        assert_eq!(open.set, RevocationSet::from_entries(snapshot().entries));
        assert_eq!(open.set.len(), 5);
    }

    #[test]
    fn another_spelling_is_refused_even_with_a_good_mac() {
        let good = snapshot().encode(&secret());
        let payload = good.split_last_chunk::<32>().unwrap().0;
        let open = |payload: Vec<u8>| {
            Snapshot::open(
                &envelope::close(payload, Purpose::Snapshot, &secret()),
                &[secret()],
            )
        };
        assert!(open(payload.to_vec()).is_ok());
        for cut in (0..payload.len()).filter(|cut| ![17, 34, 59, 80].contains(cut)) {
            assert!(
                matches!(
                    open(payload[..cut].to_vec()),
                    Err(EnvelopeError::Malformed(_))
                ),
                "cut at {cut}"
            );
        }
        let mut swapped = payload.to_vec();
        swapped[26..34].fill(0xff);
        assert!(open(swapped).is_ok(), "a single item may be any");
        let mut unordered = payload.to_vec();
        unordered[43..51].fill(0xff);
        assert_eq!(
            open(unordered),
            Err(EnvelopeError::Malformed("items out of order"))
        );
        let again = [payload, &payload[17..34]].concat();
        assert_eq!(
            open(again),
            Err(EnvelopeError::Malformed("sections out of order"))
        );
        let mut huge = payload.to_vec();
        huge[22..26].fill(0xff);
        assert_eq!(
            open(huge),
            Err(EnvelopeError::Malformed("a section is empty or cut short"))
        );
        let mut newer = payload.to_vec();
        newer[0] = 2;
        assert_eq!(
            open(newer),
            Err(EnvelopeError::Malformed("a format of another version"))
        );
    }

    #[test]
    fn a_million_entries_cost_at_most_8_4_bytes_each() {
        const COUNT: u64 = 1_000_000;
        let entries = (0..COUNT)
            .map(|index| Revocation {
                entry: Entry::Session(Fingerprint(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
                expires: UnixTime::from_secs(1_700_000_000 + (index % 900).cast_signed()),
            })
            .collect();
        let bytes = Snapshot {
            entries,
            ..snapshot()
        }
        .encode(&secret())
        .len() as u64;
        assert!(bytes * 10 <= COUNT * 84, "{bytes} bytes");
        assert!(bytes <= envelope::MAX_BYTES as u64);
    }
}
