use super::*;

const APP: &str = "https://app.example";

fn check(cors: &str, of_rule: Option<&[&str]>) -> Result<Cors, BadRule> {
    let of_rule = of_rule.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let raw: RawCors = serde_json::from_str(cors).unwrap();
    raw.check(of_rule.as_ref())
}

fn table(cors: &str, of_rule: Option<&[&str]>) -> Table {
    match check(cors, of_rule) {
        Ok(Cors::ByEdge(table)) => table,
        other => panic!("{cors}: {other:?}"),
    }
}

fn question<'a>(origin: &'a str, method: &'a str, headers: &'a str) -> Question<'a> {
    Question {
        origin,
        method,
        headers,
    }
}

fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let mut named = headers.iter().filter(|(known, _)| *known == name);
    let found = named.next().map(|(_, value)| value.as_str());
    assert!(named.next().is_none(), "{name} twice in {headers:?}");
    found
}

#[test]
fn a_switch_leaves_it_to_the_origin() {
    assert_eq!(check("false", None), Ok(Cors::Unsaid));
    assert_eq!(check("true", None), Ok(Cors::ByOrigin));
    assert_eq!(check("true", Some(&["PUT", "OPTIONS"])), Ok(Cors::ByOrigin));
    assert_eq!(
        check("true", Some(&["PUT"])),
        Err(BadRule::CorsWithoutOptions)
    );
}

#[test]
fn a_preflight_is_answered_with_all_that_is_allowed() {
    let table = table(
        r#"{"origins":["https://app.example","http://localhost:3000"],"methods":["GET","PUT"],
            "headers":["Authorization","X-Request-Id"],"max_age":"1h"}"#,
        None,
    );
    let asked = question(APP, "PUT", "authorization, x-request-id");
    let answer = table.answer(&asked).unwrap();
    for (name, expected) in [
        ("Access-Control-Allow-Origin", APP),
        ("Access-Control-Allow-Methods", "GET, PUT"),
        (
            "Access-Control-Allow-Headers",
            "authorization, x-request-id",
        ),
        ("Access-Control-Max-Age", "3600"),
        (
            "Vary",
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        ),
    ] {
        assert_eq!(value(&answer, name), Some(expected), "{name}");
    }
    assert_eq!(answer.len(), 5, "and never credentials: {answer:?}");
    for method in ["GET", "HEAD", "PUT"] {
        assert!(table.answer(&question(APP, method, "")).is_ok(), "{method}");
    }
    for (asked, what) in [
        (
            question("https://app.example.evil.test", "PUT", ""),
            "this origin",
        ),
        (question("https://APP.example", "PUT", ""), "this origin"),
        (question("http://app.example", "PUT", ""), "this origin"),
        (question("http://localhost", "PUT", ""), "this origin"),
        (question("null", "PUT", ""), "this origin"),
        (question("", "PUT", ""), "this origin"),
        (question("*", "PUT", ""), "this origin"),
        (
            question("https://app.example http://localhost:3000", "PUT", ""),
            "this origin",
        ),
        (question(APP, "DELETE", ""), "this method"),
        (question(APP, "put", ""), "this method"),
        (question(APP, "", ""), "this method"),
        (
            question(APP, "PUT", "authorization,x-other"),
            "one of these headers",
        ),
        (question(APP, "PUT", "x-other"), "one of these headers"),
    ] {
        let (found, readable) = table.answer(&asked).unwrap_err();
        assert_eq!(found, what, "{asked:?}");
        let by = value(&readable.headers(), "Access-Control-Allow-Origin").map(str::to_owned);
        let expected = (what != "this origin").then_some(APP);
        assert_eq!(by.as_deref(), expected, "{asked:?}");
    }
}

#[test]
fn what_is_left_out_is_what_a_bearer_needs() {
    let of = |of_rule| {
        let table = table(r#"{"origins":["*"]}"#, of_rule);
        let asked = question("https://any.test", "DELETE", "content-type,authorization");
        table.answer(&asked)
    };
    let answer = of(None).unwrap();
    assert_eq!(value(&answer, "Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(value(&answer, "Access-Control-Allow-Methods"), Some("*"));
    assert_eq!(value(&answer, "Access-Control-Max-Age"), Some("600"));
    let answer = of(Some(&["GET", "DELETE"])).unwrap();
    assert_eq!(
        value(&answer, "Access-Control-Allow-Methods"),
        Some("GET, DELETE")
    );
}

#[test]
fn a_refusal_is_readable_by_whom_the_rule_names() {
    let of = |cors: &Cors, origin| cors.readable(origin).map(|readable| readable.headers());
    assert_eq!(of(&Cors::Unsaid, Some(APP)), None);
    assert_eq!(of(&Cors::ByOrigin, None), None);
    let anybody = of(&Cors::ByOrigin, Some("https://any.test")).unwrap();
    assert_eq!(value(&anybody, "Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(
        value(&anybody, "Access-Control-Expose-Headers"),
        Some("WWW-Authenticate, Retry-After")
    );
    assert_eq!(anybody.len(), 2, "{anybody:?}");

    let listed = check(r#"{"origins":["https://app.example"]}"#, None).unwrap();
    let named = of(&listed, Some(APP)).unwrap();
    assert_eq!(value(&named, "Access-Control-Allow-Origin"), Some(APP));
    assert_eq!(value(&named, "Vary"), Some("Origin"));
    assert_eq!(named.len(), 3, "{named:?}");
    for other in [None, Some("https://other.test")] {
        let vary = vec![("Vary", "Origin".to_owned())];
        assert_eq!(of(&listed, other), Some(vary), "{other:?}");
    }
}

#[test]
fn the_origins_answer_is_told_whose_scripts_read_it() {
    let of = |cors: &str| check(cors, None).unwrap().onward();
    assert_eq!((of("true"), of("false")), (None, None));
    let two = r#"{"origins":["https://a.test","https://b.test"],"expose":["X-Total","Link"]}"#;
    assert_eq!(
        of(two).as_deref(),
        Some("https://a.test https://b.test\tX-Total, Link")
    );
    let origins = "https://a.test https://b.test";
    for origin in ["https://a.test", "https://b.test"] {
        assert_eq!(reader(origins, Some(origin)).as_deref(), Some(origin));
    }
    for origin in [
        None,
        Some(""),
        Some("https://a.tes"),
        Some("null"),
        Some(origins),
    ] {
        assert_eq!(reader(origins, origin), None, "{origin:?}");
    }
    assert_eq!(reader("*", Some("null")).as_deref(), Some("*"));
    assert_eq!(reader("*", None), None);
}

#[test]
fn a_table_that_is_wrong_has_a_reason() {
    let reason = |cors: &str| match check(cors, Some(&["GET", "PUT"])) {
        Err(reason) => reason.to_string(),
        Ok(cors) => panic!("{cors:?}"),
    };
    for origin in [
        "app.example",
        "https://",
        "https://app.example/",
        "https://App.example",
        "https://app.example:443",
        "http://app.example:80",
        "https://*.example",
        "https://a.test https://b.test",
        "https://a.test\tx",
        "null",
        "",
    ] {
        let cors = serde_json::json!({ "origins": [origin] }).to_string();
        assert!(reason(&cors).contains("origins"), "{origin}");
    }
    for (cors, part) in [
        (r#"{"origins":[]}"#, "origins"),
        (r#"{"origins":["*","https://a.test"]}"#, "origins"),
        (r#"{"origins":["*"],"methods":[]}"#, "methods"),
        (r#"{"origins":["*"],"methods":["put"]}"#, "methods"),
        (r#"{"origins":["*"],"methods":["DELETE"]}"#, "methods"),
        (r#"{"origins":["*"],"headers":["*"]}"#, "headers"),
        (r#"{"origins":["*"],"headers":["a b"]}"#, "headers"),
        (r#"{"origins":["*"],"expose":["a\tb"]}"#, "expose"),
        (r#"{"origins":["*"],"max_age":"10"}"#, "max_age"),
    ] {
        assert!(reason(cors).contains(part), "{cors}: {}", reason(cors));
    }
    for origin in [
        "https://app.example",
        "http://localhost:3000",
        "https://[::1]:8443",
        "capacitor://localhost",
    ] {
        let cors = serde_json::json!({ "origins": [origin] }).to_string();
        assert!(check(&cors, None).is_ok(), "{origin}");
    }
    for (cors, part) in [
        (r#""yes""#, "a table with origins"),
        (r#"["https://a.test"]"#, "a table with origins"),
        (r#"{"methods":["GET"]}"#, "missing field `origins`"),
        (
            r#"{"origins":["*"],"credentials":true}"#,
            "unknown field `credentials`",
        ),
    ] {
        let error = serde_json::from_str::<RawCors>(cors)
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{cors}: {error}");
    }
}
