//! Rules: a rule file is refused or read. If it is read, every request has one answer, in whatever order the rules stand,
//! and no other spelling or method leads past the guard of a path.
#![no_main]

use arbitrary::Arbitrary;
use edge::policy::{Policy, Route};
use edge::rule::{Access, Pattern, Rule};
use fuzz::{Value, pick, respelled};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "OPTIONS"];
const ROLES: [&str; 2] = ["admin", "staff"];
const RULED: [&str; 6] = ["a", "b", "A", "ab", "Ab", "auths"];
const ASKED: [&str; 12] = [
    "a",
    "b",
    "A",
    "ab",
    "Ab",
    "auths",
    "a.json",
    "A.tar.gz",
    "auth",
    "Edge",
    "é",
    ".well-known/jwks.json",
];
/// More than these find nothing new, and take their time.
const MOST: usize = 8;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    rules: Vec<Written>,
    turn: u8,
    asked: Vec<Asked<'a>>,
    text: &'a str,
}

/// A rule as it is written; no methods, or no roles, are left out.
#[derive(Arbitrary, Clone, Debug)]
struct Written {
    segments: Vec<u8>,
    end: End,
    methods: u8,
    is_public: bool,
    roles: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum End {
    Plain,
    Slash,
    Below,
}

/// A request for the path of a rule, for one below it, or for any path.
#[derive(Arbitrary, Debug)]
struct Asked<'a> {
    rule: u8,
    below: Vec<u8>,
    slash: bool,
    any: Option<&'a str>,
    method: Value<'a>,
    capitals: u32,
}

struct Request {
    method: String,
    path: String,
    /// Which letters another spelling turns.
    capitals: u32,
}

fuzz_target!(|input: Input<'_>| {
    let rules = &input.rules[..input.rules.len().min(MOST)];
    let mut turned = rules.to_vec();
    turned.rotate_left(usize::from(input.turn) % rules.len().max(1));
    turned.reverse();
    let read = |rules: &[Written]| Policy::from_json(&in_json(rules));
    let asked = input.asked.iter().take(MOST);
    let requests: Vec<Request> = asked.map(|asked| asked.request(rules)).collect();
    // Any text is hardly ever a list of rules; the reader must bear it all the same.
    if let Ok(policy) = Policy::from_json(input.text) {
        requests
            .iter()
            .for_each(|request| check_spellings(&policy, request));
    }
    match (read(rules), read(&turned)) {
        (Ok(policy), Ok(turned)) => requests
            .iter()
            .for_each(|request| check(rules, &policy, &turned, request)),
        (policy, turned) => assert!(
            policy.is_err() && turned.is_err(),
            "{policy:?} or {turned:?}"
        ),
    }
});

fn in_json(rules: &[Written]) -> String {
    let rule = |rule: &Written| {
        let access = if rule.is_public { "public" } else { "user" };
        let mut json = json!({"path": rule.path(), "access": access});
        for (name, values) in [("methods", rule.methods()), ("roles", rule.roles())] {
            if !values.is_empty() {
                json[name] = json!(values);
            }
        }
        json
    };
    rules
        .iter()
        .map(rule)
        .collect::<serde_json::Value>()
        .to_string()
}

fn check(rules: &[Written], policy: &Policy, turned: &Policy, request: &Request) {
    let (method, path) = (&*request.method, &*request.path);
    assert_eq!(
        policy.classify(method, path),
        turned.classify(method, path),
        "{method} {path}"
    );
    check_answer(policy, rules, method, path);
    check_methods(policy, rules, path);
    check_spellings(policy, request);
}

/// Of the rules that name a request one is the most specific, and that one answers; or nobody does.
fn check_answer(policy: &Policy, rules: &[Written], method: &str, path: &str) {
    let named = || {
        rules
            .iter()
            .filter(|rule| rule.names(method) && holds(&rule.literal(), rule.end, path))
    };
    let most = named().map(Written::specificity).max();
    let best: Vec<&Written> = named()
        .filter(|rule| Some(rule.specificity()) == most)
        .collect();
    assert!(best.len() <= 1, "{method} {path}: {best:?}");
    let is_exact = best.first().is_some_and(|best| best.end != End::Below);
    let as_format: Vec<&Written> = rules
        .iter()
        .filter(|rule| !is_exact && !rule.is_public && rule.names(method))
        .filter(|rule| rule.names_format(path))
        .collect();
    match policy.classify(method, path) {
        Route::Origin(rule) => {
            assert!(!is_ours(path), "{path}");
            assert!(
                best.first()
                    .map_or(*rule == Rule::fallback(), |best| best.is(rule))
                    || as_format.iter().any(|named| named.is(rule)),
                "{method} {path}: {rule:?}"
            );
        }
        Route::Respelled => assert!(
            is_ours(path) || !as_format.is_empty() || rules.iter().any(|rule| rule.is_near(path)),
            "{path}"
        ),
        Route::Issuer | Route::Hidden => assert!(is_ours(path), "{path}"),
    }
}

/// Who may GET may HEAD, and who may not GET may not HEAD. What is guarded for one method is not open for another only
/// because a wider rule is.
fn check_methods(policy: &Policy, rules: &[Written], path: &str) {
    let is_for_head_alone =
        |rule: &Written| rule.methods().contains(&"HEAD") && !rule.methods().contains(&"GET");
    if !rules.iter().any(is_for_head_alone) {
        assert_eq!(
            policy.classify("GET", path),
            policy.classify("HEAD", path),
            "{path}"
        );
    }
    let answers = METHODS
        .iter()
        .chain(&["PURGE"])
        .map(|method| policy.classify(method, path));
    let ruled: Vec<&Rule> = answers.filter_map(rule_of).collect();
    // What a rule says of a path in another format it need not say of every method.
    let own = ruled
        .iter()
        .filter(|rule| !rule.pattern.holds_as_format(path));
    for guard in own.filter(|rule| rule.access == Access::User) {
        let opens = |rule: &&&Rule| {
            rule.access == Access::Public && width(&rule.pattern) < width(&guard.pattern)
        };
        assert_eq!(
            ruled.iter().find(opens),
            None,
            "{path} is guarded by {guard:?}"
        );
    }
}

/// Another spelling of a guarded path is guarded as well, or leads nowhere: in letter case, and by a final slash or in another
/// format where a rule names the path alone and none names the other.
fn check_spellings(policy: &Policy, request: &Request) {
    let path = &*request.path;
    let turned = respelled(path, request.capitals);
    let slashed = match path.strip_suffix('/') {
        Some(shorter) => shorter.to_owned(),
        None => format!("{path}/"),
    };
    let both = respelled(&slashed, request.capitals);
    let route = |path: &str| rule_of(policy.classify(&request.method, path));
    let check = |one: &str, other: &str, by_slash: bool| {
        for (guarded, spelled) in [(one, other), (other, one)] {
            if let (Some(guard), Some(rule)) = (route(guarded), route(spelled))
                && (!by_slash || (is_exact(guard) && !is_exact(rule)))
            {
                assert!(
                    !is_weaker(rule, guard),
                    "{guarded} {guard:?}, {spelled} {rule:?}"
                );
            }
        }
    };
    check(path, &turned, false);
    // `/` has no other spelling.
    if !slashed.is_empty() {
        check(path, &slashed, true);
        check(path, &both, true);
        let in_a_format = format!("{}.json", path.trim_end_matches('/'));
        check(path, &in_a_format, true);
    }
}

fn rule_of(route: Route<'_>) -> Option<&Rule> {
    match route {
        Route::Origin(rule) => Some(rule),
        Route::Issuer | Route::Hidden | Route::Respelled => None,
    }
}

fn is_exact(rule: &Rule) -> bool {
    matches!(rule.pattern, Pattern::Exact(_))
}

/// Whether `rule` lets somebody pass whom `guard` does not, as far as they say who.
fn is_weaker(rule: &Rule, guard: &Rule) -> bool {
    let opens = guard.access == Access::User && rule.access == Access::Public;
    let is_enough = |role: &String| guard.roles.contains(role);
    let has_roles = !rule.roles.is_empty() && rule.roles.iter().all(is_enough);
    opens || !(guard.roles.is_empty() || has_roles)
}

/// A wider pattern comes before a narrower one.
fn width(pattern: &Pattern) -> (bool, usize) {
    (
        matches!(pattern, Pattern::Exact(_)),
        pattern.literal().len(),
    )
}

/// Whether a path is Portcullis's own, in any case.
fn is_ours(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let first = path.split('/').nth(1).unwrap_or_default();
    let documents = [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
    ];
    ["auth", "oauth", "edge"].contains(&first) || documents.contains(&&*path)
}

fn holds(literal: &str, end: End, path: &str) -> bool {
    match path.strip_prefix(literal) {
        Some("") => true,
        Some(rest) => end == End::Below && rest.starts_with('/'),
        None => false,
    }
}

fn literal(segments: &[u8], words: &[&str]) -> String {
    let written = |segment: &u8| ["/", pick(words, *segment)];
    segments.iter().take(3).flat_map(written).collect()
}

/// Those of `names` whose bit is set.
fn chosen<const N: usize>(names: [&'static str; N], bits: u8) -> Vec<&'static str> {
    let is_set = |(index, _): &(usize, &str)| bits >> index & 1 == 1;
    names
        .into_iter()
        .enumerate()
        .filter(is_set)
        .map(|(_, name)| name)
        .collect()
}

impl Written {
    /// The path without its `/*`.
    fn literal(&self) -> String {
        let path = literal(&self.segments, &RULED);
        match self.end {
            End::Plain if path.is_empty() => "/".to_owned(),
            End::Slash => path + "/",
            End::Plain | End::Below => path,
        }
    }

    fn path(&self) -> String {
        let ending = if self.end == End::Below { "/*" } else { "" };
        self.literal() + ending
    }

    fn methods(&self) -> Vec<&'static str> {
        chosen(METHODS, self.methods)
    }

    fn roles(&self) -> Vec<&'static str> {
        if self.is_public {
            Vec::new()
        } else {
            chosen(ROLES, self.roles)
        }
    }

    fn names(&self, method: &str) -> bool {
        let methods = self.methods();
        methods.is_empty()
            || methods.contains(&method)
            || (method == "HEAD" && methods.contains(&"GET"))
    }

    /// Greater for what is more specific.
    fn specificity(&self) -> (bool, usize, bool) {
        (
            self.end != End::Below,
            self.literal().len(),
            !self.methods().is_empty(),
        )
    }

    fn is(&self, rule: &Rule) -> bool {
        let access = if self.is_public {
            Access::Public
        } else {
            Access::User
        };
        let pattern = match self.end {
            End::Below => Pattern::Below(self.literal()),
            End::Plain | End::Slash => Pattern::Exact(self.literal()),
        };
        let methods = rule.methods.iter().flatten();
        rule.pattern == pattern
            && methods.eq(&self.methods())
            && rule.access == access
            && rule.roles == self.roles()
    }

    /// Whether the path is the rule's own with a format behind it, when capitals and a final slash are forgotten.
    fn names_format(&self, path: &str) -> bool {
        let plain = |path: &str| path.to_ascii_lowercase();
        let own = plain(self.literal().trim_end_matches('/'));
        let path = plain(path.strip_suffix('/').unwrap_or(path));
        let rest = path.strip_prefix(&own).unwrap_or_default();
        !own.is_empty() && rest.starts_with('.') && !rest.contains('/')
    }

    /// Whether the rule names the path when capitals and a final slash are forgotten.
    fn is_near(&self, path: &str) -> bool {
        let plain = |path: &str| path.to_ascii_lowercase().trim_end_matches('/').to_owned();
        holds(&plain(&self.literal()), self.end, &plain(path))
    }
}

impl Asked<'_> {
    fn request(&self, rules: &[Written]) -> Request {
        let ruled = if rules.is_empty() {
            String::new()
        } else {
            rules[usize::from(self.rule) % rules.len()].literal()
        };
        let below = literal(&self.below, &ASKED);
        let slash = if self.slash { "/" } else { "" };
        let path = match self.any {
            Some(any) => format!("/{any}"),
            None if below.is_empty() && !ruled.is_empty() && !self.slash => ruled,
            None => format!("{}{below}{slash}", ruled.trim_end_matches('/')),
        };
        Request {
            method: self.method.among(&METHODS).to_owned(),
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path
            },
            capitals: self.capitals,
        }
    }
}
