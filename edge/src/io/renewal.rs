//! A new access token in the middle of a request: the refresh cookie goes to the issuer, two cookies come back. The browser
//! gets them with the answer to its request, which may be late.

use std::time::Duration;

use js_sys::Array;
use serde::Deserialize;
use shared::cookie;
use shared::rejection::Code;
use shared::time::UnixMillis;
use shared::wire::header;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Headers, Request, Response};

use super::{isolate, log, upstream};
use crate::config::Config;
use crate::refusal::Refusal;
use crate::view::ago;

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
        (header::RENEWAL, "1"),
    ];
    let response = upstream::issuer(config, "POST", "/auth/refresh", &headers)
        .await
        .map_err(NotRenewed::Unknown)?;
    match response.status() {
        200 => renewed(&response).ok_or(NotRenewed::Unknown(Refusal::IssuerUnreachable)),
        401 => Err(refused(&response).await),
        429 => Err(NotRenewed::Unknown(Refusal::RateLimited(retry_after(
            &response,
        )))),
        _ => Err(NotRenewed::Unknown(Refusal::IssuerUnreachable)),
    }
}

/// When the issuer says to try again (RFC 9110 §10.2.3).
fn retry_after(response: &Response) -> Duration {
    let said = response.headers().get("retry-after").ok().flatten();
    let seconds = said.and_then(|said| said.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

/// An answer that comes so soon after the renewal is not late: to ask the issuer would take about as long, and the same
/// could happen meanwhile.
const PROMPT: Duration = Duration::from_secs(1);

/// Whether the browser may be given the `cookies` of a renewal that was made at `renewed_at`. Not where the session has ended
/// or was refreshed meanwhile: the browser may hold the cookies of a newer session or generation, which these would
/// replace. Where the issuer does not say, the revocations that are held decide.
pub(crate) async fn still_present(
    config: &Config,
    cookies: &[String],
    renewed_at: UnixMillis,
) -> bool {
    let is_late = ago(renewed_at, upstream::now()) > PROMPT;
    let (Some(access), Some(refresh), true) = (
        value_of(cookies, cookie::ACCESS),
        value_of(cookies, cookie::REFRESH),
        is_late,
    ) else {
        return true;
    };
    match is_present(config, refresh).await {
        Ok(present) => present,
        Err(unreachable) => {
            let reason = unreachable.to_string();
            log::warn(
                "nobody says whether cookies are still of use that come late",
                &[("reason", &reason)],
            );
            !isolate::is_revoked(access)
        }
    }
}

async fn is_present(config: &Config, refresh: &str) -> Result<bool, Refusal> {
    let cookie = format!("{}={refresh}", cookie::REFRESH);
    let headers = [("cookie", cookie.as_str())];
    let response = upstream::issuer(config, "GET", "/edge/refresh-token", &headers).await?;
    if response.status() == 204 {
        return Ok(true);
    }
    let code = code(&response).await?;
    let gone = [Code::SessionEnded, Code::Conflict];
    if gone.iter().any(|gone| code == gone.as_str()) {
        return Ok(false);
    }
    Err(Refusal::IssuerUnreachable)
}

fn renewed(response: &Response) -> Option<Renewed> {
    let cookies = set_cookies(response);
    let access = value_of(&cookies, cookie::ACCESS)?.to_owned();
    Some(Renewed { access, cookies })
}

/// The value that one of these `Set-Cookie` values gives to the cookie `name`.
fn value_of<'a>(cookies: &'a [String], name: &str) -> Option<&'a str> {
    cookies.iter().find_map(|cookie| {
        let (key, rest) = cookie.split_once('=')?;
        (key == name).then(|| rest.split_once(';').map_or(rest, |(value, _)| value))
    })
}

async fn refused(response: &Response) -> NotRenewed {
    let code = match code(response).await {
        Ok(code) => code,
        Err(refusal) => return NotRenewed::Unknown(refusal),
    };
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

/// The code of a problem; empty where the answer is none.
async fn code(response: &Response) -> Result<String, Refusal> {
    let body = upstream::body(response).await?;
    let problem = serde_json::from_slice::<Problem>(&body);
    Ok(problem.map(|problem| problem.code).unwrap_or_default())
}

fn set_cookies(response: &Response) -> Vec<String> {
    let headers: SetCookies = response.headers().unchecked_into();
    headers
        .get_set_cookie()
        .iter()
        .filter_map(|value: JsValue| value.as_string())
        .collect()
}
