//! Attempt → answer: the table of sign-ins that are refused.

use harness::idp::hostile::{CLIENT_ID, SignIn, Signature};
use serde_json::{Value, json};

/// What is tried, and what comes of it.
pub(super) struct Attempt {
    pub(super) what: &'static str,
    pub(super) plan: SignIn,
    pub(super) status: u16,
    pub(super) code: &'static str,
}

type Refusal = (u16, &'static str);

/// What came through the browser does not fit: the page says to start again.
const NOT_THEIRS: Refusal = (400, "invalid_request");
/// The provider's answer is not to be believed.
const UNVERIFIED: Refusal = (401, "unauthenticated");
/// The person, or the provider, said no.
const DENIED: Refusal = (403, "forbidden");
/// The provider stumbles.
const UNAVAILABLE: Refusal = (503, "internal");

/// All of them, at the time `now` in seconds.
pub(super) fn attempts(now: i64) -> Vec<Attempt> {
    let of_parties = parties().map(with_claims);
    let of_times = times(now).map(with_claims);
    let of_subjects = subjects().map(with_claims);
    let of_signatures = signatures().map(|(what, signature)| {
        let plan = SignIn::default().signed(signature);
        attempt(what, plan, UNVERIFIED)
    });
    let of_callbacks = callbacks().map(|(what, parameters, refusal)| {
        let plan = SignIn::default().callback(parameters);
        attempt(what, plan, refusal)
    });
    let of_endpoints = answers().into_iter().chain(userinfos());
    of_parties
        .into_iter()
        .chain(of_times)
        .chain(of_subjects)
        .chain(of_signatures)
        .chain(of_callbacks)
        .chain(of_endpoints)
        .collect()
}

fn attempt(what: &'static str, plan: SignIn, (status, code): Refusal) -> Attempt {
    Attempt {
        what,
        plan,
        status,
        code,
    }
}

fn with_claims((what, claims): (&'static str, Value)) -> Attempt {
    attempt(what, SignIn::default().claims(claims), UNVERIFIED)
}

/// Who made the ID token, for whom, for which sign-in.
fn parties() -> [(&'static str, Value); 12] {
    let both = json!([CLIENT_ID, "somebody-else"]);
    [
        ("another nonce", json!({"nonce": "AAAAAAAAAAAAAAAAAAAAAA"})),
        ("no nonce", json!({"nonce": null})),
        ("another iss", json!({"iss": "https://accounts.google.com"})),
        ("no iss", json!({"iss": null})),
        ("another aud", json!({"aud": "somebody-else"})),
        ("no aud", json!({"aud": null})),
        ("an empty aud", json!({"aud": []})),
        (
            "a list of other aud",
            json!({"aud": ["somebody-else", "and-another"]}),
        ),
        ("several aud without azp", json!({"aud": both})),
        (
            "several aud, azp of another",
            json!({"aud": both, "azp": "somebody-else"}),
        ),
        ("azp of another", json!({"azp": "somebody-else"})),
        ("azp that is no text", json!({"azp": [CLIENT_ID]})),
    ]
}

fn times(now: i64) -> [(&'static str, Value); 8] {
    [
        ("expired", json!({"exp": now - 120})),
        ("no exp", json!({"exp": null})),
        ("exp as text", json!({"exp": (now + 300).to_string()})),
        ("issued in the future", json!({"iat": now + 600})),
        ("issued before the sign-in began", json!({"iat": now - 600})),
        ("no iat", json!({"iat": null})),
        ("not yet valid", json!({"nbf": now + 600})),
        ("nbf as text", json!({"nbf": (now - 10).to_string()})),
    ]
}

fn subjects() -> [(&'static str, Value); 5] {
    [
        ("no sub", json!({"sub": null})),
        ("sub as a number", json!({"sub": 7})),
        ("an empty sub", json!({"sub": ""})),
        ("a sub of 256 characters", json!({"sub": "s".repeat(256)})),
        ("a sub with NUL in it", json!({"sub": "a\u{0}b"})),
    ]
}

const fn signatures() -> [(&'static str, Signature); 7] {
    [
        ("alg none", Signature::Absent),
        ("HS256 with the client's secret", Signature::HmacOfSecret),
        ("HS256 with the public key", Signature::HmacOfPublicKey),
        ("another kid", Signature::UnknownKid),
        ("another key under the same kid", Signature::ForeignKey),
        ("the key in the header", Signature::KeyInHeader),
        ("one bit of the signature", Signature::Broken),
    ]
}

/// What the browser brings back; the right parameters are `code`, `state` and `iss`.
fn callbacks() -> [(&'static str, Value, Refusal); 12] {
    let error = |error: &str| json!({"code": null, "error": error});
    let other = "https://accounts.google.com";
    [
        ("cancelled", error("access_denied"), DENIED),
        ("an error of the provider", error("server_error"), DENIED),
        (
            "an error that is a script",
            error("<script>alert(1)</script>"),
            DENIED,
        ),
        (
            "another iss in the answer",
            json!({"iss": other}),
            NOT_THEIRS,
        ),
        ("no iss in the answer", json!({"iss": null}), NOT_THEIRS),
        (
            "an error with another iss",
            json!({"code": null, "error": "access_denied", "iss": other}),
            NOT_THEIRS,
        ),
        (
            "another state",
            json!({"state": "AAAAAAAAAAAAAAAAAAAAAA"}),
            NOT_THEIRS,
        ),
        ("no state", json!({"state": null}), NOT_THEIRS),
        ("no code", json!({"code": null}), NOT_THEIRS),
        ("an empty code", json!({"code": ""}), NOT_THEIRS),
        ("a code of nobody", json!({"code": "nobody"}), NOT_THEIRS),
        (
            "a code and an error",
            json!({"error": "access_denied"}),
            NOT_THEIRS,
        ),
    ]
}

/// What the token endpoint answers.
fn answers() -> Vec<Attempt> {
    let with = |what, status, members: Value, refusal| {
        attempt(what, SignIn::default().answer(status, members), refusal)
    };
    vec![
        with("no ID token", 200, json!({"id_token": null}), UNVERIFIED),
        with(
            "an ID token of no parts",
            200,
            json!({"id_token": "x"}),
            UNAVAILABLE,
        ),
        with(
            "an ID token that is a number",
            200,
            json!({"id_token": 7}),
            UNAVAILABLE,
        ),
        with(
            "no access token",
            200,
            json!({"access_token": null}),
            UNAVAILABLE,
        ),
        with(
            "the client refused",
            401,
            json!({"error": "invalid_client"}),
            UNAVAILABLE,
        ),
        with(
            "the code refused",
            400,
            json!({"error": "invalid_grant"}),
            NOT_THEIRS,
        ),
    ]
}

/// What the userinfo endpoint tells, which is asked for an address that the ID token lacks.
fn userinfos() -> Vec<Attempt> {
    let with = |what, claims: Value| {
        let plan = SignIn::default().claims(json!({"email": null}));
        attempt(what, plan.userinfo(claims), UNVERIFIED)
    };
    vec![
        with("userinfo of somebody else", json!({"sub": "somebody-else"})),
        with("userinfo without sub", json!({"sub": null})),
    ]
}
