use std::time::Duration;

use shared::cookie;
use shared::revocation::{Entry, Revocation};

use super::*;
use crate::fixtures::{self, NOW, SERIAL, SITE, config, keys, token, view};

struct Case<'a> {
    method: &'a str,
    path: &'a str,
    origin: Option<&'a str>,
    upgrade: bool,
    wanted_method: Option<&'a str>,
    cookie: Option<String>,
    authorization: Option<String>,
    site: Option<&'a str>,
    renewed: Option<String>,
    with_keys: bool,
    view: Option<View>,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            path: "/app/x",
            origin: None,
            upgrade: false,
            wanted_method: None,
            cookie: None,
            authorization: None,
            site: None,
            renewed: None,
            with_keys: true,
            view: Some(view(NOW.into(), 0, vec![])),
        }
    }
}

impl Case<'_> {
    fn run(&self, tokens: &mut TokenCache) -> Result<String, Reason> {
        let (config, keys) = (config(), keys());
        let cookies = cookie::read(self.cookie.as_deref().unwrap_or_default());
        let url = format!("{SITE}{}", self.path);
        let asked = Asked {
            method: self.method,
            url: &url,
            upgrade: self.upgrade,
            wanted_method: self.wanted_method,
            cookies: &cookies,
            authorization: self.authorization.as_deref(),
            fetch_site: self.site,
            origin: self.origin,
            client_ip: None,
            renewed: self.renewed.as_deref(),
            now: NOW.into(),
        };
        let known = Known {
            config: &config,
            keys: self.with_keys.then_some(&keys),
            view: self.view.as_ref(),
            kv_asked_at: Some(NOW.into()),
            patience: Patience::CanAsk,
            serial: SERIAL,
        };
        pass(asked, known, tokens)
            .map(|pass| pass.onward.encode())
            .map_err(|stop| stop.reason)
    }

    fn once(&self) -> Result<String, Reason> {
        self.run(&mut TokenCache::default())
    }
}

fn access(token: &str) -> Option<String> {
    Some(format!("theme=dark; __Host-Http-access={token}"))
}

fn both(token: &str) -> Option<String> {
    Some(format!("__Host-Http-access={token}; __Host-Http-refresh=r"))
}

#[test]
fn a_good_cookie_and_a_good_bearer_pass() {
    let (good, _) = token(|_| {});
    let by_cookie = Case {
        cookie: access(&good),
        ..Case::default()
    }
    .once()
    .unwrap();
    let (before, user) = by_cookie
        .split_once("\n\ncookie\ntheme=dark\nportcullis-user\n")
        .unwrap_or_else(|| panic!("{by_cookie}"));
    let assertion = before.strip_prefix("o pw\nhttp://origin.internal:3000/app/x\n");
    assert!(
        assertion.is_some_and(|jws| jws.split('.').count() == 3),
        "{by_cookie}"
    );
    assert!(user.contains("\nportcullis-session\n"), "{by_cookie}");
    let by_bearer = Case {
        authorization: Some(format!("Bearer {good}")),
        ..Case::default()
    }
    .once()
    .unwrap();
    assert!(
        by_bearer.contains("\nauthorization\nportcullis-user\n"),
        "{by_bearer}"
    );
}

#[test]
fn a_service_passes_by_its_bearer_and_no_refresh_token_helps_a_user_there() {
    let (service, _) = fixtures::service_token("a");
    let bearer = |token: &str, path| Case {
        path,
        authorization: Some(format!("Bearer {token}")),
        ..Case::default()
    };
    let onward = bearer(&service, "/jobs/x").once().unwrap();
    assert!(
        onward.contains("\nauthorization\nportcullis-client\n"),
        "{onward}"
    );
    assert!(onward.ends_with("\nportcullis-scope\na"), "{onward}");
    assert!(!onward.contains("portcullis-user"), "{onward}");
    let refused = |case: Case<'_>| case.once().unwrap_err();
    assert_eq!(
        refused(bearer(&service, "/app/x")),
        Refusal::NotAUser.into()
    );
    let (user, _) = token(|_| {});
    assert_eq!(
        refused(bearer(&user, "/jobs/x")),
        Refusal::NotAService.into()
    );
    let (old, _) = token(|claims| claims.exp = NOW);
    for (cookie, expected) in [
        (both(&old), Refusal::Token(Rejection::Expired)),
        (Some("__Host-Http-refresh=r".to_owned()), Refusal::Anonymous),
    ] {
        let case = Case {
            path: "/jobs/x",
            cookie,
            ..Case::default()
        };
        assert_eq!(refused(case), expected.into());
    }
}

#[test]
fn what_is_lacking_is_named() {
    let (good, _) = token(|_| {});
    let lacks = |case: Case<'_>| case.once().unwrap_err();
    assert_eq!(
        lacks(Case {
            cookie: access(&good),
            with_keys: false,
            ..Case::default()
        }),
        Reason::LacksKeys
    );
    assert_eq!(
        lacks(Case {
            cookie: access(&good),
            view: None,
            ..Case::default()
        }),
        Reason::LacksRevocations(Duration::from_secs(60))
    );
    let admin = Case {
        cookie: access(&good),
        path: "/admin/",
        view: Some(view(NOW.into(), 3, vec![])),
        ..Case::default()
    };
    assert_eq!(
        lacks(admin),
        Reason::LacksRevocations(Duration::from_secs(2))
    );
    assert_eq!(lacks(Case::default()), Refusal::Anonymous.into());
}

#[test]
fn a_refresh_token_mends_time_and_claims_and_no_end() {
    let (expired, _) = token(|claims| claims.exp = NOW);
    let (good, verified) = token(|_| {});
    let lasting = |entry| {
        vec![Revocation {
            entry,
            expires: NOW.plus(Duration::from_secs(900)),
        }]
    };
    let stale = view(
        NOW.into(),
        0,
        lasting(Entry::User {
            user: verified.claims().sub.fingerprint(),
            below: 9,
        }),
    );
    let ended = view(
        NOW.into(),
        0,
        lasting(Entry::Session(verified.claims().sid.fingerprint())),
    );
    let of = |case: Case<'_>| case.once().unwrap_err();
    let time_over = Refusal::Token(Rejection::Expired);
    assert_eq!(
        of(Case {
            cookie: both(&expired),
            ..Case::default()
        }),
        Reason::LacksRenewal(time_over.clone())
    );
    assert_eq!(
        of(Case {
            cookie: access(&expired),
            ..Case::default()
        }),
        time_over.clone().into()
    );
    assert_eq!(
        of(Case {
            cookie: both(&good),
            view: Some(stale),
            ..Case::default()
        }),
        Reason::LacksRenewal(Refusal::ClaimsStale)
    );
    assert_eq!(
        of(Case {
            cookie: both(&good),
            view: Some(ended),
            ..Case::default()
        }),
        Refusal::SessionEnded.into()
    );
    let only_refresh = Some("__Host-Http-refresh=r".to_owned());
    assert_eq!(
        of(Case {
            cookie: only_refresh,
            ..Case::default()
        }),
        Reason::LacksRenewal(Refusal::Anonymous)
    );
    // At most once.
    let again = Case {
        cookie: both(&expired),
        renewed: Some(expired.clone()),
        ..Case::default()
    };
    assert_eq!(of(again), Refusal::ClocksDiffer.into());
    let renewed = Case {
        cookie: both(&expired),
        renewed: Some(good),
        ..Case::default()
    }
    .once()
    .unwrap();
    assert!(renewed.contains("\ncookie\nportcullis-user\n"), "{renewed}");
}

#[test]
fn a_refresh_token_mends_a_token_that_does_not_hold() {
    let (good, _) = token(|_| {});
    let of = |case: Case<'_>| case.once().unwrap_err();
    // Under another key, or cut: the refresh token says who it is.
    for token in [format!("{good}x"), "cut".to_owned()] {
        let reason = of(Case {
            cookie: both(&token),
            ..Case::default()
        });
        let mended = matches!(reason, Reason::LacksRenewal(Refusal::Token(_)));
        assert!(mended, "{token}: {reason:?}");
        let alone = of(Case {
            cookie: access(&token),
            ..Case::default()
        });
        let refused = matches!(alone, Reason::Refused(Refusal::Token(_)));
        assert!(refused, "{token}: {alone:?}");
    }
    let (early, _) = token(|claims| claims.iat = NOW.plus(Duration::from_secs(60)));
    assert_eq!(
        of(Case {
            cookie: both(&early),
            ..Case::default()
        }),
        Refusal::Token(Rejection::NotYetValid).into(),
        "no renewal mends a clock"
    );
}

#[test]
fn the_cache_remembers_the_signature_and_nothing_else() {
    let (good, verified) = token(|_| {});
    let mut tokens = TokenCache::default();
    let case = |path, view| Case {
        cookie: access(&good),
        path,
        view,
        with_keys: false,
        ..Case::default()
    };
    let fresh = || Some(view(NOW.into(), 0, vec![]));
    assert_eq!(
        case("/app/x", fresh()).run(&mut tokens),
        Err(Reason::LacksKeys)
    );
    Case {
        cookie: access(&good),
        ..Case::default()
    }
    .run(&mut tokens)
    .unwrap();
    assert!(case("/app/x", fresh()).run(&mut tokens).is_ok());
    assert_eq!(
        case("/admin/x", fresh()).run(&mut tokens),
        Err(Refusal::Role("admin".into()).into())
    );
    assert_eq!(
        case("/app/x", None).run(&mut tokens),
        Err(Reason::LacksRevocations(Duration::from_secs(60)))
    );
    let entry = Entry::Session(verified.claims().sid.fingerprint());
    let ended = view(
        NOW.into(),
        0,
        vec![Revocation {
            entry,
            expires: NOW.plus(Duration::from_secs(9)),
        }],
    );
    assert_eq!(
        case("/app/x", Some(ended)).run(&mut tokens),
        Err(Refusal::SessionEnded.into())
    );
}

mod doors;
