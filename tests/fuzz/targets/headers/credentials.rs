//! `Cookie` and `Authorization`: two credentials are none, and a token of ours is seen wherever it stands.

use arbitrary::Arbitrary;
use edge::credential::{self, BadCredential, Credential};
use fuzz::site::{SITE, Token};
use fuzz::{Value, is_header_value, text};
use shared::cookie::{self, Cookies, Found};
use shared::token;

const COOKIE: [&str; 8] = [
    cookie::ACCESS,
    cookie::REFRESH,
    "=",
    "; ",
    ",",
    " ",
    "\"",
    "t",
];
const AUTHORIZATION: [&str; 9] = ["Bearer", "bearer", " ", "\t", ",", "Basic", "=", "\"", "t"];

#[derive(Arbitrary, Debug)]
pub struct Headers<'a> {
    cookie: Vec<Value<'a>>,
    authorization: Vec<Value<'a>>,
    token: Token,
}

impl Headers<'_> {
    pub fn check(&self) {
        let cookie = text(&self.cookie, &COOKIE);
        let mut known = AUTHORIZATION.to_vec();
        known.push(self.token.text());
        let authorization = text(&self.authorization, &known);
        if is_header_value(&cookie) && is_header_value(&authorization) {
            check_credentials(&cookie, &authorization);
            check_own(&authorization, self.token);
        }
    }
}

fn taken<'a>(
    cookies: &'a Cookies,
    authorization: &'a str,
) -> Result<Credential<'a>, BadCredential> {
    credential::take(cookies, Some(authorization))
}

/// What is taken is all there is; and whatever else came, two are refused.
fn check_credentials(cookie: &str, authorization: &str) {
    let in_cookies = [cookie::ACCESS, cookie::REFRESH].map(|name| cookie::find(cookie, name));
    let has_cookies = in_cookies
        .iter()
        .any(|found| !matches!(found, Found::Absent | Found::One("")));
    let has_bearer = authorization.split(',').any(is_bearer);
    let cookies = cookie::read(cookie);
    match taken(&cookies, authorization) {
        Ok(Credential::Absent) => assert!(!has_cookies && !has_bearer),
        Ok(Credential::Cookies { access, refresh }) => {
            assert!(!has_bearer && access.or(refresh).is_some());
            let one =
                |value: Option<&str>, found| value.is_none_or(|value| found == Found::One(value));
            assert!(one(access, in_cookies[0]) && one(refresh, in_cookies[1]));
        }
        Ok(Credential::Bearer(token)) => {
            assert!(!has_cookies && authorization.trim_end().ends_with(token) && !token.is_empty());
            assert!(
                !authorization.contains(',') && token.bytes().all(|byte| byte.is_ascii_graphic())
            );
        }
        Err(_) => {}
    }
    let (access, refresh) = (cookie::ACCESS, cookie::REFRESH);
    for (cookie, authorization) in [
        (
            format!("{cookie}; {access}=a; {access}=b"),
            authorization.to_owned(),
        ),
        (
            format!("{cookie}; {access}=a, {access}=b"),
            authorization.to_owned(),
        ),
        (format!("{cookie}; {refresh}=a"), "bearer\ta".to_owned()),
        (cookie.to_owned(), format!("{authorization}, Bearer a")),
        (cookie.to_owned(), format!("BEARER a, {authorization}")),
    ] {
        assert!(
            taken(&cookie::read(&cookie), &authorization).is_err(),
            "{cookie:?} {authorization:?}"
        );
    }
}

fn is_bearer(part: &str) -> bool {
    let scheme = part.trim_start_matches([' ', '\t']).split_once([' ', '\t']);
    scheme.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
}

/// A token that says it is ours is seen beside whatever else, and no other.
fn check_own(authorization: &str, token: Token) {
    let is_own = |header: &str| credential::holds_own_token(header, SITE);
    let text = token.text();
    let says_so = token != Token::OtherSite;
    assert_eq!(token::untrusted_is_from(text, SITE), says_so);
    for header in [
        format!("{authorization}, Bearer {text}"),
        format!("bearer\t{text} ,{authorization}"),
        format!("Token token=\"{text}\", {authorization}"),
    ] {
        assert_eq!(
            is_own(&header),
            says_so || is_own(authorization),
            "{header:?}"
        );
    }
    let no_cookies = cookie::read("");
    if let Ok(Credential::Bearer(token)) = taken(&no_cookies, authorization)
        && token::untrusted_is_from(token, SITE)
    {
        assert!(is_own(authorization), "{authorization:?}");
    }
}
