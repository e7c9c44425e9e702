//! What an issuer tells an edge about revocations, as bytes with a MAC (see [`envelope`](crate::envelope)).
//!
//! There is one kind of message, and three uses of it:
//! - a *base* in KV holds everything that was live when it was cut. It is written under a name of its own and never
//!   changed, so whoever still reads the one before is not disturbed;
//! - the *head* in KV is written at every change. It names a base and holds what is not in it;
//! - an answer of the issuer's *feed* holds what whoever asked does not know yet.
//!
//! Payload: format (1 byte), number (8), since (8), made_at (8) and sent_at (8) in ms, base (8, zero for none), then the
//! revocations. Numbers are big-endian.

use std::fmt;
use std::num::NonZero;

use super::codec::{self, Entries, Reader};
use super::entry::Revocation;
use crate::envelope::{self, EnvelopeError};
use crate::secret::{Purpose, RootSecret};
use crate::time::UnixMillis;
use crate::wire::kv;

const FORMAT: u8 = 2;

/// The name of a base, random: two issuers that cut one at the same moment do not overwrite each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BaseName(NonZero<u64>);

impl BaseName {
    /// The name made of these random bits; zero, which says "none" on the wire, is taken for one.
    pub const fn from_random(bits: u64) -> Self {
        match NonZero::new(bits) {
            Some(bits) => Self(bits),
            None => Self(NonZero::<u64>::MIN),
        }
    }

    /// Where it stands in KV.
    pub fn key(self) -> String {
        format!("{}{self}", kv::REVOCATIONS_BASE)
    }
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// What the reader knows afterwards: every revocation whose transaction has a lower number, and maybe more. It grows
    /// in commit order and never goes back.
    pub number: u64,
    /// What the reader must know before: see [`OpenUpdate::fits`]. Zero: nothing, this is everything.
    pub since: u64,
    /// When the issuer began to read Postgres: what was committed before is known afterwards. Ages count from here.
    pub made_at: UnixMillis,
    /// When this was written, by the same clock: so long had the issuer known it then.
    pub sent_at: UnixMillis,
    /// Of a base its own name, of a head that of its base.
    pub base: Option<BaseName>,
    /// The revocations.
    pub entries: Vec<Revocation>,
}

/// A message that was proven to be the issuer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpdate<'a> {
    /// See [`Update::number`].
    pub number: u64,
    /// See [`Update::since`].
    pub since: u64,
    /// See [`Update::made_at`].
    pub made_at: UnixMillis,
    /// See [`Update::sent_at`].
    pub sent_at: UnixMillis,
    /// See [`Update::base`].
    pub base: Option<BaseName>,
    /// The revocations.
    pub entries: Entries<'a>,
}

impl Update {
    /// The bytes to publish.
    pub fn encode(&self, secret: &RootSecret) -> Vec<u8> {
        let mut payload = vec![FORMAT];
        let base = self.base.map_or(0, |name| name.0.get());
        let (made_at, sent_at) = (self.made_at.millis(), self.sent_at.millis());
        for number in [
            self.number,
            self.since,
            made_at.cast_unsigned(),
            sent_at.cast_unsigned(),
            base,
        ] {
            payload.extend_from_slice(&number.to_be_bytes());
        }
        codec::write(&self.entries, &mut payload);
        envelope::close(payload, Purpose::RevocationUpdate, secret)
    }
}

impl<'a> OpenUpdate<'a> {
    /// Reads what [`Update::encode`] made with any of `secrets`.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the MAC does not hold or the payload is not in its one spelling.
    pub fn open(bytes: &'a [u8], secrets: &[RootSecret]) -> Result<Self, EnvelopeError> {
        let payload = envelope::open(bytes, Purpose::RevocationUpdate, secrets)?;
        Self::untrusted_decode(payload)
    }

    /// Reads a payload without its MAC: says whether it is well-formed, and proves nothing. For fuzzing and inspection.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] where it is not in its one spelling.
    pub fn untrusted_decode(payload: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader(payload);
        if reader.u8()? != FORMAT {
            return Err(EnvelopeError::Malformed("a format of another version"));
        }
        let number = reader.u64()?;
        let since = reader.u64()?;
        let made_at = UnixMillis::from_millis(reader.u64()?.cast_signed());
        let sent_at = UnixMillis::from_millis(reader.u64()?.cast_signed());
        let base = NonZero::new(reader.u64()?).map(BaseName);
        Ok(Self {
            number,
            since,
            made_at,
            sent_at,
            base,
            entries: Entries::check(reader)?,
        })
    }

    /// Whether a reader misses nothing who holds all below `number`, and of the bases that of this name.
    pub fn fits(&self, number: u64, base: Option<BaseName>) -> bool {
        self.since <= number || (self.base.is_some() && self.base == base)
    }

    /// Whether it holds all that its base holds: it is that base, or there is no need of one.
    pub const fn is_whole(&self) -> bool {
        self.since == 0 && self.base.is_some()
    }

    /// The message as it was before it was written.
    pub fn to_update(&self) -> Update {
        Update {
            number: self.number,
            since: self.since,
            made_at: self.made_at,
            sent_at: self.sent_at,
            base: self.base,
            entries: self.entries.clone().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::id::Fingerprint;
    use crate::revocation::{Entry, RevocationSet};
    use crate::time::UnixTime;

    const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";

    fn secret() -> RootSecret {
        RootSecret::parse(SECRET).unwrap()
    }

    fn update() -> Update {
        let revocation = |entry, secs| Revocation {
            entry,
            expires: UnixTime::from_secs(secs),
        };
        Update {
            number: 7,
            since: 5,
            made_at: UnixMillis::from_millis(1_700_000_000_123),
            sent_at: UnixMillis::from_millis(1_700_000_000_124),
            base: Some(BaseName::from_random(6)),
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
        let bytes = update().encode(&secret());
        let payload = bytes.split_last_chunk::<32>().unwrap().0;
        let expected = concat!(
            "02",
            "0000000000000007",
            "0000000000000005",
            "0000018bcfe5687b",
            "0000018bcfe5687c",
            "0000000000000006",
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
        let (bytes, secrets) = (update().encode(&secret()), [secret()]);
        let open = OpenUpdate::open(&bytes, &secrets).unwrap();
        assert_eq!(open.entries.clone().count(), 5);
        let set = RevocationSet::from_entries(open.entries.clone());
        assert_eq!(set, RevocationSet::from_entries(update().entries));
        assert_eq!(
            open.to_update(),
            Update {
                entries: open.entries.collect(),
                ..update()
            }
        );
    }

    #[test]
    fn another_spelling_is_refused_even_with_a_good_mac() {
        let good = update().encode(&secret());
        let payload = good.split_last_chunk::<32>().unwrap().0;
        let open = |payload: Vec<u8>| {
            let closed = envelope::close(payload, Purpose::RevocationUpdate, &secret());
            OpenUpdate::open(&closed, &[secret()]).map(drop)
        };
        assert!(open(payload.to_vec()).is_ok());
        for cut in (0..payload.len()).filter(|cut| ![41, 58, 83, 104].contains(cut)) {
            assert!(
                matches!(
                    open(payload[..cut].to_vec()),
                    Err(EnvelopeError::Malformed(_))
                ),
                "cut at {cut}"
            );
        }
        let mut swapped = payload.to_vec();
        swapped[50..58].fill(0xff);
        assert!(open(swapped).is_ok(), "a single item may be any");
        let mut unordered = payload.to_vec();
        unordered[67..75].fill(0xff);
        assert_eq!(
            open(unordered),
            Err(EnvelopeError::Malformed("items out of order"))
        );
        let again = [payload, &payload[41..58]].concat();
        assert_eq!(
            open(again),
            Err(EnvelopeError::Malformed("sections out of order"))
        );
        let mut huge = payload.to_vec();
        huge[46..50].fill(0xff);
        assert_eq!(
            open(huge),
            Err(EnvelopeError::Malformed("a section is empty or cut short"))
        );
        let mut newer = payload.to_vec();
        newer[0] = 1;
        assert_eq!(
            open(newer),
            Err(EnvelopeError::Malformed("a format of another version"))
        );
    }

    #[test]
    fn it_fits_whoever_knows_what_came_before_or_holds_the_base() {
        let (bytes, secrets) = (update().encode(&secret()), [secret()]);
        let open = OpenUpdate::open(&bytes, &secrets).unwrap();
        let [named, other] = [6, 9].map(|bits| Some(BaseName::from_random(bits)));
        for (number, base, fits) in [
            (5, None, true),
            (8, other, true),
            (4, None, false),
            (4, other, false),
            (0, named, true),
        ] {
            assert_eq!(open.fits(number, base), fits, "{number} {base:?}");
        }
        assert!(!open.is_whole());
        let whole = OpenUpdate { since: 0, ..open };
        assert!(whole.is_whole());
        let without_base = OpenUpdate {
            base: None,
            ..whole
        };
        assert!(!without_base.is_whole());
        let without_base = OpenUpdate {
            since: 5,
            ..without_base
        };
        assert!(!without_base.fits(4, None));
    }

    #[test]
    fn a_base_stands_under_its_name() {
        assert_eq!(
            BaseName::from_random(0xab).key(),
            "revocations:base:00000000000000ab"
        );
        assert_eq!(BaseName::from_random(0), BaseName::from_random(1));
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
        let bytes = Update {
            entries,
            ..update()
        }
        .encode(&secret())
        .len() as u64;
        assert!(bytes * 10 <= COUNT * 84, "{bytes} bytes");
        assert!(bytes <= envelope::MAX_BYTES as u64);
    }
}
