//! The rules of the source tree (README, "Invariants"), read off the sources themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its comments and inline tests.
struct Source {
    /// Below the crate's `src`, such as `store/users.rs`.
    path: String,
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(krate: &str) -> Vec<Source> {
    let src = root().join(krate).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !is_of_tests(path.strip_prefix(&src).unwrap())
            {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source {
                    path: path
                        .strip_prefix(&src)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .replace('\\', "/"),
                    code: without_tests_and_comments(&text),
                });
            }
        }
    }
    assert!(found.len() > 5, "{krate} has sources");
    found
}

/// Whether a file is `tests.rs` or lies below a folder `tests`.
fn is_of_tests(path: &Path) -> bool {
    let stem = path.with_extension("");
    stem.components().any(|part| part.as_os_str() == "tests")
}

/// Without what stands in an inline test module, which is the end of a file, and behind `//`.
fn without_tests_and_comments(text: &str) -> String {
    let mut code: Vec<&str> = Vec::new();
    for line in text.lines() {
        let is_test = code.last().is_some_and(|last| *last == "#[cfg(test)]");
        if is_test && line.contains("mod ") && line.ends_with('{') {
            break;
        }
        code.push(line.split_once("//").map_or(line, |(code, _)| code));
    }
    code.join("\n")
}

/// `file: needle` for every file of `krate` that holds a needle and that `allowed` does not name.
fn violations(krate: &str, needles: &[&str], allowed: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources(krate)
        .iter()
        .filter(|source| !allowed(&source.path))
    {
        for needle in needles
            .iter()
            .filter(|needle| source.code.contains(**needle))
        {
            found.insert(format!("{krate}/src/{}: {needle}", source.path));
        }
    }
    found
}

fn assert_none(violations: &BTreeSet<String>, rule: &str) {
    assert!(violations.is_empty(), "{rule}:\n{violations:#?}");
}

const CLOCKS: [&str; 5] = [
    "SystemTime",
    "Instant::now",
    "Date::now",
    "js_sys::Date",
    "OffsetDateTime::now",
];
const CHANCE: [&str; 3] = ["getrandom", "rand::", "OsRng"];
const WAITING: [&str; 3] = ["async ", ".await", "tokio::"];

#[test]
fn pure_code_reads_no_clock_draws_no_randomness_and_awaits_nothing() {
    let banned = [&CLOCKS[..], &CHANCE, &WAITING].concat();
    assert_none(&violations("shared", &banned, |_| false), "shared is pure");
    assert_none(
        &violations("issuer", &banned, |path| !path.starts_with("session/")),
        "issuer/session is pure",
    );
    assert_none(
        &violations("edge", &banned, |path| {
            path.starts_with("io/") || path == "io.rs"
        }),
        "the edge waits and reads the clock in edge/src/io",
    );
}

#[test]
fn the_issuer_has_one_clock_and_one_source_of_randomness() {
    let found = violations("issuer", &CLOCKS, |path| path == "time.rs");
    assert_none(&found, "the clock is read in issuer/src/time.rs");
    let found = violations("issuer", &CHANCE, |path| path == "entropy.rs");
    assert_none(&found, "randomness is drawn in issuer/src/entropy.rs");
}

/// Whether a string of `code` begins as a statement of SQL does, in whatever case.
fn has_statement(code: &str) -> bool {
    const VERBS: [&str; 9] = [
        "select",
        "insert into",
        "update",
        "delete from",
        "with",
        "truncate",
        "notify",
        "listen",
        "begin",
    ];
    let lower = code.to_lowercase();
    lower.split('"').skip(1).any(|text| {
        let words = text.trim_start_matches('\\').trim_start();
        VERBS.iter().any(|verb| {
            words.strip_prefix(verb).is_some_and(|rest| {
                rest.starts_with(char::is_whitespace)
                    && rest
                        .trim_start()
                        .starts_with(|char: char| char.is_alphanumeric() || "*($_".contains(char))
            })
        })
    })
}

#[test]
fn all_sql_is_in_the_store() {
    // By what calls it, and by how it reads.
    let calls = [
        "sqlx::query",
        "query_as",
        "query_scalar",
        "raw_sql",
        "QueryBuilder",
        ".execute(",
        ".fetch_one(",
        ".fetch_all(",
        ".fetch_optional(",
    ];
    for (krate, in_store) in [("issuer", true), ("edge", false), ("shared", false)] {
        let is_store = |path: &str| in_store && path.starts_with("store/");
        let found = violations(krate, &calls, is_store);
        assert_none(&found, "SQL is run under issuer/src/store");
        let found = sources(krate)
            .into_iter()
            .filter(|source| !is_store(&source.path));
        let found = found.filter(|source| has_statement(&source.code));
        let found = found
            .map(|source| format!("{krate}/src/{}", source.path))
            .collect();
        assert_none(&found, "SQL stands under issuer/src/store");
    }
}

#[test]
fn sql_is_known_when_it_is_seen() {
    let store = sources("issuer").into_iter();
    let store =
        store.filter(|source| source.path.starts_with("store/") && source.path != "store/mod.rs");
    for source in store {
        assert!(has_statement(&source.code), "{}", source.path);
    }
    assert!(has_statement("run(\"SELECT 1\")") && has_statement("r#\"\n  delete from users\"#"));
    assert!(!has_statement(
        "tokio::select! { a => b } \"sent\" \"update: none\""
    ));
}

#[test]
fn status_codes_are_chosen_in_one_table_per_crate() {
    let status = [
        "StatusCode::BAD",
        "StatusCode::UN",
        "StatusCode::FORB",
        "StatusCode::NOT_F",
        "StatusCode::CONF",
        "StatusCode::INTERNAL",
        "StatusCode::SERVICE",
        "StatusCode::TOO",
        "StatusCode::GATE",
    ];
    let found = violations("issuer", &status, |path| path == "http/error.rs");
    assert_none(&found, "the issuer's error statuses stand in http/error.rs");
    let chooses = |source: &Source| {
        let mut words = source
            .code
            .split(|char: char| !char.is_alphanumeric() && char != '_');
        words.any(|word| ["400", "401", "403", "404", "500", "502", "503", "504"].contains(&word))
    };
    // renewal.rs reads the status that the issuer chose.
    let found: BTreeSet<String> = sources("edge")
        .into_iter()
        .filter(|source| {
            !["reply.rs", "io/renewal.rs"].contains(&source.path.as_str()) && chooses(source)
        })
        .map(|source| source.path)
        .collect();
    assert_none(&found, "the edge's error statuses stand in reply.rs");
}

#[test]
fn every_route_of_the_issuer_is_described() {
    // `routes!` takes what is written at the handler, and nothing else reaches the description.
    let past_it = [
        ".route(",
        ".route_service(",
        ".nest(",
        ".nest_service(",
        "axum::routing",
    ];
    let found = violations("issuer", &past_it, |path| path.starts_with("http/ops/"));
    assert_none(&found, "routes are registered with routes!(…)");
}

#[test]
fn crates_depend_in_one_direction() {
    let manifest = |krate: &str| {
        let text = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
        text.split("[dev-dependencies]").next().unwrap().to_owned()
    };
    let depends = |krate: &str, on: &str| {
        manifest(krate).lines().any(|line| {
            line.trim_start().starts_with(&format!("{on}."))
                || line.trim_start().starts_with(&format!("{on} "))
        })
    };
    let forbidden = [
        (
            "shared",
            &[
                "tokio",
                "axum",
                "sqlx",
                "worker",
                "reqwest",
                "getrandom",
                "issuer",
                "edge",
                "harness",
            ][..],
        ),
        ("edge", &["tokio", "axum", "sqlx", "issuer", "harness"]),
        ("issuer", &["worker", "wasm-bindgen", "edge", "harness"]),
    ];
    for (krate, others) in forbidden {
        for on in others {
            assert!(!depends(krate, on), "{krate} must not depend on {on}");
        }
    }
    assert!(
        depends("issuer", "sqlx") && depends("edge", "worker"),
        "the check reads manifests as they are written"
    );
}

/// The modules of each crate in the order of DESIGN's lists: each may import what stands further right. `room/file` stands in
/// another place than the rest of its room.
const ORDER: [(&str, &[&str]); 3] = [
    (
        "shared",
        &[
            "assertion",
            "client_assertion",
            "csrf",
            "within",
            "refresh_token",
            "revocation",
            "seal",
            "token",
            "wire",
            "claims",
            "scope",
            "jws",
            "key",
            "cookie",
            "envelope",
            "id",
            "provider",
            "rejection",
            "strict",
            "time",
            "base64url",
            "hmac_sha256",
            "secret",
        ],
    ),
    (
        "edge",
        &[
            "io",
            "open",
            "gate",
            "preflight",
            "csrf",
            "freshness",
            "token_cache",
            "sessions",
            "reply",
            "caching",
            "identity",
            "verdict",
            "refusal",
            "config",
            "policy",
            "rule",
            "view",
            "credential",
            "client_ip",
            "dead_upstream",
            "target",
        ],
    ),
    (
        "issuer",
        &[
            "cli",
            "app",
            "http",
            "revoke/publish",
            "services",
            "account",
            "sign_in",
            "revoke/ending",
            "fault",
            "token/client_keys",
            "token/service",
            "token/mint",
            "token/keyring",
            "sign_in/password",
            "revoke/ledger",
            "limits",
            "events",
            "store",
            "session",
            "config",
            "telemetry",
            "json",
            "entropy",
            "time",
        ],
    ),
];

/// The paths within its own crate that `code` names, of two words at most: in paths, and in the braces of `use crate::{…}`.
fn imported(code: &str) -> BTreeSet<String> {
    let paths = code.split("crate::").skip(1);
    paths.flat_map(listed).flat_map(first_words).collect()
}

/// `a/b` of `a::b::c`, `a` of `a`; of `a::{b, c::d}` all in the braces.
fn first_words(path: &str) -> Vec<String> {
    let first = first_word(path);
    match path[first.len()..].strip_prefix("::") {
        Some(rest) => {
            let seconds = listed(rest).into_iter().map(first_word);
            seconds.map(|second| format!("{first}/{second}")).collect()
        }
        None => vec![first.to_owned()],
    }
}

/// What stands between the braces with which `text` begins; without one, `text` itself.
fn listed(text: &str) -> Vec<&str> {
    let Some(list) = text.strip_prefix('{') else {
        return vec![text];
    };
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn first_word(text: &str) -> &str {
    let end = text.find(|char: char| !char.is_alphanumeric() && char != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The module in `order` to which a path such as `store/users` belongs.
fn room<'a>(path: &'a str, order: &[&str]) -> &'a str {
    let mut ends = path.match_indices('/').map(|(at, _)| at);
    let (first, second) = (ends.next(), ends.next());
    let two = &path[..second.unwrap_or(path.len())];
    if order.contains(&two) {
        return two;
    }
    &path[..first.unwrap_or(path.len())]
}

#[test]
fn imports_inside_a_crate_go_one_way() {
    for (krate, order) in ORDER {
        let sources = sources(krate);
        let of = |source: &Source| room(source.path.trim_end_matches(".rs"), order).to_owned();
        let modules: BTreeSet<String> = sources.iter().map(of).collect();
        let known = order.iter().chain(&["lib", "main", "fixtures"]).copied();
        let known: BTreeSet<String> = known.map(str::to_owned).collect();
        // A room whose files all stand in places of their own has a mod.rs that only lists them.
        let known_room = |module: &str| {
            let room = format!("{module}/");
            order.iter().any(|name| name.starts_with(&room))
        };
        let unknown: Vec<_> = modules
            .difference(&known)
            .filter(|module| !known_room(module))
            .collect();
        assert!(
            unknown.is_empty(),
            "{krate}: where do {unknown:?} stand in ORDER?"
        );
        for source in &sources {
            let module = of(source);
            let Some(place) = order.iter().position(|name| *name == module) else {
                continue;
            };
            for path in imported(&source.code) {
                let earlier = order[..place].contains(&room(&path, order));
                assert!(
                    !earlier,
                    "{krate}/src/{} imports crate::{path}, which stands above it",
                    source.path
                );
            }
            // `super` must not lead out of a module unseen.
            let depth = source.path.trim_end_matches("/mod.rs").matches('/').count();
            let out = format!("{}::", vec!["super"; depth + 1].join("::"));
            assert!(
                !source.code.contains(&out),
                "{krate}/src/{}: {out}",
                source.path
            );
        }
    }
}

#[test]
fn both_spellings_of_an_import_are_seen() {
    let code = "use crate::time::Clock;\nuse crate::{\n    http, publish::{self, KvClient as Kv},\n    sweep,\n};\nuse crate::store::{\n    Store, users::{A, B}, events,\n};\nlet x = crate::mint::f();";
    let expected = [
        "http",
        "mint/f",
        "publish/KvClient",
        "publish/self",
        "store/Store",
        "store/events",
        "store/users",
        "sweep",
        "time/Clock",
    ];
    assert_eq!(imported(code), BTreeSet::from(expected.map(str::to_owned)));
    let order = ["a", "b/c", "b"];
    let modules = ["a/x", "b/c/d", "b/self", "b", "e"].map(|path| room(path, &order));
    assert_eq!(modules, ["a", "b/c", "b", "b", "e"]);
    let cut = without_tests_and_comments(
        "#[cfg(test)]\nmod model;\nuse crate::a::B; // crate::c\n#[cfg(test)]\npub(super) mod tests {\nuse crate::d;",
    );
    assert_eq!(imported(&cut), BTreeSet::from(["a/B".to_owned()]));
    let app = sources("issuer")
        .into_iter()
        .find(|source| source.path == "app/mod.rs");
    let app = app.expect("issuer/src/app/mod.rs").code;
    assert!(
        imported(&app).contains("revoke/publish"),
        "as it is written there"
    );
}

/// What Rust cannot answer any more is answered as Rust would.
#[test]
fn the_entrys_own_answer_says_what_the_others_say() {
    let entry = fs::read_to_string(root().join("edge/entry/panics.js")).unwrap();
    let hsts = format!(
        "\"Strict-Transport-Security\": \"{}\"",
        shared::wire::STRICT_TRANSPORT_SECURITY
    );
    assert!(entry.contains(&hsts), "{hsts} is not in panics.js");
}

/// What the entry lets through to the issuer is what the issuer takes.
#[test]
fn the_entry_and_the_issuer_agree_on_the_longest_body() {
    let onward = fs::read_to_string(root().join("edge/entry/onward.js")).unwrap();
    let written = onward.split("const LONGEST_BODY = ").nth(1);
    let written = written.and_then(|rest| rest.split_once(';')).unwrap().0;
    assert_eq!(
        written.replace('_', ""),
        shared::wire::LONGEST_BODY.to_string()
    );
}

/// No header of ours may come from outside: the entry drops what begins as they all do.
#[test]
fn the_entry_drops_every_header_of_ours() {
    let onward = fs::read_to_string(root().join("edge/entry/onward.js")).unwrap();
    assert!(
        onward.contains("if (endsHere(name, atCloudflare))"),
        "onward.js asks untrusted.js"
    );
    let assertion = format!(
        "const ASSERTION = \"{}\";\n",
        shared::wire::header::ASSERTION
    );
    assert!(
        onward.contains(&assertion),
        "{assertion} is not in onward.js"
    );
    let untrusted = fs::read_to_string(root().join("edge/entry/untrusted.js")).unwrap();
    let families = untrusted.split("const FAMILIES = [\n").nth(1).unwrap();
    let families = families.split("];").next().unwrap();
    let families: Vec<&str> = families
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split('"').next())
        .collect();
    let wire = fs::read_to_string(root().join("shared/src/wire.rs")).unwrap();
    let headers = wire.split("pub mod header {").nth(1).unwrap();
    let headers = headers.split("\n}").next().unwrap();
    let names: Vec<&str> = headers
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub const ")?.split('"').nth(1))
        .collect();
    assert_eq!(names.len(), headers.matches("pub const ").count());
    assert!(
        names.len() >= 6 && names.contains(&shared::wire::header::ASSERTION),
        "{names:?}"
    );
    for name in names {
        let is_dropped = |start: &&str| !start.is_empty() && name.starts_with(start);
        assert!(families.iter().any(is_dropped), "{name}: {families:?}");
    }
}

#[test]
fn only_verification_makes_a_verified_token() {
    let made: BTreeSet<_> = sources("shared")
        .into_iter()
        .filter(|source| source.code.contains("Verified("))
        .map(|source| source.path)
        .collect();
    assert_eq!(made, BTreeSet::from(["token.rs".to_owned()]));
    let token = fs::read_to_string(root().join("shared/src/token.rs")).unwrap();
    assert!(
        token.contains("#[derive(Clone, Debug, PartialEq, Eq)]\npub struct Verified<T>(T, KeyId);"),
        "it has no Deserialize"
    );
}
