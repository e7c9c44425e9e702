//! A small site: its rules, its keys, what it knows of ended sessions, and tokens of every kind.

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use edge::config::Config;
use edge::view::{Source, View};
use shared::claims::Claims;
use shared::id::{SessionId, TokenId, UserId};
use shared::key::{KeySet, SigningKey};
use shared::revocation::{Entry, OpenUpdate, Revocation, Update};
use shared::secret::RootSecret;
use shared::time::{UnixMillis, UnixTime};
use shared::token;
use shared::wire::BROWSER_CLIENT;

pub const SITE: &str = "https://site.test";
/// When the view is as good as new.
pub const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
const OTHER_SECRET: &str = "pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J";
const ROUTES: &str = r#"[{"path":"/open/*","access":"public"},
    {"path":"/app/*","access":"user"},
    {"path":"/cors/*","access":"user","cors":true,"cache":"origin"},
    {"path":"/served/*","access":"user","when_stale":"serve"},
    {"path":"/recent/*","access":"user","max_auth_age":"5m"},
    {"path":"/admin/*","access":"user","roles":["admin"],"freshness":"2s"}]"#;

/// A path under each rule, and under none.
pub const PLACES: [&str; 10] = [
    "/app/", "/admin/", "/cors/", "/served/", "/recent/", "/open/", "/", "/auth/", "/edge/",
    "/APP/",
];

pub static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let setting = |name: &str| {
        let value = match name {
            "PUBLIC_URL" => SITE,
            "ISSUER_URL" => "http://issuer.internal:8081",
            "ORIGIN_URL" => "http://origin.internal:3000",
            "EDGE_SECRET" => SECRET,
            "ORIGIN_SECRET" => OTHER_SECRET,
            "ROUTES" => ROUTES,
            _ => return None,
        };
        Some(value.to_owned())
    };
    Config::parse(setting).unwrap()
});

pub static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::new(vec![key(SECRET).verifying_key().clone()]));

/// Knows at [`NOW`] that the session of [`Token::Ended`] is over.
pub static VIEW: LazyLock<View> = LazyLock::new(|| {
    let now = UnixMillis::from(NOW);
    let ended = Revocation {
        entry: Entry::Session(session(Token::Ended).fingerprint()),
        expires: NOW.plus(Duration::from_secs(3600)),
    };
    let update = Update {
        number: 1,
        since: 0,
        made_at: now,
        sent_at: now,
        base: None,
        entries: vec![ended],
    };
    let secrets = [RootSecret::parse(SECRET).unwrap()];
    let bytes = update.encode(&secrets[0]);
    let mut held = None;
    View::take(
        &mut held,
        OpenUpdate::open(&bytes, &secrets).unwrap(),
        Source::Feed(now),
        now,
    );
    held.unwrap()
});

/// An access token. All were made a minute before [`NOW`], and last for a quarter of an hour.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    User,
    Admin,
    /// Its session is over.
    Ended,
    /// For another site, signed with our key.
    OtherSite,
    /// Signed with a key of which nothing is known.
    OtherKey,
    /// [`Token::Admin`] with the signature of [`Token::User`].
    Forged,
}

/// Each with its session at the same place.
pub const TOKENS: [Token; 6] = [
    Token::User,
    Token::Admin,
    Token::Ended,
    Token::OtherSite,
    Token::OtherKey,
    Token::Forged,
];

static TEXTS: LazyLock<[String; 6]> = LazyLock::new(|| TOKENS.map(written));

impl Token {
    pub fn text(self) -> &'static str {
        &TEXTS[self as usize]
    }

    /// Whether it opens anything.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::User | Self::Admin)
    }

    /// The token of this session.
    pub fn of(sid: SessionId) -> Option<Self> {
        TOKENS.into_iter().find(|token| session(*token) == sid)
    }
}

fn session(token: Token) -> SessionId {
    SessionId::from_bytes([token as u8 + 1; 16])
}

fn key(secret: &str) -> SigningKey {
    SigningKey::hs256(&RootSecret::parse(secret).unwrap())
}

fn written(kind: Token) -> String {
    let secret = if kind == Token::OtherKey {
        OTHER_SECRET
    } else {
        SECRET
    };
    let minted = |kind| token::mint(&claims(kind), &key(secret)).unwrap();
    if kind != Token::Forged {
        return minted(kind);
    }
    let (wanted, had) = (minted(Token::Admin), minted(Token::User));
    let (said, signature) = (
        wanted.rsplit_once('.').unwrap().0,
        had.rsplit_once('.').unwrap().1,
    );
    format!("{said}.{signature}")
}

fn claims(kind: Token) -> Claims {
    let site = if kind == Token::OtherSite {
        "https://other.test"
    } else {
        SITE
    };
    let role = if kind == Token::Admin {
        "admin"
    } else {
        "user"
    };
    let made = NOW.minus(Duration::from_secs(60));
    Claims {
        iss: site.into(),
        aud: site.into(),
        sub: UserId::from_bytes([kind as u8 + 1; 16]),
        sid: session(kind),
        client_id: BROWSER_CLIENT.into(),
        jti: TokenId::from_bytes([kind as u8 + 1; 16]),
        iat: made,
        exp: made.plus(Duration::from_secs(900)),
        auth_time: made,
        ver: 1,
        roles: vec![role.into()],
        act: None,
    }
}
