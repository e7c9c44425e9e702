#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::cookie;
use crate::id::TokenId;
use crate::key::SigningKey;
use crate::secret::Secret;

const SECRET: &str = "mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
const NOW: UnixTime = UnixTime::from_secs(1_000);
const SERIAL: Serial = Serial {
    maker: [7; 16],
    number: 1,
};
const REQUEST: Request<'_> = Request {
    method: "POST",
    site: "https://app.example.test",
    path_and_query: "/api/x?q=%C3%A9",
};

fn key(text: &str) -> AssertionKey {
    AssertionKey::from(&RootSecret::parse(text).unwrap())
}

fn asserted(key: &AssertionKey, request: Request<'_>) -> String {
    let asserter = Asserter::new(key, request.site, &claims());
    asserter.assert(request.method, request.path_and_query, SERIAL, NOW)
}

fn claims() -> Claims {
    Claims {
        iss: "i".into(),
        aud: "i".into(),
        sub: UserId::from_bytes([1; 16]),
        client_id: "browser".into(),
        sid: SessionId::from_bytes([2; 16]),
        jti: TokenId::from_bytes([3; 16]),
        iat: NOW,
        exp: NOW.plus(LIFETIME),
        auth_time: NOW,
        ver: 1,
        roles: vec!["admin".into(), "user".into()],
        act: None,
    }
}

fn payload(token: &str) -> serde_json::Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64url::decode(part).unwrap()).unwrap()
}

#[test]
fn the_header_is_written_out_right() {
    let header = r#"{"typ":"portcullis-assertion+jwt","alg":"HS256"}"#;
    assert_eq!(HEADER, base64url::encode(header));
    let header = r#"{"typ":"portcullis-service-assertion+jwt","alg":"HS256"}"#;
    assert_eq!(SERVICE_HEADER, base64url::encode(header));
}

fn service_asserted() -> String {
    let client = ClientId::from_bytes([1; 16]);
    let claims = ServiceClaims {
        iss: "i".into(),
        aud: "i".into(),
        sub: client,
        client_id: client,
        jti: TokenId::from_bytes([3; 16]),
        iat: NOW,
        exp: NOW.plus(LIFETIME),
        ver: 1,
        scope: Scopes::parse("orders:read").unwrap(),
    };
    let asserter = Asserter::of_service(&key(SECRET), REQUEST.site, &claims);
    asserter.assert(REQUEST.method, REQUEST.path_and_query, SERIAL, NOW)
}

#[test]
fn a_service_is_asserted_and_never_taken_for_a_user() {
    let (service, keys) = (service_asserted(), [key(SECRET)]);
    let identity = verify_service(&service, &keys, REQUEST, NOW).unwrap();
    assert_eq!(identity.client(), ClientId::from_bytes([1; 16]));
    assert_eq!(identity.scopes().to_string(), "orders:read");
    assert_eq!(identity.id(), payload(&service)["jti"]);
    let claims = payload(&service);
    assert_eq!(claims["sub"], claims["client_id"]);
    assert!(claims.get("sid").is_none() && claims.get("roles").is_none());
    let wrong_type = Rejection::WrongType;
    assert_eq!(verify(&service, &keys, REQUEST, NOW), Err(wrong_type));
    let user = asserted(&keys[0], REQUEST);
    assert_eq!(verify_service(&user, &keys, REQUEST, NOW), Err(wrong_type));
    // What binds it to a request is that of a user's.
    let elsewhere = Request {
        path_and_query: "/api/y",
        ..REQUEST
    };
    for (request, now, expected) in [
        (elsewhere, NOW, Rejection::OtherRequest),
        (REQUEST, NOW.plus(LIFETIME), Rejection::Expired),
    ] {
        assert_eq!(verify_service(&service, &keys, request, now), Err(expected));
    }
    assert_eq!(
        verify_service(
            &service,
            &[key("pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J")],
            REQUEST,
            NOW
        ),
        Err(Rejection::BadSignature)
    );
}

/// Computed with Python's hashlib and hmac, as an origin in another language would.
#[test]
fn another_implementation_makes_the_same() {
    assert_eq!(
        hex::encode(
            RootSecret::parse(SECRET)
                .unwrap()
                .derive(Purpose::Assertion)
                .expose()
        ),
        "9a4b1882cd9b8db438811099da126e0d2ba5fa0f136d7afab44937d07ac19ff4"
    );
    assert_eq!(
        REQUEST.hash(),
        "SXqtDnO3Y8oArvY8Bvb6Nh6e1jWEkQafcKOu39dU8Os"
    );
    assert_eq!(
        asserted(&key(SECRET), REQUEST),
        "eyJ0eXAiOiJwb3J0Y3VsbGlzLWFzc2VydGlvbitqd3QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2FwcC5leGFtcGxlLnRlc3QiLCJhdWQiOiJodHRwczovL2FwcC5leGFtcGxlLnRlc3QiLCJzdWIiOiJBUUVCQVFFQkFRRUJBUUVCQVFFQkFRIiwic2lkIjoiQWdJQ0FnSUNBZ0lDQWdJQ0FnSUNBZyIsImF1dGhfdGltZSI6MTAwMCwicm9sZXMiOlsiYWRtaW4iLCJ1c2VyIl0sImp0aSI6IkJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndBQUFBQUFBQUFCIiwiaWF0IjoxMDAwLCJleHAiOjEwMzAsInJlcXVlc3RfaGFzaCI6IlNYcXREbk8zWThvQXJ2WThCdmI2Tmg2ZTFqV0VrUWFmY0tPdTM5ZFU4T3MifQ.JjmE_l3IQYgaTGFjXtYtON-shHGFYjQ0dHuvVkZWK1U"
    );
}

#[test]
fn it_has_the_claims_that_a_jwt_library_checks() {
    let payload = payload(&asserted(&key(SECRET), REQUEST));
    assert_eq!(
        payload,
        serde_json::json!({
            "iss": REQUEST.site, "aud": REQUEST.site, "sub": claims().sub, "sid": claims().sid,
            "auth_time": 1_000, "roles": ["admin", "user"], "iat": 1_000, "exp": 1_030,
            "jti": base64url::encode([&[7; 16][..], &[0, 0, 0, 0, 0, 0, 0, 1]].concat()),
            "request_hash": REQUEST.hash(),
        })
    );
}

#[test]
fn the_origin_learns_what_the_edge_said() {
    let (new, old) = (key(SECRET), key("pG5gLe2dHu7fRy3bWc6nTx1kZs8Q0v4J"));
    let token = asserted(&old, REQUEST);
    let identity = verify(&token, &[new.clone(), old], REQUEST, NOW).unwrap();
    assert_eq!(identity.user(), claims().sub);
    assert_eq!(identity.session(), claims().sid);
    assert_eq!(identity.auth_time(), NOW);
    assert_eq!(identity.roles(), ["admin", "user"]);
    assert_eq!(payload(&token)["jti"], identity.id());
    assert_eq!(
        verify(&token, &[new], REQUEST, NOW),
        Err(Rejection::BadSignature)
    );
}

#[test]
fn every_length_of_what_comes_first_fits_what_follows() {
    let key = key(SECRET);
    for site in ["http://a", "http://ab", "http://abc", "http://abcd"] {
        let request = Request { site, ..REQUEST };
        let token = asserted(&key, request);
        let identity = verify(&token, std::slice::from_ref(&key), request, NOW);
        assert!(identity.is_ok(), "{site}: {identity:?}");
    }
}

#[test]
fn no_url_makes_it_longer() {
    let key = key(SECRET);
    let path = format!("/{}", "a".repeat(16 * 1024));
    let longest = Request {
        path_and_query: &path,
        ..REQUEST
    };
    let token = asserted(&key, longest);
    assert_eq!(token.len(), asserted(&key, REQUEST).len());
    assert!(verify(&token, std::slice::from_ref(&key), longest, NOW).is_ok());
}

/// Whoever has the most roles that fit a cookie, under the algorithm and the times that leave the most room for them.
#[test]
fn the_most_roles_that_a_cookie_holds_fit() {
    let (root, key) = (RootSecret::parse(SECRET).unwrap(), key(SECRET));
    let shortest = [
        SigningKey::hs256(&root),
        SigningKey::ed25519("k".into(), &Secret::from_bytes([7; 32])),
    ];
    for (signing, site) in shortest
        .iter()
        .flat_map(|key| [(key, "http://a.b"), (key, REQUEST.site)])
    {
        let fits = |roles: &[String]| {
            let claims = Claims {
                iss: site.into(),
                aud: site.into(),
                roles: roles.to_vec(),
                ..claims()
            };
            let token = crate::token::mint(&claims, signing).unwrap();
            cookie::set(cookie::ACCESS, &token, LIFETIME)
                .ok()
                .map(|_| claims)
        };
        let mut roles = vec!["r".to_owned()];
        while fits(&roles).is_some() {
            roles.push("r".to_owned());
        }
        roles.pop();
        let asserter = Asserter::new(&key, site, &fits(&roles).unwrap());
        let serial = Serial {
            maker: [0xff; 16],
            number: u64::MAX,
        };
        let now = UnixTime::from_secs(99_999_999_999);
        let token = asserter.assert(REQUEST.method, REQUEST.path_and_query, serial, now);
        assert!(token.len() <= MAX_BYTES, "{} bytes", token.len());
        let request = Request { site, ..REQUEST };
        assert!(verify(&token, std::slice::from_ref(&key), request, now).is_ok());
    }
    let longer = "a".repeat(MAX_BYTES + 1);
    assert_eq!(
        verify(&longer, &[key], REQUEST, NOW).unwrap_err(),
        Rejection::Oversized { max: MAX_BYTES }
    );
}

#[test]
fn no_two_serials_are_written_alike() {
    let text = |maker: u8, number: u64| {
        let mut text = String::new();
        let maker = [maker; 16];
        Serial { maker, number }.push_to(&mut text);
        text
    };
    let all = [
        text(0, 0),
        text(0, 1),
        text(0, 256),
        text(0, u64::MAX),
        text(1, 0),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[..index].contains(one), "{one}");
    }
}

#[test]
fn it_fits_one_request() {
    let keys = [key(SECRET)];
    let token = asserted(&keys[0], REQUEST);
    let other = |request: Request<'_>| verify(&token, &keys, request, NOW).unwrap_err();
    for method in ["GET", "post", "POST ", ""] {
        let request = Request { method, ..REQUEST };
        assert_eq!(other(request), Rejection::OtherRequest, "{method}");
    }
    for path_and_query in [
        "/api/y?q=%C3%A9",
        "/api/x",
        "/api/x?q=%C3%A9&r",
        "/api/x?q=%c3%a9",
        "",
    ] {
        let request = Request {
            path_and_query,
            ..REQUEST
        };
        assert_eq!(other(request), Rejection::OtherRequest, "{path_and_query}");
    }
    for site in [
        "https://evil.example.test",
        "http://app.example.test",
        "https://app.example.test/",
    ] {
        let request = Request { site, ..REQUEST };
        assert_eq!(other(request), Rejection::WrongIssuer, "{site}");
    }
}

#[test]
fn it_lasts_thirty_seconds() {
    let keys = [key(SECRET)];
    let token = asserted(&keys[0], REQUEST);
    let at = |now| verify(&token, &keys, REQUEST, now).map(drop);
    let second = Duration::from_secs(1);
    assert_eq!(at(NOW.minus(SKEW)), Ok(()));
    assert_eq!(at(NOW.minus(SKEW + second)), Err(Rejection::NotYetValid));
    assert_eq!(at(NOW.plus(LIFETIME - second)), Ok(()));
    assert_eq!(at(NOW.plus(LIFETIME)), Err(Rejection::Expired));
}

#[test]
fn an_access_token_is_no_assertion() {
    let secret = RootSecret::parse(SECRET).unwrap();
    let token = crate::token::mint(&claims(), &SigningKey::hs256(&secret)).unwrap();
    assert_eq!(
        verify(&token, &[(&secret).into()], REQUEST, NOW),
        Err(Rejection::WrongType)
    );
}
