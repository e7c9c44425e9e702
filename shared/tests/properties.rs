//! Laws that hold for every input, shown on random ones.
#![cfg(not(target_arch = "wasm32"))]

use proptest::collection::vec;
use proptest::prelude::*;
use shared::claims::Claims;
use shared::cookie::{self, Others};
use shared::id::{Fingerprint, KeyId, SessionId, TokenId, UserId};
use shared::key::{KeySet, SigningKey};
use shared::refresh_token::RefreshToken;
use shared::revocation::{
    BaseName, Entry, OpenUpdate, Revocation, RevocationSet, Standing, Update,
};
use shared::seal::{SealKeys, SealPurpose};
use shared::secret::RootSecret;
use shared::time::{UnixMillis, UnixTime};
use shared::token::{self, Expected, Verified};

const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
const EXPECTED: Expected<'_> = Expected {
    issuer: "i",
    audience: "i",
};

fn secret() -> RootSecret {
    RootSecret::parse(SECRET).unwrap()
}

fn keys() -> KeySet {
    KeySet::new(vec![SigningKey::hs256(&secret()).verifying_key().clone()])
}

/// Ids, versions and times from so small a range that entries and tokens meet often.
fn verified_token() -> impl Strategy<Value = Verified<Claims>> {
    (0..4u8, 0..4u8, 0..4u8, 0..4i64, 0..4u32).prop_map(|(sub, sid, jti, iat, ver)| {
        let claims = Claims {
            iss: "i".into(),
            aud: "i".into(),
            sub: UserId::from_bytes([sub; 16]),
            client_id: "browser".into(),
            sid: SessionId::from_bytes([sid; 16]),
            jti: TokenId::from_bytes([jti; 16]),
            iat: UnixTime::from_secs(iat),
            exp: UnixTime::from_secs(900),
            auth_time: UnixTime::from_secs(0),
            ver,
            roles: vec![],
            act: None,
        };
        let token = token::mint(&claims, &SigningKey::hs256(&secret())).unwrap();
        token::verify(&token, &keys(), &EXPECTED).unwrap()
    })
}

/// What a revocation says of a token, read off the words of [`Entry`].
fn says(one: &Revocation, token: &Verified<Claims>) -> Standing {
    let claims = token.claims();
    let verdict = |is_named: bool, standing| if is_named { standing } else { Standing::Good };
    match one.entry {
        Entry::Session(id) => verdict(claims.sid.fingerprint() == id, Standing::Revoked),
        Entry::Key(id) => verdict(token.key().fingerprint() == id, Standing::KeyRevoked),
        Entry::Token(id) => verdict(claims.jti.fingerprint() == id, Standing::Revoked),
        Entry::User { user, below } => verdict(
            claims.sub.fingerprint() == user && claims.ver < below,
            Standing::Stale,
        ),
        Entry::Everyone { before } if claims.iat == before => Standing::Stale,
        Entry::Everyone { before } => verdict(claims.iat < before, Standing::Revoked),
    }
}

/// The worst that any of them says.
fn worst(revocations: &[Revocation], token: &Verified<Claims>) -> Standing {
    let all = revocations.iter().map(|one| says(one, token));
    all.max().unwrap_or(Standing::Good)
}

/// One of the ways in which a set changes.
#[derive(Clone, Debug)]
enum Change {
    Extend(Vec<Revocation>),
    /// So many seconds pass, and then this part is swept.
    Sweep(i64, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        vec(revocation(), 0..4).prop_map(Change::Extend),
        (0..300i64, 0..RevocationSet::PARTS)
            .prop_map(|(seconds, part)| Change::Sweep(seconds, part)),
    ]
}

/// The key that signs all tokens here, or another one.
fn key_id() -> impl Strategy<Value = KeyId> {
    let kid = SigningKey::hs256(&secret()).kid().to_owned();
    prop_oneof![Just(KeyId::of(&kid)), Just(KeyId::of("another"))]
}

fn revocation() -> impl Strategy<Value = Revocation> {
    let fingerprint = (0..4u8).prop_map(|byte| SessionId::from_bytes([byte; 16]).fingerprint());
    let entry = prop_oneof![
        fingerprint.clone().prop_map(Entry::Session),
        fingerprint.clone().prop_map(Entry::Token),
        key_id().prop_map(|id| Entry::Key(id.fingerprint())),
        (fingerprint, 0..5u32).prop_map(|(user, below)| Entry::User { user, below }),
        (0..5i64).prop_map(|secs| Entry::Everyone {
            before: UnixTime::from_secs(secs)
        }),
    ];
    (entry, 0..200i64).prop_map(|(entry, secs)| Revocation {
        entry,
        expires: UnixTime::from_secs(secs),
    })
}

/// What is left of a `Cookie` header.
fn left_of(header: &str) -> Option<String> {
    match cookie::read(header).others() {
        Others::Whole => Some(header.to_owned()),
        Others::Some(others) => Some(others.clone()),
        Others::None => None,
    }
}

proptest! {
    #[test]
    fn adding_a_revocation_never_admits(
        token in verified_token(), before in vec(revocation(), 0..6), more in vec(revocation(), 0..3),
    ) {
        let fewer = RevocationSet::from_entries(before.clone());
        let all = RevocationSet::from_entries(before.into_iter().chain(more));
        prop_assert!(all.standing(&token) >= fewer.standing(&token));
    }

    #[test]
    fn standing_is_the_worst_that_any_single_revocation_says(
        token in verified_token(), revocations in vec(revocation(), 0..8),
    ) {
        let worst = revocations
            .iter()
            .map(|one| RevocationSet::from_entries([*one]).standing(&token))
            .max()
            .unwrap_or(Standing::Good);
        prop_assert_eq!(RevocationSet::from_entries(revocations).standing(&token), worst);
    }

    #[test]
    fn order_and_repetition_do_not_matter(
        mut revocations in vec(revocation(), 0..8), cut in 0..8usize,
    ) {
        let at_once = RevocationSet::from_entries(revocations.clone());
        let (first, second) = revocations.split_at(cut.min(revocations.len()));
        let mut in_turn = RevocationSet::from_entries(second.to_vec());
        in_turn.extend(first.to_vec());
        in_turn.extend(second.to_vec());
        prop_assert_eq!(&in_turn, &at_once);
        revocations.reverse();
        prop_assert_eq!(&RevocationSet::from_entries(revocations), &at_once);
    }

    /// A revocation lives at least as long as every token it names (`issuer/session/end`), so while a token is valid it
    /// stands as if nothing were ever forgotten, however updates and sweeps follow each other.
    #[test]
    fn no_valid_token_is_resurrected_by_updates_and_sweeps(
        token in verified_token(), changes in vec(change(), 0..40),
    ) {
        let (mut set, mut told, mut now) = (RevocationSet::default(), vec![], 0);
        let mut before = Standing::Good;
        for change in changes {
            match change {
                Change::Extend(revocations) => {
                    let outlive_the_token = |mut one: Revocation| {
                        one.expires = UnixTime::from_secs(900 + one.expires.secs());
                        one
                    };
                    let revocations: Vec<Revocation> = revocations.into_iter().map(outlive_the_token).collect();
                    told.extend(revocations.clone());
                    set.extend(revocations);
                }
                Change::Sweep(seconds, part) => {
                    now = (now + seconds).min(token.claims().exp.secs() - 1);
                    set.drop_expired(UnixTime::from_secs(now), part);
                }
            }
            let after = set.standing(&token);
            prop_assert_eq!(after, worst(&told, &token));
            prop_assert!(after >= before);
            before = after;
        }
    }

    /// A token is judged by what it says, and not by what became of another one of its session or user: its successor with
    /// a higher `ver`, another `jti`, a later `iat` stands by itself, whoever was asked for before.
    #[test]
    fn a_newer_token_is_judged_by_itself(
        token in verified_token(), revocations in vec(revocation(), 0..8), later in 0..3i64, higher in 0..3u32, jti in 0..4u8,
    ) {
        let mut claims = token.claims().clone();
        claims.jti = TokenId::from_bytes([jti; 16]);
        claims.iat = UnixTime::from_secs(claims.iat.secs() + later);
        claims.ver += higher;
        let newer = token::mint(&claims, &SigningKey::hs256(&secret())).unwrap();
        let newer = token::verify(&newer, &keys(), &EXPECTED).unwrap();
        let set = RevocationSet::from_entries(revocations.clone());
        for asked in [&token, &newer, &token] {
            prop_assert_eq!(set.standing(asked), worst(&revocations, asked));
        }
    }

    /// But for keys that were withdrawn, which are never forgotten.
    #[test]
    fn what_has_expired_is_gone_after_a_whole_sweep(revocations in vec(revocation(), 0..20), now in 0..300i64) {
        let mut swept = RevocationSet::from_entries(revocations.clone());
        (0..RevocationSet::PARTS).for_each(|part| swept.drop_expired(UnixTime::from_secs(now), part));
        let kept = |one: &Revocation| {
            matches!(one.entry, Entry::Key(_)) || (one.expires.secs() + 59) / 60 * 60 > now
        };
        let alive = RevocationSet::from_entries(revocations.into_iter().filter(kept));
        prop_assert!(swept.len() <= alive.len());
    }

    /// Only a newer token has a better standing: one of another session, with a higher `ver`, issued later.
    #[test]
    fn the_same_token_never_stands_better_after_more_updates(
        token in verified_token(), updates in vec(vec(revocation(), 0..3), 0..5),
    ) {
        let mut set = RevocationSet::default();
        let mut before = set.standing(&token);
        for update in updates {
            set.extend(update);
            let after = set.standing(&token);
            prop_assert!(after >= before);
            before = after;
        }
    }

    #[test]
    fn an_update_survives_its_encoding(
        number: u64, since: u64, millis: i64, base: Option<u64>, entries in vec(revocation(), 0..20),
    ) {
        let update = Update {
            number,
            since,
            made_at: UnixMillis::from_millis(millis),
            sent_at: UnixMillis::from_millis(millis),
            base: base.map(BaseName::from_random),
            entries,
        };
        let (bytes, secrets) = (update.encode(&secret()), [secret()]);
        let open = OpenUpdate::open(&bytes, &secrets).unwrap();
        let entries = open.entries.clone().collect();
        prop_assert_eq!(open.to_update(), Update { entries, ..update.clone() });
        let minutes = |mut one: Revocation| {
            one.expires = UnixTime::from_secs((one.expires.secs() + 59) / 60 * 60);
            one
        };
        let rounded = RevocationSet::from_entries(update.entries.into_iter().map(minutes));
        prop_assert_eq!(RevocationSet::from_entries(open.entries), rounded);
    }

    #[test]
    fn foreign_bytes_never_open_and_never_panic(bytes in vec(any::<u8>(), 0..200), text in ".{0,200}") {
        prop_assert!(OpenUpdate::open(&bytes, &[secret()]).is_err());
        prop_assert!(KeySet::open(&bytes, &[secret()]).is_err());
        let seals = SealKeys::parse(SECRET).unwrap();
        prop_assert!(seals.open(SealPurpose::RefreshToken, "i", &bytes).is_err());
        prop_assert!(RefreshToken::open(&text, &seals, "i").is_err());
        prop_assert!(token::verify(&text, &keys(), &EXPECTED).is_err());
    }

    #[test]
    fn no_session_cookie_is_left_behind(header in "([ab_=;, ]|__Host-Http-access=|__Host-Http-refresh|__HOST-HTTP-ACCESS=x){0,12}") {
        let left = left_of(&header).unwrap_or_default();
        for part in left.split([';', ',']) {
            let name = part.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
            prop_assert!(name != "__host-http-access" && name != "__host-http-refresh", "{left:?}");
        }
    }

    #[test]
    fn reading_a_header_finds_what_looking_for_each_finds(header in "([ab_=;, ]|__Host-Http-access=|__Host-Http-refresh=r|__Host-Http-refresh|__HOST-HTTP-ACCESS=x){0,12}") {
        let read = cookie::read(&header);
        prop_assert_eq!(read.access(), cookie::find(&header, cookie::ACCESS));
        prop_assert_eq!(read.refresh(), cookie::find(&header, cookie::REFRESH));
    }

    #[test]
    fn headers_without_a_session_cookie_stay_as_they_are(header in "([a-z]{1,3}=[ -:<-~]{0,5}(; )?){0,5}") {
        let read = cookie::read(&header);
        prop_assert_eq!(read.others(), &Others::Whole);
    }

    #[test]
    fn cutting_out_session_cookies_leaves_the_others(
        names in vec("[a-z]{1,5}", 0..5), at in 0usize..5, spelled in "(__Host-Http-access|__host-http-REFRESH)",
    ) {
        let others: Vec<String> = names.iter().map(|name| format!("{name}=v")).collect();
        let mut all = others.clone();
        all.insert(at.min(all.len()), format!("{spelled}=secret"));
        let left = left_of(&all.join("; "));
        prop_assert_eq!(left, (!others.is_empty()).then(|| others.join("; ")));
    }

    #[test]
    fn fingerprints_are_the_first_64_bits(bytes: [u8; 16]) {
        let id = TokenId::from_bytes(bytes);
        prop_assert_eq!(id.fingerprint(), Fingerprint(u64::from_be_bytes(bytes[..8].try_into().unwrap())));
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }
}
