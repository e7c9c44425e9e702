//! Rules: a rule file is refused or read, and then every path has one answer.
#![no_main]

use edge::policy::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (json, method, path) = input;
    if let Ok(policy) = Policy::from_json(json) {
        let _ = policy.classify(method, path);
    }
});
