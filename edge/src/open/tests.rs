use shared::claims::Claims;
use shared::key::SigningKey;
use shared::rejection::Code;
use shared::revocation::{Entry, Revocation};
use shared::secret::Secret;
use shared::wire::SessionStanding;

use super::*;
use crate::config::Config;
use crate::fixtures::{self, NOW, SERIAL, SITE, keys, token, view};
use crate::reply;
use crate::view::View;

const LENIENT: &str = r#"[{"path":"/app/*","access":"user"},
    {"path":"/strict/*","access":"user","freshness":"2s"},
    {"path":"/serve/*","access":"user","freshness":"2s","when_stale":"serve"},
    {"path":"/jobs/*","access":"service","freshness":"2s","when_stale":"serve"}]"#;

/// An isolate with an open connection.
struct Case {
    config: Config,
    tokens: TokenCache,
    sessions: Sessions,
    token: String,
    claims: Claims,
    with_keys: bool,
    view: Option<View>,
    kv_asked_at: Option<UnixMillis>,
    tried: Tried,
}

impl Default for Case {
    fn default() -> Self {
        let setting = |name: &str| match name {
            "ROUTES" => Some(LENIENT.to_owned()),
            name => fixtures::setting(name),
        };
        let (text, verified) = token(|_| {});
        Self {
            config: Config::parse(setting).unwrap(),
            tokens: TokenCache::default(),
            sessions: Sessions::default(),
            token: text,
            claims: verified.claims().clone(),
            with_keys: true,
            view: Some(view(NOW.into(), 0, vec![])),
            kv_asked_at: Some(NOW.into()),
            tried: Tried::default(),
        }
    }
}

impl Case {
    fn look(&mut self, path: &str, now: UnixMillis) -> Look {
        let (keys, url) = (keys(), format!("{SITE}{path}"));
        let known = Known {
            config: &self.config,
            keys: self.with_keys.then_some(&keys),
            view: self.view.as_ref(),
            kv_asked_at: self.kv_asked_at,
            patience: Patience::CanAsk,
            serial: SERIAL,
        };
        let open = Open {
            method: "GET",
            url: &url,
            token: &self.token,
        };
        let (tokens, sessions) = (&mut self.tokens, &mut self.sessions);
        look(open, known, self.tried, tokens, sessions, now)
    }

    /// Knows these of `NOW`.
    fn knowing(entry: Entry) -> Self {
        let expires = NOW.plus(Duration::from_secs(3600));
        Self {
            view: Some(view(NOW.into(), 0, vec![Revocation { entry, expires }])),
            ..Self::default()
        }
    }

    /// The issuer, asked at `now`, says that the session stands for a quarter of an hour.
    fn issuer_says_it_stands(&mut self, now: UnixMillis, ver: u32) {
        let asked = self.sessions.begin_asking(now);
        assert_eq!(asked, [self.claims.sid]);
        let standing = SessionStanding {
            sid: self.claims.sid,
            ver,
            for_ms: 900_000,
        };
        self.sessions.answered(&asked, &[standing], now);
    }
}

fn after(seconds: f64) -> UnixMillis {
    UnixMillis::from(NOW).plus(Duration::from_secs_f64(seconds))
}

/// How it is closed.
fn closed(look: &Look) -> Option<(u16, Code)> {
    look.stays.as_ref().err().map(reply::close)
}

#[test]
fn what_is_known_ends_it_with_its_code() {
    let claims = Case::default().claims;
    let below = Entry::User {
        user: claims.sub.fingerprint(),
        below: 2,
    };
    let everyone = Entry::Everyone {
        before: claims.iat.plus(Duration::from_secs(1)),
    };
    for (entry, code) in [
        (Entry::Session(claims.sid.fingerprint()), Code::SessionEnded),
        (Entry::Token(claims.jti.fingerprint()), Code::SessionEnded),
        (everyone, Code::SessionEnded),
        (below, Code::ClaimsStale),
    ] {
        let look = Case::knowing(entry).look("/app/x", NOW.into());
        assert_eq!(closed(&look), Some((4401, code)), "{entry:?}");
        // That its token has expired does not hide it.
        let look = Case::knowing(entry).look("/serve/x", after(3_000.0));
        assert_eq!(closed(&look), Some((4401, code)), "{entry:?}");
    }
    let look = Case::default().look("/app/x", NOW.into());
    assert_eq!(look.stays, Ok(Passed::Fresh));
}

/// There is no session for the issuer to speak of, so nobody is asked and nothing outlives the token.
#[test]
fn a_services_connection_ends_with_its_token() {
    let (text, verified) = fixtures::service_token("");
    let jti = verified.claims().jti.fingerprint();
    let mut case = Case {
        token: text.clone(),
        ..Case::default()
    };
    let look = case.look("/jobs/x", NOW.into());
    assert_eq!((look.stays, look.ask), (Ok(Passed::Fresh), false));
    let look = case.look("/jobs/x", after(839.0));
    assert!(look.stays.is_ok() && !look.ask, "{look:?}");
    assert!(look.wait <= Duration::from_secs(1), "{look:?}");
    let look = case.look("/jobs/x", after(840.0));
    assert_eq!(closed(&look), Some((4401, Code::TokenExpired)));
    let mut case = Case {
        token: text,
        ..Case::knowing(Entry::Token(jti))
    };
    let look = case.look("/jobs/x", NOW.into());
    assert_eq!(closed(&look), Some((4401, Code::TokenInvalid)));
}

#[test]
fn what_is_known_is_renewed_before_its_bound_and_looked_at_again() {
    let mut case = Case::default();
    let look = case.look("/strict/x", NOW.into());
    assert_eq!(
        (look.renew, look.wait),
        (Renew::Nothing, Duration::from_secs(1))
    );
    let look = case.look("/strict/x", after(1.001));
    assert_eq!((look.renew, look.wait), (Renew::Issuer, GLANCE));
    case.tried.renewing = true;
    case.kv_asked_at = None;
    let look = case.look("/strict/x", after(1.002));
    assert_eq!((look.renew, look.wait), (Renew::Nothing, GLANCE));

    let mut case = Case::default();
    let look = case.look("/app/x", NOW.into());
    assert_eq!(
        (look.renew, look.wait),
        (Renew::Nothing, Duration::from_secs(30))
    );
    assert_eq!(case.look("/app/x", after(30.0)).renew, Renew::Kv);
    case.kv_asked_at = Some(after(50.0));
    let look = case.look("/app/x", after(52.0));
    assert_eq!(
        (look.renew, look.wait),
        (Renew::Nothing, Duration::from_secs(3))
    );
    assert_eq!(case.look("/app/x", after(55.1)).renew, Renew::Issuer);
}

#[test]
fn past_the_bound_the_rule_decides_once_it_was_tried_in_time() {
    for (path, stays) in [
        ("/strict/x", Err(Refusal::RevocationsStale)),
        ("/serve/x", Ok(Passed::Stale)),
    ] {
        let mut case = Case::default();
        case.tried.feed_asked_at = Some(after(1.1));
        assert_eq!(case.look(path, after(1.9)).stays, Ok(Passed::Fresh));
        assert_eq!(case.look(path, after(2.1)).stays, stays, "{path}");
        // An answer may still come, but not for long.
        case.tried.renewing = true;
        case.tried.feed_asked_at = Some(after(1.5));
        assert_eq!(case.look(path, after(2.1)).stays, Ok(Passed::Fresh));
        assert_eq!(case.look(path, after(2.5)).stays, stays, "{path}");
    }
}

#[test]
fn a_clock_that_jumped_is_no_reason_to_end_it_before_anybody_was_asked() {
    let mut case = Case::default();
    case.tried.feed_asked_at = Some(NOW.into());
    let look = case.look("/strict/x", after(1_000.0));
    assert_eq!((look.stays, look.renew), (Ok(Passed::Fresh), Renew::Kv));
    assert_eq!(look.wait, GLANCE);
}

#[test]
fn it_outlives_its_token_while_the_issuer_says_that_its_session_stands() {
    // The token has 840 s left.
    let mut case = Case::default();
    let look_at = |case: &mut Case, seconds: f64| {
        case.view = Some(view(after(seconds), 0, vec![]));
        case.kv_asked_at = Some(after(seconds));
        case.look("/app/x", after(seconds))
    };
    assert!(!look_at(&mut case, 800.0).ask);
    assert!(look_at(&mut case, 815.0).ask, "shortly before the end");
    case.issuer_says_it_stands(after(815.0), 1);
    let look = look_at(&mut case, 1_000.0);
    assert_eq!((look.stays, look.ask), (Ok(Passed::Fresh), false));
    assert!(look_at(&mut case, 815.0 + 880.0).ask);
    case.issuer_says_it_stands(after(815.0 + 880.0), 2);
    let look = look_at(&mut case, 815.0 + 881.0);
    assert_eq!(closed(&look), Some((4401, Code::ClaimsStale)));
}

#[test]
fn no_answer_about_the_session_follows_when_stale() {
    for (path, expected) in [
        ("/strict/x", Some((4401, Code::TokenExpired))),
        ("/serve/x", None),
    ] {
        let mut case = Case::default();
        let fresh = |seconds: f64| Some(view(after(seconds), 0, vec![]));
        case.view = fresh(839.0);
        assert!(case.look(path, after(839.0)).ask);
        case.sessions.begin_asking(after(839.0));
        case.view = fresh(841.0);
        let look = case.look(path, after(841.0));
        assert_eq!(closed(&look), expected, "{path}");
        assert!(expected.is_some() || look.stays == Ok(Passed::Stale));
    }
}

#[test]
fn after_a_panic_everything_is_fetched_and_then_the_rule_decides() {
    let mut case = Case {
        with_keys: false,
        view: None,
        kv_asked_at: None,
        ..Case::default()
    };
    let look = case.look("/strict/x", NOW.into());
    assert_eq!((look.stays, look.renew), (Ok(Passed::Fresh), Renew::All));
    case.tried.keys_asked_at = Some(NOW.into());
    case.tried.renewing = true;
    assert!(case.look("/strict/x", after(0.5)).stays.is_ok());
    let look = case.look("/strict/x", after(1.5));
    assert_eq!(closed(&look), Some((4503, Code::RevocationsStale)));
    assert_eq!(case.look("/serve/x", after(1.5)).stays, Ok(Passed::Stale));

    // Keys that are configured need not be fetched; revocations must be, from whoever has them.
    let mut case = Case {
        view: None,
        kv_asked_at: None,
        ..Case::default()
    };
    assert_eq!(case.look("/strict/x", NOW.into()).renew, Renew::All);
    case.kv_asked_at = Some(NOW.into());
    assert_eq!(case.look("/strict/x", after(0.3)).renew, Renew::Issuer);
    assert_eq!(case.look("/app/x", after(11.0)).renew, Renew::Kv);
}

#[test]
fn a_token_whose_key_is_gone_keeps_nothing_open() {
    let mut case = Case::default();
    let gone = SigningKey::ed25519("gone".into(), &Secret::from_bytes([8; 32]));
    case.token = shared::token::mint(&case.claims, &gone).unwrap();
    let look = case.look("/app/x", NOW.into());
    assert_eq!(closed(&look), Some((4401, Code::TokenInvalid)));
}
