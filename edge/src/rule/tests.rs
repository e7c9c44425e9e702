use super::*;

fn check(json: &str) -> Result<Rule, BadRule> {
    serde_json::from_str::<RawRule>(json).unwrap().check()
}

#[test]
fn a_rule_says_all_it_can() {
    let rule = check(
        r#"{"path":"/admin/*","methods":["GET","POST"],"access":"user","roles":["admin"],"max_auth_age":"15m",
            "api":true,"freshness":"2s","when_stale":"serve","cache":"origin"}"#,
    )
    .unwrap();
    assert_eq!(rule.pattern, Pattern::Below("/admin".into()));
    assert_eq!(rule.max_auth_age, Some(Duration::from_secs(900)));
    assert_eq!(
        (rule.freshness, rule.when_stale),
        (Duration::from_secs(2), WhenStale::Serve)
    );
    assert_eq!((&rule.cors, rule.cache), (&Cors::Unsaid, Cache::Origin));
    assert!(rule.names_method("HEAD") && !rule.names_method("PUT"));
}

#[test]
fn each_word_for_caches_has_its_meaning() {
    for (word, cache) in [
        ("private", Cache::Private),
        ("origin", Cache::Origin),
        ("no-store", Cache::NoStore),
    ] {
        let json = format!(r#"{{"path":"/x","access":"user","cache":"{word}"}}"#);
        assert_eq!(check(&json).unwrap().cache, cache);
    }
}

#[test]
fn what_is_left_out_is_strict() {
    let rule = check(r#"{"path":"/x","access":"user"}"#).unwrap();
    assert_eq!(
        Rule {
            pattern: Pattern::Below(String::new()),
            ..rule
        },
        Rule::fallback()
    );
}

#[test]
fn unknown_words_do_not_parse() {
    for json in [
        r#"{"path":"/x","access":"users"}"#,
        r#"{"path":"/x"}"#,
        r#"{"access":"user"}"#,
        r#"{"path":"/x","access":"user","role":["a"]}"#,
        r#"{"path":"/x","access":"user","when_stale":"pass"}"#,
        r#"{"path":"/x","access":"user","freshness":30}"#,
        r#"{"path":"/x","access":"user","access":"public"}"#,
        r#"{"path":"/x","access":"user","api":"yes"}"#,
        r#"{"path":"/x","access":"user","cors":"yes"}"#,
        r#"{"path":"/x","access":"user","cors":["https://a.test"]}"#,
        r#"{"path":"/x","access":"user","cache":"public"}"#,
        r#"{"path":"/x","access":"user","cache":true}"#,
        r#"{"path":"/x","access":"user","cache":"nostore"}"#,
    ] {
        assert!(serde_json::from_str::<RawRule>(json).is_err(), "{json}");
    }
}

#[test]
fn bad_rules_have_a_reason() {
    let of = |rest: &str| check(&format!(r#"{{"path":"/x",{rest}}}"#)).unwrap_err();
    assert_eq!(
        of(r#""access":"public","roles":["a"]"#),
        BadRule::OnPublic("roles")
    );
    assert_eq!(
        of(r#""access":"public","freshness":"2s""#),
        BadRule::OnPublic("freshness")
    );
    assert_eq!(
        of(r#""access":"public","max_auth_age":"2s""#),
        BadRule::OnPublic("max_auth_age")
    );
    assert_eq!(
        of(r#""access":"public","when_stale":"serve""#),
        BadRule::OnPublic("when_stale")
    );
    for (given, name) in [
        (r#""cors":true"#, "cors without a table"),
        (r#""cors":false"#, "cors without a table"),
        (r#""cache":"origin""#, "cache"),
        (r#""stream":true"#, "stream"),
    ] {
        assert_eq!(
            of(&format!(r#""access":"public",{given}"#)),
            BadRule::OnPublic(name)
        );
    }
    assert_eq!(
        of(r#""access":"user","cors":true,"methods":["GET","PUT"]"#),
        BadRule::CorsWithoutOptions
    );
    for (given, expected) in [
        (
            r#""access":"service","roles":["a"]"#,
            BadRule::OnService("roles"),
        ),
        (
            r#""access":"service","max_auth_age":"5m""#,
            BadRule::OnService("max_auth_age"),
        ),
        (r#""access":"service","scopes":[]"#, BadRule::Scopes),
        (r#""access":"service","scopes":["a b"]"#, BadRule::Scopes),
        (r#""access":"user","scopes":["a"]"#, BadRule::ScopesOfUser),
        (
            r#""access":"public","scopes":["a"]"#,
            BadRule::OnPublic("scopes"),
        ),
    ] {
        assert_eq!(of(given), expected, "{given}");
    }
    assert_eq!(of(r#""access":"user","roles":[]"#), BadRule::Roles);
    assert_eq!(of(r#""access":"user","roles":["a,b"]"#), BadRule::Roles);
    assert_eq!(of(r#""access":"user","methods":[]"#), BadRule::Methods);
    assert_eq!(of(r#""access":"user","methods":["get"]"#), BadRule::Methods);
    assert_eq!(
        of(r#""access":"user","freshness":"1s""#),
        BadRule::Freshness
    );
    for text in [
        "",
        "0s",
        "30",
        "s",
        "-1s",
        "+1s",
        "1.5s",
        "30 s",
        "1w",
        "500ms",
        "99999999999999999999s",
        "9999999d",
    ] {
        assert_eq!(
            of(&format!(r#""access":"user","freshness":"{text}""#)),
            BadRule::Duration("freshness"),
            "{text}"
        );
    }
}

#[test]
fn a_rule_for_services_is_never_answered_with_a_sign_in_page() {
    let rule = check(r#"{"path":"/x","access":"service","scopes":["b","a"]}"#).unwrap();
    assert_eq!((rule.access, rule.api), (Access::Service, true));
    assert_eq!(rule.scopes.to_string(), "a b");
}

#[test]
fn no_rule_for_services_asks_for_all_that_one_for_users_does() {
    let of = |rest: &str| check(&format!(r#"{{"path":"/x",{rest}}}"#)).unwrap();
    let user = of(r#""access":"user""#);
    let public = of(r#""access":"public""#);
    let [none, a, ab] = [
        r#""access":"service""#,
        r#""access":"service","scopes":["a"]"#,
        r#""access":"service","scopes":["a","b"]"#,
    ]
    .map(of);
    assert!(!none.asks_all_of(&user) && !user.asks_all_of(&none));
    assert!(ab.asks_all_of(&a) && a.asks_all_of(&none) && none.asks_all_of(&public));
    assert!(!a.asks_all_of(&ab) && !none.asks_all_of(&a) && !public.asks_all_of(&none));
}

#[test]
fn a_table_of_cors_suits_every_rule() {
    for (rest, is_by_edge) in [
        (r#""access":"public","cors":{"origins":["*"]}"#, true),
        (
            r#""access":"user","cors":{"origins":["*"]},"methods":["PUT"]"#,
            true,
        ),
        (
            r#""access":"user","cors":true,"methods":["PUT","OPTIONS"]"#,
            false,
        ),
    ] {
        let rule = check(&format!(r#"{{"path":"/x",{rest}}}"#)).unwrap();
        assert_eq!(matches!(rule.cors, Cors::ByEdge(_)), is_by_edge, "{rest}");
    }
}

#[test]
fn paths_that_no_request_could_have_are_refused() {
    for path in [
        "", "x", "*", "/a*", "/*/b", "/a/*/b", "/a//b", "//", "//*", "/a/../b", "/.", "/%61",
        "/a?b", "/a#b", "/a;b", "/é", "/a b", "/a/**", "a/*",
    ] {
        let json = serde_json::json!({"path": path, "access": "user"}).to_string();
        assert_eq!(check(&json), Err(BadRule::Path), "{path}");
    }
}

#[test]
fn a_prefix_holds_itself_and_what_is_below() {
    let app = Pattern::parse("/app/*").unwrap();
    for path in ["/app", "/app/", "/app/x/y"] {
        assert!(app.holds(path), "{path}");
    }
    for path in ["/", "/ap", "/apple", "/App/x", "/x/app/"] {
        assert!(!app.holds(path), "{path}");
    }
    assert!(app.holds_in_any_case("/APP/x"));
    let all = Pattern::parse("/*").unwrap();
    assert!(all.holds("/") && all.holds("/é"));
    let home = Pattern::parse("/").unwrap();
    assert!(home.holds("/") && !home.holds("/x"));
}
