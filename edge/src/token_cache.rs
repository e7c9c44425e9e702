//! Tokens whose signature this isolate has checked.
//!
//! Only "the signature is good, these are the claims" is remembered: time, standing and route are decided for every
//! request. The key is the whole text of the token, so that no other spelling of it finds the entry.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use crate::identity::Identity;

/// Tokens in one generation. There are two: at most a few megabytes.
const GENERATION: usize = 512;

type Generation = HashMap<Box<str>, Rc<Identity>, BuildHasherDefault<EndOfSignature>>;

/// The last eight characters of a token: 42 bits or more of its signature, which are as good as random. Nobody but the
/// issuer makes keys of this map, so nobody can make them collide.
#[derive(Clone, Copy, Debug, Default)]
struct EndOfSignature(u64);

impl Hasher for EndOfSignature {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(end) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*end);
        }
    }

    fn finish(&self) -> u64 {
        // Characters fill no byte evenly; a multiplication spreads them (Knuth, The Art of Computer Programming, 6.4).
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// A bounded memory: when the young generation is full, it becomes the old one and the old one is forgotten.
#[derive(Debug, Default)]
pub struct TokenCache {
    young: Generation,
    old: Generation,
}

impl TokenCache {
    /// The claims of `token`, if its signature was checked here before.
    pub fn find(&mut self, token: &str) -> Option<Rc<Identity>> {
        if let Some(found) = self.young.get(token) {
            return Some(Rc::clone(found));
        }
        let (token, found) = self.old.remove_entry(token)?;
        self.insert(token, Rc::clone(&found));
        Some(found)
    }

    /// Remembers that `token` was verified.
    pub fn remember(&mut self, token: &str, identity: Rc<Identity>) {
        self.insert(token.into(), identity);
    }

    fn insert(&mut self, token: Box<str>, identity: Rc<Identity>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let (_, verified) = fixtures::token(|_| {});
        let identity = Rc::new(Identity::new(verified, &fixtures::config()));
        let mut cache = TokenCache::default();
        cache.remember("kept", Rc::clone(&identity));
        for index in 0..10 * GENERATION {
            cache.remember(&format!("token {index}"), Rc::clone(&identity));
            assert!(cache.find("kept").is_some());
            assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION + 1);
        }
        assert!(cache.find("token 0").is_none());
        assert!(cache.find("kept ").is_none());
    }
}
