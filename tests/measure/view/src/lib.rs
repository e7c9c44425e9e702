//! The set of revocations as an isolate holds it, for a script that has a clock.
#![cfg(target_arch = "wasm32")]

use shared::claims::Claims;
use shared::id::{Fingerprint, SessionId, TokenId, UserId};
use shared::key::{KeySet, SigningKey};
use shared::revocation::{Entry, OpenUpdate, Revocation, RevocationSet, Standing, Update};
use shared::secret::RootSecret;
use shared::time::{UnixMillis, UnixTime};
use shared::token::{self, Expected, Verified};
use wasm_bindgen::prelude::wasm_bindgen;

/// Made up for this: it guards nothing.
const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
/// A whole minute, for expiries are kept in minutes.
const NOW: UnixTime = UnixTime::from_secs(28_333_333 * 60);
/// Entries expire in any of the next so many minutes, the life of access tokens.
const MINUTES: u64 = 15;

/// Which kinds of revocations a set has.
#[wasm_bindgen]
#[derive(Clone, Copy)]
pub enum Mix {
    /// Seven sessions in ten, two tokens, one user.
    Mixed,
    /// Nothing but these.
    Sessions,
    /// Nothing but these.
    Tokens,
    /// Nothing but these.
    Users,
}

/// A set, updates for it, and tokens to ask it for.
#[wasm_bindgen]
pub struct Bench {
    mix: Mix,
    secrets: Vec<RootSecret>,
    set: RevocationSet,
    tokens: Vec<Verified<Claims>>,
    update: Vec<u8>,
    next: u64,
    part: usize,
}

#[wasm_bindgen]
impl Bench {
    /// An empty set, and `tokens` tokens of different sessions and users, none of them revoked.
    #[wasm_bindgen(constructor)]
    pub fn new(mix: Mix, tokens: u32) -> Self {
        let secrets = RootSecret::parse_list(SECRET).unwrap_or_default();
        let tokens = match secrets.first() {
            Some(secret) => verified(secret, u64::from(tokens)),
            None => Vec::new(),
        };
        Self {
            mix,
            secrets,
            set: RevocationSet::default(),
            tokens,
            update: Vec::new(),
            next: 0,
            part: 0,
        }
    }

    /// Adds `count` revocations that were not there, without any bytes in between.
    pub fn add(&mut self, count: u32) {
        let (mix, new) = (self.mix, self.new_ones(count));
        self.set.extend(new.map(|index| revocation(mix, index)));
    }

    /// Writes an update with `count` revocations that are not there, as the issuer does.
    pub fn write(&mut self, count: u32) {
        let (mix, new) = (self.mix, self.new_ones(count));
        let update = Update {
            number: self.next,
            since: 0,
            made_at: UnixMillis::from_millis(NOW.secs() * 1000),
            sent_at: UnixMillis::from_millis(NOW.secs() * 1000),
            base: None,
            entries: new.map(|index| revocation(mix, index)).collect(),
        };
        self.update = match self.secrets.first() {
            Some(secret) => update.encode(secret),
            None => Vec::new(),
        };
    }

    /// What `View::take` and whoever calls it do with the update: its MAC, the check that it is well-formed, the union, and
    /// a sweep of one part, in which nothing has expired. False: it was not taken.
    pub fn take(&mut self) -> bool {
        let Ok(update) = OpenUpdate::open(&self.update, &self.secrets) else {
            return false;
        };
        self.set.extend(update.entries);
        self.sweep(0);
        true
    }

    /// A sweep of the next part, `minutes` later.
    pub fn sweep(&mut self, minutes: u32) {
        let now = UnixTime::from_secs(NOW.secs() + 60 * i64::from(minutes));
        self.set.drop_expired(now, self.part);
        self.part = (self.part + 1) % RevocationSet::PARTS;
    }

    /// Asks for the standing of `count` tokens, one after the other; how many are good.
    pub fn ask(&self, count: u32) -> u32 {
        let asked = self.tokens.iter().cycle().take(count as usize);
        asked
            .map(|token| u32::from(self.set.standing(token) == Standing::Good))
            .sum()
    }

    /// The bytes of memory that this module has, with all that the allocator adds.
    pub fn memory(&self) -> u32 {
        const PAGE: usize = 65_536;
        (core::arch::wasm32::memory_size::<0>() * PAGE) as u32
    }

    /// How many revocations the set holds.
    pub fn len(&self) -> u32 {
        self.set.len() as u32
    }

    fn new_ones(&mut self, count: u32) -> core::ops::Range<u64> {
        let from = self.next;
        self.next += u64::from(count);
        from..self.next
    }
}

fn revocation(mix: Mix, index: u64) -> Revocation {
    let fingerprint = Fingerprint(spread(index));
    let user = Entry::User {
        user: fingerprint,
        below: 1,
    };
    let entry = match (mix, index % 10) {
        // One of that kind is all that there is to hold.
        (Mix::Mixed, 0) if index == 0 => Entry::Everyone {
            before: UnixTime::from_secs(NOW.secs() - 60),
        },
        (Mix::Mixed, 0) | (Mix::Users, _) => user,
        (Mix::Mixed, 1 | 2) | (Mix::Tokens, _) => Entry::Token(fingerprint),
        (Mix::Mixed | Mix::Sessions, _) => Entry::Session(fingerprint),
    };
    // Which minute has nothing to do with which kind.
    let minute = (index / 10) % MINUTES + 1;
    Revocation {
        entry,
        expires: UnixTime::from_secs(NOW.secs() + 60 * minute.cast_signed()),
    }
}

/// Numbers as even as random ones (splitmix64), so that a run can be repeated.
const fn spread(index: u64) -> u64 {
    let mixed = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Minted and verified, for that is how one comes by such a value.
fn verified(secret: &RootSecret, count: u64) -> Vec<Verified<Claims>> {
    let key = SigningKey::hs256(secret);
    let keys = KeySet::new(vec![key.verifying_key().clone()]);
    let expected = Expected {
        issuer: "i",
        audience: "i",
    };
    (0..count)
        .filter_map(|index| {
            let token = token::mint(&claims(index), &key).ok()?;
            token::verify(&token, &keys, &expected).ok()
        })
        .collect()
}

fn claims(index: u64) -> Claims {
    let id = |salt: u64| {
        let mut bytes = [0; 16];
        let (high, low) = bytes.split_at_mut(8);
        high.copy_from_slice(&spread(!index ^ salt).to_be_bytes());
        low.copy_from_slice(&index.to_be_bytes());
        bytes
    };
    Claims {
        iss: "i".into(),
        aud: "i".into(),
        sub: UserId::from_bytes(id(1 << 60)),
        client_id: "browser".into(),
        sid: SessionId::from_bytes(id(1 << 61)),
        jti: TokenId::from_bytes(id(1 << 62)),
        iat: NOW,
        exp: UnixTime::from_secs(NOW.secs() + 900),
        auth_time: NOW,
        ver: 1,
        roles: Vec::new(),
        act: None,
    }
}
