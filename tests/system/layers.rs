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
                && !is_test_file(&path)
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

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests")
}

fn without_tests_and_comments(text: &str) -> String {
    let tests = ["#[cfg(test)]\nmod ", "#[cfg(test)]\npub(super) mod "];
    let code = tests.iter().fold(text, |code, start| {
        code.split(start).next().unwrap_or_default()
    });
    code.lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
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

#[test]
fn all_sql_is_in_the_store() {
    let sql = [
        "sqlx::query",
        "query_as",
        "query_scalar",
        "INSERT INTO",
        "DELETE FROM",
        "SELECT ",
    ];
    let found = violations("issuer", &sql, |path| {
        path.starts_with("store/") || path == "store.rs"
    });
    assert_none(&found, "SQL stands under issuer/src/store");
    assert_none(
        &violations("edge", &sql, |_| false),
        "the edge knows no SQL",
    );
    assert_none(
        &violations("shared", &sql, |_| false),
        "shared knows no SQL",
    );
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

/// What may be imported by whom inside a crate: only from further right.
const ORDER: [(&str, &[&str]); 2] = [
    (
        "edge",
        &[
            "io",
            "gate",
            "reply",
            "identity",
            "verdict",
            "refusal",
            "config",
            "policy",
            "rule",
            "credential",
            "target",
        ],
    ),
    (
        "issuer",
        &[
            "app", "http", "publish", "sweep", "mint", "keyring", "password", "store", "session",
            "config",
        ],
    ),
];

#[test]
fn imports_inside_a_crate_go_one_way() {
    for (krate, order) in ORDER {
        for source in sources(krate) {
            let module = source.path.split(['/', '.']).next().unwrap();
            let Some(place) = order.iter().position(|name| *name == module) else {
                continue;
            };
            for earlier in &order[..place] {
                assert!(
                    !source.code.contains(&format!("crate::{earlier}::")),
                    "{krate}/src/{} imports crate::{earlier}, which stands above it",
                    source.path
                );
            }
        }
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
        token.contains("#[derive(Clone, Debug, PartialEq, Eq)]\npub struct Verified<T>(T);"),
        "it has no Deserialize"
    );
}
