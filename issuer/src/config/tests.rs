use super::*;

pub(crate) const JWT_SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
const ENCRYPTION_KEY: &str = "9f3c1e7ab45d2086ee17c94b60fa8d23715bc0e4a6d89f1237be05c4d1a2f86e";
const EDGE_SECRET: &str = "Vw8rKq2mXz5tLp9bHd3fNs7cGy1jQa6u";

pub(crate) fn environment() -> Vec<(String, String)> {
    [
        (
            "DATABASE_URL",
            "postgres://portcullis:Zx81Kq@localhost/portcullis",
        ),
        ("PUBLIC_URL", "http://localhost:8787/"),
        ("ENCRYPTION_KEY", ENCRYPTION_KEY),
        ("EDGE_SECRET", EDGE_SECRET),
        ("HOME", "/home/somebody"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub(super) fn with(changes: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let mut environment = environment();
    environment.extend(
        changes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    Config::from_env(environment)
}

pub(super) fn problems(changes: &[(&str, &str)]) -> Vec<String> {
    with(changes).unwrap_err().0
}

#[test]
fn the_required_settings_are_enough() {
    let config = with(&[]).unwrap();
    assert_eq!(config.public_url, "http://localhost:8787");
    assert_eq!(config.policy.access, Duration::from_secs(900));
    assert_eq!(config.policy.absolute, 7 * DAY);
    assert_eq!(config.policy.idle, DAY);
    assert_eq!(config.policy.max_sessions, 5);
    assert_eq!(config.policy.grace, Duration::from_secs(10));
    assert_eq!(config.events_kept, 90 * DAY);
    assert!(config.kv.is_none() && config.jwt_secrets.is_none());
}

#[test]
fn events_are_kept_for_a_day_to_ten_years() {
    assert_eq!(with(&[("EVENTS_KEPT", "1d")]).unwrap().events_kept, DAY);
    for (name, value) in [
        ("EVENTS_KEPT", "23h"),
        ("EVENTS_KEPT", "11y"),
        ("EVENTS_KEPT", "90"),
        ("EVENTS_KEEP", "90d"),
    ] {
        let problems = problems(&[(name, value)]);
        assert!(problems[0].starts_with(name), "{problems:?}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let problems = problems(&[
        ("PUBLIC_URL", "ftp://example.org"),
        ("ENCRYPTION_KEY", "short"),
        ("EDGE_SECRET", "changeme-changeme-changeme-changeme"),
        ("JWT_SECRET", "tiny"),
        ("JWT_ACCESS_EXPIRES_IN", "900"),
        ("SESSION_LIMIT_POLICY", "ignore"),
        ("MAX_CONCURRENT_SESSIONS", "0"),
        ("KV_API_URL", "https://api.example.org"),
        ("SESSION_TIMEOUT", "3"),
        ("GOOGLE_CLIENT_NAME", "x"),
        ("LISTEN_ADDR", "8081"),
    ]);
    let named = [
        "PUBLIC_URL",
        "ENCRYPTION_KEY",
        "EDGE_SECRET",
        "JWT_SECRET",
        "JWT_ACCESS_EXPIRES_IN",
        "SESSION_LIMIT_POLICY",
        "MAX_CONCURRENT_SESSIONS",
        "KV_API_TOKEN",
        "KV_NAMESPACE_ID",
        "SESSION_TIMEOUT",
        "GOOGLE_CLIENT_NAME",
        "LISTEN_ADDR",
    ];
    for name in named {
        assert_eq!(
            problems
                .iter()
                .filter(|line| line.starts_with(&format!("{name} ")))
                .count(),
            1,
            "{name}: {problems:?}"
        );
    }
    assert_eq!(problems.len(), named.len(), "{problems:?}");
}

#[test]
fn what_is_required_is_required() {
    let missing = Config::from_env([]).unwrap_err().0;
    for name in [
        "DATABASE_URL",
        "PUBLIC_URL",
        "ENCRYPTION_KEY",
        "EDGE_SECRET",
    ] {
        assert!(
            missing.contains(&format!("{name} is missing")),
            "{missing:?}"
        );
    }
    assert_eq!(missing.len(), 4);
}

#[test]
fn no_secret_is_printed() {
    let config = with(&[
        ("JWT_SECRET", JWT_SECRET),
        ("KV_API_URL", "http://127.0.0.1:1/x"),
        ("KV_API_TOKEN", "Tq7vWn2k"),
        ("KV_NAMESPACE_ID", "ns"),
    ])
    .unwrap();
    let printed = format!("{config:?}");
    for secret in ["Zx81Kq", "mJ4v", "9f3c", "Vw8r", "Tq7v"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    let told = problems(&[
        ("JWT_SECRET", "Zq4"),
        ("ENCRYPTION_KEY", "Zq4"),
        ("DATABASE_URL", "Zq4"),
        ("KV_API_URL", "Zq4"),
    ]);
    assert!(!told.join(" ").contains("Zq4"), "{told:?}");
}

#[test]
fn an_access_token_lives_no_longer_than_its_session() {
    let told = problems(&[
        ("JWT_ACCESS_EXPIRES_IN", "2h"),
        ("JWT_REFRESH_EXPIRES_IN", "1h"),
    ]);
    assert_eq!(told.len(), 1);
    let told = problems(&[
        ("JWT_ACCESS_EXPIRES_IN", "12h"),
        ("SESSION_TIMEOUT_HOURS", "1"),
    ]);
    assert_eq!(
        told,
        ["JWT_ACCESS_EXPIRES_IN must not be longer than SESSION_TIMEOUT_HOURS"]
    );
    let equal = [
        ("JWT_ACCESS_EXPIRES_IN", "1h"),
        ("SESSION_TIMEOUT_HOURS", "1"),
    ];
    assert!(with(&equal).is_ok());
    assert!(problems(&[("JWT_ACCESS_EXPIRES_IN", "1500ms")])[0].contains("whole seconds"));
}

#[test]
fn tokens_are_issued_for_an_origin() {
    for good in [
        "https://example.org",
        "https://example.org/",
        "http://[::1]:8787",
        "http://127.0.0.1:1",
    ] {
        assert!(with(&[("PUBLIC_URL", good)]).is_ok(), "{good}");
    }
    for bad in [
        "http://example.org",
        "https://example.org/app",
        "https://example.org/?x",
        "https://u@example.org",
        "example.org",
    ] {
        assert_eq!(problems(&[("PUBLIC_URL", bad)]).len(), 1, "{bad}");
    }
}

#[test]
fn secrets_can_be_rotated() {
    let both = format!("{JWT_SECRET},{EDGE_SECRET}");
    let config = with(&[("EDGE_SECRET", &both)]).unwrap();
    assert_eq!(config.edge_secrets.len(), 2);
    assert_eq!(config.edge_secret().expose(), JWT_SECRET.as_bytes());
    let config = with(&[("JWT_SECRET", &both)]).unwrap();
    assert_eq!(config.jwt_secrets.map(|secrets| secrets.len()), Some(2));
    let empty = format!("{JWT_SECRET},");
    assert_eq!(problems(&[("JWT_SECRET", &empty)]), ["JWT_SECRET is empty"]);
}
