//! Tokens whose signature this isolate has checked.
//!
//! Only "the signature is good, these are the claims" is remembered: time, standing and route are decided for every
//! request. The key is the whole text of the token, so that no other spelling of it finds the entry.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

use shared::claims::Claims;
use shared::token::Verified;

/// Tokens in one generation. There are two: at most a few megabytes.
const GENERATION: usize = 512;

/// No random seed is needed: only tokens that the issuer signed become keys.
type Generation = HashMap<Box<str>, Rc<Verified<Claims>>, BuildHasherDefault<DefaultHasher>>;

/// A bounded memory: when the young generation is full, it becomes the old one and the old one is forgotten.
#[derive(Debug, Default)]
pub struct TokenCache {
    young: Generation,
    old: Generation,
}

impl TokenCache {
    /// The claims of `token`, if its signature was checked here before.
    pub fn find(&mut self, token: &str) -> Option<Rc<Verified<Claims>>> {
        if let Some(found) = self.young.get(token) {
            return Some(Rc::clone(found));
        }
        let (token, found) = self.old.remove_entry(token)?;
        self.insert(token, Rc::clone(&found));
        Some(found)
    }

    /// Remembers that `token` was verified.
    pub fn remember(&mut self, token: &str, verified: Rc<Verified<Claims>>) {
        self.insert(token.into(), verified);
    }

    fn insert(&mut self, token: Box<str>, verified: Rc<Verified<Claims>>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let (_, verified) = fixtures::token(|_| {});
        let verified = Rc::new(verified);
        let mut cache = TokenCache::default();
        cache.remember("kept", Rc::clone(&verified));
        for index in 0..10 * GENERATION {
            cache.remember(&format!("token {index}"), Rc::clone(&verified));
            assert!(cache.find("kept").is_some());
            assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION + 1);
        }
        assert!(cache.find("token 0").is_none());
        assert!(cache.find("kept ").is_none());
    }
}
