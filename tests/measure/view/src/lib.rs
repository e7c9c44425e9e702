//! The set of revocations as an isolate holds it, for a script that has a clock.
#![cfg(target_arch = "wasm32")]

use shared::claims::Claims;
use shared::id::{Fingerprint, SessionId, TokenId, UserId};
use shared::key::{KeySet, SigningKey};
use shared::revocation::{Entry, Revocation, RevocationSet, Standing};
use shared::secret::Secret;
use shared::time::UnixTime;
use shared::token::{self, Expected, Verified};
use wasm_bindgen::prelude::wasm_bindgen;

const LIFE: i64 = 900;
/// Tokens whose standing is asked in turn: more than a cache line's neighbours would help.
const TOKENS: u64 = 512;

/// A set, and tokens to ask it for.
#[wasm_bindgen]
pub struct Bench {
    set: RevocationSet,
    tokens: Vec<Verified<Claims>>,
    next: u64,
}

#[wasm_bindgen]
impl Bench {
    /// An empty set.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self {
            set: RevocationSet::default(),
            tokens: (0..TOKENS).filter_map(verified).collect(),
            next: 0,
        }
    }

    /// Adds `count` sessions that were not there.
    pub fn add(&mut self, count: u32) {
        let from = self.next;
        self.next += u64::from(count);
        self.set.extend((from..self.next).map(revocation));
    }

    /// Asks for the standing of `count` tokens; how many are good.
    pub fn ask(&self, count: u32) -> u32 {
        let asked = self.tokens.iter().cycle().take(count as usize);
        asked
            .map(|token| u32::from(self.set.standing(token) == Standing::Good))
            .sum()
    }

    /// One part of a sweep in which nothing has expired.
    pub fn sweep(&mut self, part: u32) {
        self.set.drop_expired(UnixTime::from_secs(0), part as usize);
    }

    /// The bytes of memory that this module has, with all that the allocator adds.
    pub fn memory(&self) -> u32 {
        const PAGE: usize = 65_536;
        (core::arch::wasm32::memory_size::<0>() * PAGE) as u32
    }

    /// How many it holds.
    pub fn len(&self) -> u32 {
        self.set.len() as u32
    }
}

fn revocation(index: u64) -> Revocation {
    Revocation {
        entry: Entry::Session(Fingerprint(spread(index))),
        expires: UnixTime::from_secs(LIFE),
    }
}

/// Numbers as even as random ones (splitmix64), so that a run can be repeated.
const fn spread(index: u64) -> u64 {
    let mixed = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn verified(index: u64) -> Option<Verified<Claims>> {
    let id = |salt: u64| {
        let mut bytes = [0; 16];
        let (high, low) = bytes.split_at_mut(8);
        high.copy_from_slice(&spread(!index ^ salt).to_be_bytes());
        low.copy_from_slice(&index.to_be_bytes());
        bytes
    };
    let claims = Claims {
        iss: "i".into(),
        aud: "i".into(),
        sub: UserId::from_bytes(id(1 << 60)),
        client_id: "browser".into(),
        sid: SessionId::from_bytes(id(1 << 61)),
        jti: TokenId::from_bytes(id(1 << 62)),
        iat: UnixTime::from_secs(0),
        exp: UnixTime::from_secs(LIFE),
        auth_time: UnixTime::from_secs(0),
        ver: 1,
        roles: Vec::new(),
    };
    let key = SigningKey::ed25519("measure".into(), &Secret::from_bytes([7; 32]));
    let keys = KeySet::new(vec![key.verifying_key().clone()]);
    let expected = Expected {
        issuer: "i",
        audience: "i",
    };
    token::verify(&token::mint(&claims, &key).ok()?, &keys, &expected).ok()
}
