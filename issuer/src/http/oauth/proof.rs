//! How a client proves who it is: `client_secret_basic`, `client_secret_post` (RFC 6749 §2.3.1), `private_key_jwt` (RFC 7523).

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared::client_assertion::Untrusted;
use shared::id::ClientId;
use shared::secret::SecretText;
use shared::wire::BROWSER_CLIENT;
use url::form_urlencoded;

use super::form::Form;
use crate::account::clients::read_secret;
use crate::http::error::Failure;
use crate::services::Services;
use crate::store::clients::{self, Client, Proof, State};
use crate::store::once::{self, Purpose};
use crate::token::client_keys::ClientKeys;

/// `client_assertion_type` (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where tokens are asked for; an assertion may be made for it instead of for the issuer.
pub(super) const TOKEN_ENDPOINT: &str = "/oauth/token";

/// Who calls.
pub(super) enum Caller {
    /// A client without a secret: a browser, or a program in which somebody signed in. It has nothing but its tokens.
    Public,
    /// A registered client, which has proved it.
    Registered(Box<Client>),
}

/// What a client offers as a proof, none of it checked.
#[derive(Debug)]
enum Offered<'a> {
    Nothing,
    Secret { id: String, secret: SecretText },
    Assertion(&'a str),
}

/// Who sent a request with these headers and this form.
///
/// # Errors
/// [`Failure::InvalidClient`] where a proof came that does not hold, or none where one is needed; [`Failure::BadRequest`] where
/// more than one came.
pub(super) async fn caller(
    services: &Services,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Caller, Failure> {
    let client = match offered(headers, form)? {
        Offered::Nothing => match form.get("client_id") {
            None | Some(BROWSER_CLIENT) => return Ok(Caller::Public),
            Some(_) => return Err(Failure::InvalidClient("no proof came")),
        },
        Offered::Secret { id, secret } => by_secret(services, &id, &secret).await?,
        Offered::Assertion(assertion) => by_assertion(services, assertion).await?,
    };
    let named = form.get("client_id");
    if named.is_some_and(|named| named != client.id.to_string()) {
        return Err(Failure::InvalidClient("client_id names another client"));
    }
    Ok(Caller::Registered(Box::new(client)))
}

fn offered<'a>(headers: &HeaderMap, form: &'a Form) -> Result<Offered<'a>, Failure> {
    const SEVERAL: Failure = Failure::BadRequest(
        "Send one proof of the client: Authorization, client_secret or client_assertion.",
    );
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
    let basic = authorization.next();
    if authorization.next().is_some() {
        return Err(SEVERAL);
    }
    match (
        basic,
        form.get("client_secret"),
        form.get("client_assertion"),
    ) {
        (None, None, None) => Ok(Offered::Nothing),
        (Some(value), None, None) => {
            let (id, secret) = value
                .to_str()
                .ok()
                .and_then(basic_credentials)
                .ok_or(Failure::InvalidClient("Authorization is not Basic"))?;
            Ok(Offered::Secret { id, secret })
        }
        (None, Some(secret), None) => {
            let id = form.required("client_id", "Send client_id beside client_secret.")?;
            Ok(Offered::Secret {
                id: id.to_owned(),
                secret: SecretText::new(secret.to_owned()),
            })
        }
        (None, None, Some(assertion)) => {
            if form.get("client_assertion_type") != Some(JWT_BEARER) {
                return Err(Failure::BadRequest(
                    "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
                ));
            }
            Ok(Offered::Assertion(assertion))
        }
        _ => Err(SEVERAL),
    }
}

/// `Basic` with id and secret, each written as in a form before it went in (RFC 6749 §2.3.1).
fn basic_credentials(header: &str) -> Option<(String, SecretText)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let secret = SecretText::new(from_form(secret)?);
    Some((from_form(id)?, secret))
}

/// A single value, decoded as in a form.
fn from_form(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        return None;
    }
    let (value, _) = form_urlencoded::parse(text.as_bytes()).next()?;
    Some(value.into_owned())
}

async fn by_secret(services: &Services, id: &str, secret: &SecretText) -> Result<Client, Failure> {
    // Before any SQL: what has not the form of a secret is none.
    let secret = read_secret(secret.expose()).ok_or(Failure::InvalidClient("no such secret"))?;
    let client = active(services, id.parse().ok()).await?;
    match &client.proof {
        Proof::Secret(hash) if *hash == secret.sha256() => Ok(client),
        Proof::Secret(_) => Err(Failure::InvalidClient("wrong secret")),
        Proof::Keys(_) => Err(Failure::InvalidClient("it has keys and no secret")),
    }
}

async fn by_assertion(services: &Services, assertion: &str) -> Result<Client, Failure> {
    let bad = |_| Failure::InvalidClient("the assertion does not hold");
    let untrusted = Untrusted::parse(assertion).map_err(bad)?;
    let client = active(services, Some(untrusted.untrusted_client())).await?;
    let Proof::Keys(jwks) = &client.proof else {
        return Err(Failure::InvalidClient("it has a secret and no keys"));
    };
    let keys =
        ClientKeys::parse(jwks).map_err(|_| Failure::InvalidClient("its keys are unreadable"))?;
    let (site, now) = (services.config.public_url.as_str(), services.clock.now());
    let endpoint = [site, TOKEN_ENDPOINT].concat();
    let proven = untrusted
        .check(
            |signed| keys.hold(signed),
            &[site, &endpoint],
            now.to_secs(),
        )
        .map_err(bad)?;
    let mut conn = services.store.conn().await?;
    let seen = format!("{}\n{}", proven.client(), proven.id());
    let until = proven.expires().into();
    if !once::spend(&mut conn, Purpose::ClientAssertion, &seen, until).await? {
        return Err(Failure::InvalidClient("the assertion came before"));
    }
    Ok(client)
}

async fn active(services: &Services, id: Option<ClientId>) -> Result<Client, Failure> {
    let id = id.ok_or(Failure::InvalidClient("no such client"))?;
    let found = clients::by_id(&mut *services.store.conn().await?, id).await?;
    let client = found.ok_or(Failure::InvalidClient("no such client"))?;
    match client.state {
        State::Active => Ok(client),
        State::Revoked { .. } => Err(Failure::InvalidClient("it was revoked")),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn form(body: &str) -> Form {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        Form::parse(&headers, Ok(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
    }

    fn authorization(text: &str) -> HeaderMap {
        let value = HeaderValue::from_str(text).unwrap();
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    /// Id and secret, or what else was offered.
    fn found(headers: &HeaderMap, body: &str) -> (String, String) {
        match offered(headers, &form(body)).unwrap() {
            Offered::Nothing => ("nothing".to_owned(), String::new()),
            Offered::Assertion(assertion) => ("assertion".to_owned(), assertion.to_owned()),
            Offered::Secret { id, secret } => (id, secret.expose().to_owned()),
        }
    }

    fn basic(credentials: &str) -> String {
        format!("Basic {}", STANDARD.encode(credentials))
    }

    const ASSERTION: &str = "client_assertion=a.b.c&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

    #[test]
    fn a_proof_comes_in_three_ways() {
        let none = HeaderMap::new();
        for (headers, body, expected) in [
            (
                authorization(&basic("a%3Ab:c%25+d")),
                "client_id=i",
                ("a:b", "c% d"),
            ),
            (
                none.clone(),
                "client_id=i&client_secret=hunter42",
                ("i", "hunter42"),
            ),
            (none.clone(), ASSERTION, ("assertion", "a.b.c")),
            (none, "client_id=i", ("nothing", "")),
        ] {
            let (id, secret) = found(&headers, body);
            assert_eq!((id.as_str(), secret.as_str()), expected, "{body}");
        }
    }

    #[test]
    fn one_proof_and_no_more() {
        let mut twice = authorization(&basic("a:b"));
        twice.append(
            header::AUTHORIZATION,
            HeaderValue::from_static("Basic YTpi"),
        );
        let once = authorization(&basic("a:b"));
        let none = HeaderMap::new();
        for (headers, body) in [
            (&once, "client_id=i&client_secret=s".to_owned()),
            (&once, ASSERTION.to_owned()),
            (&none, format!("client_id=i&client_secret=s&{ASSERTION}")),
            (&twice, String::new()),
            (&none, "client_secret=s".to_owned()),
            (&none, "client_assertion=a.b.c".to_owned()),
        ] {
            let refused = offered(headers, &form(&body)).unwrap_err();
            assert!(matches!(refused, Failure::BadRequest(_)), "{body}");
        }
    }

    #[test]
    fn what_is_not_basic_proves_nothing() {
        for header in [
            "Bearer abc",
            "Basic",
            "Basic !",
            "Basic YQ==",
            "Basic /w==",
            &basic("a=b:c"),
            &basic(":"),
        ] {
            let refused = offered(&authorization(header), &form("")).unwrap_err();
            assert!(matches!(refused, Failure::InvalidClient(_)), "{header}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_as_in_a_form_is_read_back(id in ".{1,20}", password in ".{1,20}") {
            let write = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let header = basic(&format!("{}:{}", write(&id), write(&password)));
            let (read_id, read_secret) = basic_credentials(&header).unwrap();
            prop_assert_eq!((read_id.as_str(), read_secret.expose()), (id.as_str(), password.as_str()));
        }

        #[test]
        fn no_header_panics(header in ".{0,60}", inner in any::<Vec<u8>>()) {
            let _ = basic_credentials(&header);
            let _ = basic_credentials(&format!("Basic {}", STANDARD.encode(inner)));
        }
    }
}
