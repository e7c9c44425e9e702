use proptest::prelude::*;

use super::*;

const DEMO: &str = r#"[{"path":"/","access":"public"},{"path":"/app/*","access":"user"},
    {"path":"/api/*","access":"user","api":true},
    {"path":"/admin/*","access":"user","roles":["admin"],"freshness":"2s","when_stale":"refuse"}]"#;

fn route<'a>(policy: &'a Policy, method: &str, path: &str) -> &'a str {
    match policy.classify(method, path) {
        Route::Issuer => "issuer",
        Route::Hidden => "hidden",
        Route::Respelled => "respelled",
        Route::Origin(rule) if *rule == Rule::fallback() => "fallback",
        Route::Origin(rule) => rule.pattern.literal(),
    }
}

#[test]
fn the_demo_routes_fall_where_the_contract_says() {
    let policy = Policy::from_json(DEMO).unwrap();
    for (path, expected) in [
        ("/", "/"),
        ("/app", "/app"),
        ("/app/x", "/app"),
        ("/api/x", "/api"),
        ("/admin", "/admin"),
        ("/admin/", "/admin"),
        ("/admin.json", "/admin"),
        ("/app.html", "/app"),
        ("/apple", "fallback"),
        ("/other", "fallback"),
        ("/auth/login", "issuer"),
        ("/auth", "issuer"),
        ("/oauth/token", "issuer"),
        ("/.well-known/jwks.json", "issuer"),
        ("/.well-known/oauth-authorization-server", "issuer"),
        ("/.well-known/security.txt", "fallback"),
        ("/edge", "hidden"),
        ("/edge/revocations", "hidden"),
        ("/EDGE/keys", "hidden"),
        ("/edges", "fallback"),
        ("/ADMIN", "respelled"),
        ("/Admin/users", "respelled"),
        ("/Auth/login", "respelled"),
        ("/.WELL-KNOWN/jwks.json", "respelled"),
        ("/OTHER", "fallback"),
        ("/é", "fallback"),
    ] {
        assert_eq!(route(&policy, "GET", path), expected, "{path}");
    }
}

#[test]
fn the_most_specific_rule_wins_in_whatever_order_they_stand() {
    let rules = [
        r#"{"path":"/*","access":"public"}"#,
        r#"{"path":"/a/*","access":"user","freshness":"11s"}"#,
        r#"{"path":"/a/b/*","access":"user","freshness":"12s"}"#,
        r#"{"path":"/a/b","access":"user","freshness":"13s"}"#,
        r#"{"path":"/a/b/*","access":"user","methods":["POST"],"freshness":"14s"}"#,
    ];
    for turn in 0..rules.len() {
        let mut turned = rules;
        turned.rotate_left(turn);
        let policy = Policy::from_json(&format!("[{}]", turned.join(","))).unwrap();
        let freshness = |method: &str, path: &str| match policy.classify(method, path) {
            Route::Origin(rule) if rule.access == Access::User => rule.freshness.as_secs(),
            _ => 0,
        };
        assert_eq!(freshness("GET", "/x"), 0);
        assert_eq!(freshness("GET", "/a"), 11);
        assert_eq!(freshness("GET", "/a/bc"), 11);
        assert_eq!(freshness("GET", "/a/b"), 13);
        assert_eq!(freshness("POST", "/a/b"), 13);
        assert_eq!(freshness("GET", "/a/b/c"), 12);
        assert_eq!(freshness("POST", "/a/b/c"), 14);
    }
}

#[test]
fn a_final_slash_does_not_lead_out_of_a_guarded_exact_rule() {
    let policy = Policy::from_json(
        r#"[{"path":"/*","access":"public"},{"path":"/secret","access":"user"},
        {"path":"/app/*","access":"user"},{"path":"/app/report","access":"user","roles":["admin"]},
        {"path":"/app/list/","access":"user","roles":["admin"]},{"path":"/app/plan","access":"public"},
        {"path":"/both","access":"user"},{"path":"/both/","access":"user","roles":["admin"]}]"#,
    );
    let policy = policy.unwrap();
    for (method, path, expected) in [
        ("GET", "/secret", "/secret"),
        ("GET", "/secret/", "respelled"),
        ("GET", "/SECRET/", "respelled"),
        ("GET", "/secret/x", ""),
        ("GET", "/app/report/", "respelled"),
        ("GET", "/app/list", "respelled"),
        ("GET", "/app/List", "respelled"),
        ("GET", "/app/list/", "/app/list/"),
        ("GET", "/app/plan/", "/app"),
        ("GET", "/both", "/both"),
        ("GET", "/both/", "/both/"),
        ("GET", "/Both/", "respelled"),
        ("GET", "/", ""),
    ] {
        assert_eq!(route(&policy, method, path), expected, "{method} {path}");
    }
}

/// A rule for services guards as one for users does: no other spelling leads past it, and no wider rule opens it.
#[test]
fn a_rule_for_services_is_a_guarded_one() {
    let policy = Policy::from_json(
        r#"[{"path":"/*","access":"public"},{"path":"/jobs/run","access":"service"},
        {"path":"/app/*","access":"user"},{"path":"/app/hook","access":"service"}]"#,
    );
    let policy = policy.unwrap();
    for (path, expected) in [
        ("/jobs/run", "/jobs/run"),
        ("/jobs/run.json", "/jobs/run"),
        ("/jobs/run/", "respelled"),
        ("/Jobs/run", "respelled"),
        ("/app/hook", "/app/hook"),
        // Neither a user nor a service is meant for sure.
        ("/app/hook.json", "respelled"),
    ] {
        assert_eq!(route(&policy, "GET", path), expected, "{path}");
    }
    let opens = r#"[{"path":"/*","access":"public"},{"path":"/jobs/*","access":"service","methods":["POST"]}]"#;
    assert!(matches!(
        Policy::from_json(opens),
        Err(BadPolicy::Opens { .. })
    ));
}

#[test]
fn another_format_does_not_lead_out_of_a_guarded_rule() {
    let policy = Policy::from_json(
        r#"[{"path":"/","access":"user","roles":["front"]},
        {"path":"/reports/*","access":"user"},{"path":"/reports/export","access":"user","roles":["admin"]},
        {"path":"/reports/summary","access":"user","freshness":"2s"},{"path":"/reports/summary.csv","access":"public"},
        {"path":"/users/*","access":"user","roles":["admin"]},
        {"path":"/open/*","access":"public"},{"path":"/open/mine","access":"user"},{"path":"/open/post","access":"user","methods":["POST"]},
        {"path":"/open/post","access":"public"},{"path":"/open/plan","access":"public"},
        {"path":"/staff/*","access":"user","roles":["staff"]},{"path":"/staff/help","access":"user"},
        {"path":"/staff/pay","access":"user","roles":["finance"]},
        {"path":"/staff/list/","access":"user","roles":["staff"],"max_auth_age":"5m"}]"#,
    );
    let policy = policy.unwrap();
    for (method, path, expected) in [
        ("GET", "/reports/export.json", "/reports/export"),
        ("GET", "/reports/export.tar.gz", "/reports/export"),
        ("GET", "/reports/export.", "/reports/export"),
        ("GET", "/reports/Export.json", "/reports/export"),
        ("GET", "/reports/export.JSON/", "/reports/export"),
        ("GET", "/reports/export.json/x", "/reports"),
        ("GET", "/reports/exports.json", "/reports"),
        ("GET", "/reports/export-x.json", "/reports"),
        ("GET", "/Reports/export.json", "respelled"),
        // Named exactly, and so meant.
        ("GET", "/reports/summary.csv", "/reports/summary.csv"),
        ("GET", "/reports/summary.pdf", "/reports/summary"),
        // A prefix names its own path too.
        ("GET", "/users.json", "/users"),
        ("GET", "/users/7.json", "/users"),
        ("GET", "/open/mine.json", "/open/mine"),
        ("GET", "/open/plan.json", "/open"),
        ("POST", "/open/post.json", "/open/post"),
        ("GET", "/open/post.json", "/open"),
        // It never opens what the wider rule guards better.
        ("GET", "/staff/help.json", "/staff"),
        ("GET", "/staff/pay.json", "respelled"),
        ("GET", "/staff/list.json", "/staff/list/"),
        // The front page has no name that a format could follow.
        ("GET", "/.json", "fallback"),
        ("GET", "/index.html", "fallback"),
    ] {
        assert_eq!(route(&policy, method, path), expected, "{method} {path}");
    }
}

#[test]
fn ambiguous_rules_are_refused() {
    for (path, rules) in [
        (
            "/a",
            r#"[{"path":"/a/*","access":"user"},{"path":"/a/*","access":"public"}]"#,
        ),
        (
            "/A",
            r#"[{"path":"/A/*","access":"user"},{"path":"/a/*","access":"user"}]"#,
        ),
        (
            "/a",
            r#"[{"path":"/a","access":"user","methods":["PUT","GET"]},{"path":"/a","access":"user","methods":["HEAD"]}]"#,
        ),
    ] {
        assert_eq!(
            Policy::from_json(rules).unwrap_err(),
            BadPolicy::Ambiguous(path.into())
        );
    }
    let told_apart = r#"[{"path":"/a","access":"user","methods":["PUT"]},{"path":"/a","access":"user","methods":["GET"]},
        {"path":"/a","access":"user"},{"path":"/a/*","access":"user"}]"#;
    assert!(Policy::from_json(told_apart).is_ok());
}

#[test]
fn a_guarded_path_is_never_opened_by_a_wider_rule() {
    let rules = r#"[{"path":"/*","access":"public"},{"path":"/admin/*","access":"user","methods":["GET"]}]"#;
    assert!(
        matches!(Policy::from_json(rules), Err(BadPolicy::Opens { path, .. }) if path == "/admin")
    );
    // The path itself has a rule of its own, and what is below it has none for other methods.
    let below = r#"[{"path":"/*","access":"public"},{"path":"/a","access":"user"},{"path":"/a/*","access":"user","methods":["GET"]}]"#;
    assert!(matches!(Policy::from_json(below), Err(BadPolicy::Opens { path, .. }) if path == "/a"));
    let for_get = r#"[{"path":"/*","access":"public","methods":["GET"]},{"path":"/a/*","access":"user","methods":["POST"]}]"#;
    assert!(
        matches!(Policy::from_json(for_get), Err(BadPolicy::Opens { method, .. }) if method == "GET")
    );
    let meant = r#"[{"path":"/a/*","access":"public","methods":["GET"]},{"path":"/a/*","access":"user","methods":["POST"]}]"#;
    assert!(Policy::from_json(meant).is_ok());
}

#[test]
fn rules_for_our_own_paths_are_refused() {
    for path in [
        "/auth/*",
        "/auth/login",
        "/oauth/*",
        "/edge/*",
        "/Edge",
        "/.well-known/jwks.json",
    ] {
        let json = serde_json::json!([{"path": path, "access": "public"}]).to_string();
        assert!(
            matches!(
                Policy::from_json(&json),
                Err(BadPolicy::Rule {
                    reason: BadRule::OwnPath,
                    ..
                })
            ),
            "{path}"
        );
    }
    assert!(matches!(Policy::from_json("{}"), Err(BadPolicy::Shape(_))));
    assert!(matches!(Policy::from_json("[1]"), Err(BadPolicy::Shape(_))));
}

proptest! {
    /// Law: adding a rule never changes the route of a path that the rule does not name.
    #[test]
    fn a_rule_speaks_only_of_its_own_paths(path in "/[a-c]{0,2}(/[a-c]{1,2}){0,2}", extra in "/[a-c]{1,2}(/[a-c]){0,1}(/\\*)?") {
        let base = r#"{"path":"/a/*","access":"user","freshness":"9s"},{"path":"/b","access":"public"}"#;
        let with = format!(r#"[{base},{{"path":"{extra}","access":"user","methods":["PUT"],"freshness":"7s"}}]"#);
        let before = Policy::from_json(&format!("[{base}]")).unwrap();
        if let Ok(after) = Policy::from_json(&with) {
            prop_assert_eq!(before.classify("GET", &path), after.classify("GET", &path));
            if let Route::Origin(rule) = after.classify("PUT", &path) && rule.methods.is_some() {
                prop_assert!(path == extra || path.starts_with(extra.trim_end_matches("/*")));
            }
        }
    }
}
