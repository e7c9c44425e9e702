use std::time::Duration;

use proptest::prelude::*;
use shared::rejection::Rejection;
use shared::revocation::{Entry, Revocation};
use shared::scope::Scopes;
use shared::time::UnixTime;

use super::*;
use crate::fixtures::{self, NOW, view};
use crate::rule::Access;

fn now() -> UnixMillis {
    NOW.into()
}

fn rule() -> Rule {
    Rule {
        freshness: Duration::from_secs(60),
        ..Rule::fallback()
    }
}

fn ended(entry: Entry) -> Vec<Revocation> {
    vec![Revocation {
        entry,
        expires: NOW.plus(Duration::from_secs(900)),
    }]
}

#[test]
fn the_table() {
    use Patience::{CanAsk, MustDecide};
    let (_, good) = fixtures::token(|_| {});
    let (_, expired) = fixtures::token(|claims| claims.exp = NOW);
    let (_, early) = fixtures::token(|claims| claims.iat = NOW.plus(Duration::from_secs(60)));
    let fresh = view(now(), 0, vec![]);
    let old = view(now(), 61, vec![]);
    let session = ended(Entry::Session(good.claims().sid.fingerprint()));
    let user = ended(Entry::User {
        user: good.claims().sub.fingerprint(),
        below: good.claims().ver + 1,
    });
    let serve = Rule {
        when_stale: WhenStale::Serve,
        ..rule()
    };
    let admin = Rule {
        roles: vec!["admin".into(), "root".into()],
        ..rule()
    };
    let any = Rule {
        roles: vec!["admin".into(), "user".into()],
        ..rule()
    };
    let recent = Rule {
        max_auth_age: Some(Duration::from_secs(30)),
        ..rule()
    };
    let no = |refusal: Refusal| Err(Hold::Refused(refusal));
    let ask = || Err(Hold::NeedsRevocations);
    for (line, (rule, token, view, patience, expected)) in [
        (&rule(), &good, Some(&fresh), CanAsk, Ok(Passed::Fresh)),
        (
            &rule(),
            &expired,
            Some(&fresh),
            CanAsk,
            no(Refusal::Token(Rejection::Expired)),
        ),
        (
            &rule(),
            &early,
            Some(&fresh),
            CanAsk,
            no(Refusal::Token(Rejection::NotYetValid)),
        ),
        (
            &rule(),
            &good,
            Some(&view_of(&session, 0)),
            CanAsk,
            no(Refusal::SessionEnded),
        ),
        (
            &rule(),
            &good,
            Some(&view_of(&session, 999)),
            CanAsk,
            no(Refusal::SessionEnded),
        ),
        (
            &serve,
            &good,
            Some(&view_of(&session, 999)),
            MustDecide,
            no(Refusal::SessionEnded),
        ),
        (
            &rule(),
            &good,
            Some(&view_of(&user, 0)),
            CanAsk,
            no(Refusal::ClaimsStale),
        ),
        (&rule(), &good, Some(&old), CanAsk, ask()),
        (&rule(), &good, None, CanAsk, ask()),
        (&serve, &good, Some(&old), CanAsk, ask()),
        (
            &rule(),
            &good,
            Some(&old),
            MustDecide,
            no(Refusal::RevocationsStale),
        ),
        (
            &rule(),
            &good,
            None,
            MustDecide,
            no(Refusal::RevocationsStale),
        ),
        (&serve, &good, Some(&old), MustDecide, Ok(Passed::Stale)),
        (&serve, &good, None, MustDecide, Ok(Passed::Stale)),
        (
            &admin,
            &good,
            Some(&fresh),
            CanAsk,
            no(Refusal::Role("admin, root".into())),
        ),
        (&admin, &good, Some(&old), CanAsk, ask()),
        (&any, &good, Some(&fresh), CanAsk, Ok(Passed::Fresh)),
        (
            &recent,
            &good,
            Some(&fresh),
            CanAsk,
            no(Refusal::SignInTooOld(Duration::from_secs(30))),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            decide(rule, &token.clone().into(), view, now(), patience),
            expected,
            "line {line}"
        );
    }
}

#[test]
fn a_service_needs_a_rule_for_services_and_all_of_its_scopes() {
    let (_, service) = fixtures::service_token("a b");
    let (_, user) = fixtures::token(|claims| claims.roles = vec!["a".into(), "b".into()]);
    let claims = service.claims();
    let (client, jti) = (claims.client_id.fingerprint(), claims.jti.fingerprint());
    let (service, user) = (Holder::from(service.clone()), Holder::from(user));
    let rule_for = |scopes: &str| Rule {
        access: Access::Service,
        scopes: Scopes::parse(scopes).unwrap(),
        ..rule()
    };
    let fresh = view(now(), 0, vec![]);
    let decided = |rule: &Rule, holder: &Holder, view: &View| {
        decide(rule, holder, Some(view), now(), Patience::CanAsk)
    };
    let no = |refusal: Refusal| Err(Hold::Refused(refusal));
    for scopes in ["", "a", "a b"] {
        assert_eq!(
            decided(&rule_for(scopes), &service, &fresh),
            Ok(Passed::Fresh)
        );
        assert_eq!(
            decided(&rule_for(scopes), &user, &fresh),
            no(Refusal::NotAService)
        );
    }
    assert_eq!(
        decided(&rule_for("c a"), &service, &fresh),
        no(Refusal::Scope("a c".into()))
    );
    assert_eq!(decided(&rule(), &service, &fresh), no(Refusal::NotAUser));
    let below = |below| Entry::User {
        user: client,
        below,
    };
    for (entry, expected) in [
        (Entry::Token(jti), no(Refusal::TokenRevoked)),
        (below(2), no(Refusal::TokenRevoked)),
        (below(1), Ok(Passed::Fresh)),
    ] {
        let view = view_of(&ended(entry), 0);
        assert_eq!(
            decided(&rule_for("a"), &service, &view),
            expected,
            "{entry:?}"
        );
    }
    let old = view(now(), 61, vec![]);
    assert_eq!(
        decided(&rule_for("a"), &service, &old),
        Err(Hold::NeedsRevocations)
    );
    let late = now().plus(Duration::from_secs(900));
    assert_eq!(
        decide(
            &rule_for("a"),
            &service,
            Some(&fresh),
            late,
            Patience::CanAsk
        ),
        no(Refusal::Token(Rejection::Expired))
    );
}

fn view_of(entries: &[Revocation], age: i64) -> View {
    view(now(), age, entries.to_vec())
}

proptest! {
    /// Law: more revocations, an older view, or a later time never turn a "no" into a "yes".
    #[test]
    fn nothing_that_gets_worse_opens_a_route(age in 0..200_i64, older in 0..200_i64, revoked: bool, later in 0..2_000_i64, serve: bool) {
        let (_, token) = fixtures::token(|_| {});
        let rule = Rule {
            access: Access::User,
            when_stale: if serve { WhenStale::Serve } else { WhenStale::Refuse },
            ..rule()
        };
        let entries = if revoked { ended(Entry::Token(token.claims().jti.fingerprint())) } else { vec![] };
        let holder = Holder::from(token.clone());
        let first = decide(&rule, &holder, Some(&view(now(), age, vec![])), now(), Patience::MustDecide);
        let moved = UnixMillis::from(UnixTime::from_secs(NOW.secs() + later));
        let worse = decide(&rule, &holder, Some(&view(now(), age + older, entries)), moved, Patience::MustDecide);
        prop_assert!(first.is_ok() || worse.is_err());
        prop_assert!(!(revoked && worse.is_ok()));
    }
}
