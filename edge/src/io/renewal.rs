//! A new access token in the middle of a request: the refresh cookie goes to the issuer, two cookies come back.

use js_sys::Array;
use serde::Deserialize;
use shared::cookie;
use shared::rejection::Code;
use shared::wire::header;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Headers, Request, Response};

use super::upstream;
use crate::config::Config;
use crate::refusal::Refusal;

/// What the issuer gave.
pub(crate) struct Renewed {
    /// The access token.
    pub(crate) access: String,
    /// The `Set-Cookie` values for the browser.
    pub(crate) cookies: Vec<String>,
}

/// Why there is no new token.
pub(crate) enum NotRenewed {
    /// The session is over. The issuer says what becomes of the browser's cookies, for they may be of a newer one.
    Ended {
        refusal: Refusal,
        cookies: Vec<String>,
    },
    /// The refresh token does not hold. Another tab may just have got a better one, so no cookie is touched.
    Refused,
    /// The issuer could not say.
    Unknown(Refusal),
}

#[wasm_bindgen]
extern "C" {
    /// `Headers` with the method that tells several `Set-Cookie` apart.
    #[wasm_bindgen(extends = Headers)]
    type SetCookies;

    #[wasm_bindgen(method, js_name = getSetCookie)]
    fn get_set_cookie(this: &SetCookies) -> Array;
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

/// Asks the issuer to renew the session of `refresh`, on behalf of `request`.
pub(crate) async fn renew(
    config: &Config,
    request: &Request,
    refresh: &str,
) -> Result<Renewed, NotRenewed> {
    let cookie = format!("{}={refresh}", cookie::REFRESH);
    let inbound = request.headers();
    let user_agent = inbound.get("user-agent").ok().flatten().unwrap_or_default();
    let client_ip = upstream::client_ip(request, config).unwrap_or_default();
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", config.public.as_str()),
        ("accept", "application/json"),
        ("user-agent", user_agent.as_str()),
        (header::CLIENT_IP, client_ip.as_str()),
    ];
    let response = upstream::issuer(config, "POST", "/auth/refresh", &headers)
        .await
        .map_err(NotRenewed::Unknown)?;
    match response.status() {
        200 => renewed(&response).ok_or(NotRenewed::Unknown(Refusal::IssuerUnreachable)),
        401 => Err(refused(&response).await),
        _ => Err(NotRenewed::Unknown(Refusal::IssuerUnreachable)),
    }
}

fn renewed(response: &Response) -> Option<Renewed> {
    let cookies = set_cookies(response);
    let prefix = format!("{}=", cookie::ACCESS);
    let access = cookies
        .iter()
        .find_map(|cookie| cookie.strip_prefix(&prefix)?.split(';').next())?
        .to_owned();
    Some(Renewed { access, cookies })
}

async fn refused(response: &Response) -> NotRenewed {
    let body = match upstream::body(response).await {
        Ok(body) => body,
        Err(refusal) => return NotRenewed::Unknown(refusal),
    };
    let code = serde_json::from_slice::<Problem>(&body)
        .map(|problem| problem.code)
        .unwrap_or_default();
    let refusal = if code == Code::SessionEnded.as_str() {
        Refusal::SessionEnded
    } else if code == Code::RefreshReused.as_str() {
        Refusal::RefreshReused
    } else {
        return NotRenewed::Refused;
    };
    NotRenewed::Ended {
        refusal,
        cookies: set_cookies(response),
    }
}

fn set_cookies(response: &Response) -> Vec<String> {
    let headers: SetCookies = response.headers().unchecked_into();
    headers
        .get_set_cookie()
        .iter()
        .filter_map(|value: JsValue| value.as_string())
        .collect()
}
