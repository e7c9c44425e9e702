//! What the unit tests need: tokens, views and a configuration.

use std::time::Duration;

use shared::assertion::Serial;
use shared::claims::{Claims, ServiceClaims};
use shared::id::{ClientId, SessionId, TokenId, UserId};
use shared::key::{KeySet, SigningKey};
use shared::revocation::{OpenUpdate, Revocation, Update};
use shared::scope::Scopes;
use shared::secret::{RootSecret, Secret};
use shared::time::{UnixMillis, UnixTime};
use shared::token::{self, Expected, Verified};

use crate::config::Config;
use crate::view::{Source, Taken, View};

pub(crate) const SITE: &str = "https://site.test";
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
pub(crate) const SERIAL: Serial = Serial {
    maker: [5; 16],
    number: 1,
};

/// The settings of a small site.
pub(crate) fn setting(name: &str) -> Option<String> {
    let value = match name {
        "PUBLIC_URL" => SITE,
        "ISSUER_URL" => "http://issuer.internal:8081",
        "ORIGIN_URL" => "http://origin.internal:3000",
        "EDGE_SECRET" => "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p",
        "ORIGIN_SECRET" => "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J",
        "ROUTES" => {
            r#"[{"path":"/","access":"public"},{"path":"/app/*","access":"user"},
                {"path":"/api/*","access":"user","api":true},
                {"path":"/cors/*","access":"user","cors":true},
                {"path":"/shared/*","access":"user","cors":{"origins":["https://app.example"],"methods":["GET","PUT"]}},
                {"path":"/kept/*","access":"user","cache":"origin"},
                {"path":"/jobs/*","access":"service","scopes":["a"]},
                {"path":"/admin/*","access":"user","roles":["admin"],"freshness":"2s","when_stale":"refuse"}]"#
        }
        _ => return None,
    };
    Some(value.to_owned())
}

pub(crate) fn config() -> Config {
    Config::parse(setting).unwrap()
}

fn key() -> SigningKey {
    SigningKey::ed25519("k1".into(), &Secret::from_bytes([7; 32]))
}

pub(crate) fn keys() -> KeySet {
    KeySet::new(vec![key().verifying_key().clone()])
}

/// A good token of a `user`, a minute old, changed by `change` before it is signed.
pub(crate) fn token(change: impl FnOnce(&mut Claims)) -> (String, Verified<Claims>) {
    let text = token_of(SITE, change);
    let verified = token::verify(
        &text,
        &keys(),
        &Expected {
            issuer: SITE,
            audience: SITE,
        },
    )
    .unwrap();
    (text, verified)
}

/// The same of a service, with these scopes.
pub(crate) fn service_token(scopes: &str) -> (String, Verified<ServiceClaims>) {
    let client = ClientId::from_bytes([4; 16]);
    let claims = ServiceClaims {
        iss: SITE.into(),
        aud: SITE.into(),
        sub: client,
        client_id: client,
        jti: TokenId::from_bytes([5; 16]),
        iat: NOW.minus(Duration::from_secs(60)),
        exp: NOW.plus(Duration::from_secs(840)),
        ver: 1,
        scope: Scopes::parse(scopes).unwrap(),
    };
    let text = token::mint_service(&claims, &key()).unwrap();
    let expected = Expected {
        issuer: SITE,
        audience: SITE,
    };
    let verified = token::verify_service(&text, &keys(), &expected).unwrap();
    (text, verified)
}

/// The same of another `issuer`, under our key.
pub(crate) fn token_of(issuer: &str, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = Claims {
        iss: issuer.into(),
        aud: issuer.into(),
        sub: UserId::from_bytes([1; 16]),
        sid: SessionId::from_bytes([2; 16]),
        client_id: "browser".into(),
        jti: TokenId::from_bytes([3; 16]),
        iat: NOW.minus(Duration::from_secs(60)),
        exp: NOW.plus(Duration::from_secs(840)),
        auth_time: NOW.minus(Duration::from_secs(60)),
        ver: 1,
        roles: vec!["user".into()],
        act: None,
    };
    change(&mut claims);
    token::mint(&claims, &key()).unwrap()
}

/// A view that is `age` seconds old at `now`.
pub(crate) fn view(now: UnixMillis, age: i64, entries: Vec<Revocation>) -> View {
    let asked_at = UnixMillis::from_millis(now.millis() - age * 1000);
    let update = Update {
        number: 1,
        since: 0,
        made_at: asked_at,
        sent_at: asked_at,
        base: None,
        entries,
    };
    let secrets = [RootSecret::parse("mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p").unwrap()];
    let bytes = update.encode(&secrets[0]);
    let mut held = None;
    let open = OpenUpdate::open(&bytes, &secrets).unwrap();
    assert_eq!(
        View::take(&mut held, open, Source::Feed(asked_at), asked_at),
        Taken::Newer
    );
    held.unwrap()
}
