//! Requests that pass without a credential, or never pass, whatever the token says.

use super::*;

#[test]
fn a_public_route_gets_no_credential_of_ours() {
    let (good, _) = token(|_| {});
    let public = |cookie, authorization| {
        Case {
            path: "/",
            cookie,
            authorization,
            view: None,
            ..Case::default()
        }
        .once()
        .unwrap()
    };
    assert_eq!(public(None, None), "o   \nhttp://origin.internal:3000/\n\n");
    assert_eq!(
        public(access(&good), None),
        "o   \nhttp://origin.internal:3000/\n\n\ncookie\ntheme=dark"
    );
    assert_eq!(
        public(None, Some(format!("Bearer {good}"))),
        "o   \nhttp://origin.internal:3000/\n\nauthorization"
    );
    assert_eq!(
        public(None, Some("Bearer something-else".into())),
        "o   \nhttp://origin.internal:3000/\n\n"
    );
}

#[test]
fn the_same_tokens_are_ours_before_and_after_keys_are_loaded() {
    let (good, _) = token(|_| {});
    let theirs = fixtures::token_of("https://accounts.other.test", |_| {});
    let case = |path, authorization: String, with_keys| Case {
        path,
        authorization: Some(authorization),
        with_keys,
        view: None,
        ..Case::default()
    };
    for with_keys in [false, true] {
        for scheme in ["Bearer", "Token", "JWT"] {
            let ours = case("/", format!("{scheme} {good}"), with_keys).once();
            assert!(ours.unwrap().ends_with("\n\nauthorization"), "{scheme}");
            let other = case("/", format!("{scheme} {theirs}"), with_keys).once();
            assert!(other.unwrap().ends_with("/\n\n"), "{scheme}");
        }
    }
    // Beside a cookie that opens the route.
    for (authorization, dropped) in [
        (format!("Token {good}"), "authorization,cookie"),
        (format!("Token {theirs}"), "cookie"),
        ("Basic eDp5".to_owned(), "cookie"),
    ] {
        let onward = Case {
            cookie: Some(format!("__Host-Http-access={good}")),
            authorization: Some(authorization.clone()),
            ..Case::default()
        }
        .once()
        .unwrap();
        assert_eq!(
            onward.split('\n').nth(3),
            Some(dropped),
            "{authorization}: {onward}"
        );
    }
}

#[test]
fn other_ways_end_where_they_should() {
    let to = |path: &str| {
        Case {
            path,
            ..Case::default()
        }
        .once()
    };
    assert!(
        to("/auth/login")
            .unwrap()
            .starts_with("i   \nhttp://issuer.internal:8081/auth/login\n")
    );
    assert_eq!(to("/edge/keys"), Err(Refusal::Hidden.into()));
    assert_eq!(to("/ADMIN/"), Err(Refusal::Respelled.into()));
    assert!(matches!(
        to("/app/..%2fadmin"),
        Err(Reason::Refused(Refusal::Target(_)))
    ));
    assert_eq!(to("/nowhere"), Err(Refusal::Anonymous.into()));
    let (good, _) = fixtures::token(|_| {});
    let two = Case {
        cookie: access(&good),
        authorization: Some(format!("Bearer {good}")),
        ..Case::default()
    };
    assert!(matches!(
        two.once(),
        Err(Reason::Refused(Refusal::Credential(_)))
    ));
}

#[test]
fn a_preflight_passes_where_the_rule_says_so() {
    let (good, _) = token(|_| {});
    let preflight = |path, cookie, authorization| Case {
        method: "OPTIONS",
        path,
        wanted_method: Some("PUT"),
        origin: Some("https://other.test"),
        cookie,
        authorization,
        view: None,
        ..Case::default()
    };
    let passed = "o p \nhttp://origin.internal:3000/cors/x\n\n";
    assert_eq!(preflight("/cors/x", None, None).once().unwrap(), passed);
    assert_eq!(
        preflight("/cors/x", access(&good), None).once().unwrap(),
        format!("{passed}\ncookie\ntheme=dark")
    );
    assert_eq!(
        preflight("/cors/x", None, Some(format!("Bearer {good}")))
            .once()
            .unwrap(),
        format!("{passed}authorization")
    );
    assert_eq!(
        preflight("/app/x", None, None).once(),
        Err(Refusal::Anonymous.into())
    );
    assert!(
        preflight("/", None, None)
            .once()
            .unwrap()
            .starts_with("o   \n")
    );
    let plain = Case {
        wanted_method: None,
        ..preflight("/cors/x", None, None)
    };
    assert_eq!(plain.once(), Err(Refusal::Anonymous.into()));
    let get = Case {
        method: "GET",
        ..preflight("/cors/x", None, None)
    };
    assert_eq!(get.once(), Err(Refusal::Anonymous.into()));
}

#[test]
fn another_authority_leads_nowhere() {
    let config = config();
    for path in ["/", "/app/x", "/auth/login", "/edge/keys"] {
        for authority in ["worker.elsewhere.test", "site.test.", "site.test:8080"] {
            let asked = Asked {
                method: "GET",
                url: &format!("https://{authority}{path}"),
                cookies: &cookie::read(""),
                authorization: None,
                fetch_site: None,
                origin: None,
                upgrade: false,
                wanted_method: None,
                client_ip: None,
                renewed: None,
                now: NOW.into(),
            };
            let known = Known {
                serial: SERIAL,
                config: &config,
                keys: None,
                view: None,
                kv_asked_at: None,
                patience: Patience::CanAsk,
            };
            let stop = pass(asked, known, &mut TokenCache::default()).unwrap_err();
            assert_eq!(
                stop.reason,
                Refusal::Misdirected.into(),
                "{authority}{path}"
            );
            assert!(stop.api, "a page of it would lead nowhere else");
        }
    }
}

#[test]
fn refused_options_are_never_answered_with_a_page() {
    let stop = |method| {
        let (config, keys) = (config(), keys());
        let asked = Asked {
            method,
            url: "https://site.test/app/x",
            upgrade: false,
            wanted_method: None,
            cookies: &cookie::read(""),
            authorization: None,
            fetch_site: None,
            origin: None,
            client_ip: None,
            renewed: None,
            now: NOW.into(),
        };
        let known = Known {
            config: &config,
            keys: Some(&keys),
            view: None,
            kv_asked_at: None,
            patience: Patience::CanAsk,
            serial: SERIAL,
        };
        pass(asked, known, &mut TokenCache::default()).unwrap_err()
    };
    assert!(stop("OPTIONS").api && !stop("GET").api);
    for method in ["CONNECT", "TRACE", "TRACK"] {
        assert_eq!(stop(method).reason, Refusal::Method.into(), "{method}");
    }
}

#[test]
fn the_rule_says_who_may_keep_the_answer() {
    let (good, _) = token(|_| {});
    let of = |path| {
        Case {
            path,
            cookie: access(&good),
            ..Case::default()
        }
        .once()
        .unwrap()
    };
    assert!(of("/app/x").starts_with("o pw\n"));
    assert!(of("/kept/x").starts_with("o ow\n"));
    assert!(of("/").starts_with("o   \n"));
}

#[test]
fn an_unsafe_request_with_a_cookie_must_come_from_here() {
    let (good, _) = token(|_| {});
    let post = |site, cookie, authorization| {
        Case {
            method: "POST",
            site,
            cookie,
            authorization,
            ..Case::default()
        }
        .once()
    };
    assert!(post(Some("same-origin"), access(&good), None).is_ok());
    assert_eq!(
        post(Some("cross-site"), access(&good), None),
        Err(Refusal::Csrf.into())
    );
    assert_eq!(post(None, access(&good), None), Err(Refusal::Csrf.into()));
    assert_eq!(
        post(None, Some("__Host-Http-refresh=r".into()), None),
        Err(Refusal::Csrf.into())
    );
    assert!(post(Some("cross-site"), None, Some(format!("Bearer {good}"))).is_ok());
    let shake = Case {
        upgrade: true,
        site: Some("cross-site"),
        cookie: access(&good),
        ..Case::default()
    };
    assert_eq!(shake.once(), Err(Refusal::Csrf.into()));
}

/// What the entry is told of CORS, if anything.
fn cors_line(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix('@'))
}

#[test]
fn the_answer_is_readable_where_the_rule_has_a_table() {
    let (good, _) = token(|_| {});
    let of = |path| {
        Case {
            path,
            authorization: Some(format!("Bearer {good}")),
            ..Case::default()
        }
        .once()
        .unwrap()
    };
    let shared = of("/shared/x");
    assert_eq!(cors_line(&shared), Some("https://app.example\t"));
    assert!(
        shared.contains("\n@https://app.example\t\nauthorization\n"),
        "{shared}"
    );
    for path in ["/app/x", "/cors/x", "/"] {
        assert_eq!(cors_line(&of(path)), None, "{path}");
    }
}

#[test]
fn a_refusal_is_readable_by_whom_the_rule_names() {
    let config = config();
    let by = |method, path: &str, origin| {
        let manner = Manner::at(&config.policy, method, &format!("{SITE}{path}"), origin);
        let headers = manner.cors.map(|readable| readable.headers());
        let allow = headers
            .into_iter()
            .flatten()
            .find(|(name, _)| *name == "Access-Control-Allow-Origin");
        allow.map(|(_, value)| value)
    };
    let (app, other) = (Some("https://app.example"), Some("https://other.test"));
    assert_eq!(by("GET", "/shared/x", app).as_deref(), app);
    assert_eq!(by("GET", "/shared/x", other), None);
    assert_eq!(by("GET", "/cors/x", other).as_deref(), Some("*"));
    for (path, origin) in [
        ("/cors/x", None),
        ("/app/x", app),
        ("/auth/session", app),
        ("/edge/x", app),
    ] {
        assert_eq!(by("GET", path, origin), None, "{path}");
    }
    let api =
        |method, path: &str| Manner::at(&config.policy, method, &format!("{SITE}{path}"), None).api;
    assert!(api("GET", "/api/x") && api("OPTIONS", "/app/x") && !api("GET", "/app/x"));
}

#[test]
fn a_preflight_that_the_edge_answers_never_passes_for_one_of_the_origins() {
    let preflight = Case {
        method: "OPTIONS",
        path: "/shared/x",
        wanted_method: Some("PUT"),
        origin: Some("https://app.example"),
        ..Case::default()
    };
    assert_eq!(preflight.once(), Err(Refusal::Anonymous.into()));
}
