//! A request: whatever its method, URL and headers are, it is refused or goes on with a path that reads the same the second
//! time. It is a user's only by a good token, and then says so once; no token and no session cookie goes on with it.
#![no_main]

use edge::freshness;
use edge::gate::{self, Asked, Known, Pass, Reason, Stop};
use edge::identity::{Keeping, Upstream};
use edge::policy::Route;
use edge::preflight::is_preflight;
use edge::rule::{Access, Rule, WhenStale};
use edge::target::Target;
use edge::token_cache::TokenCache;
use edge::verdict::Patience;
use fuzz::site::{CONFIG, KEYS, NOW, PLACES, SITE, TOKENS, Token, VIEW};
use fuzz::{Value, is_header_value, pick, respelled};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
