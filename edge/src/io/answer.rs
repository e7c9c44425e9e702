//! Every request that could not pass at once: cold starts, the issuer's routes, refusals, renewals.
//!
//! The story of [`crate::gate`] is told again; each time it stops for lack of something, that is fetched, once.

use wasm_bindgen::JsValue;
use web_sys::{Headers, Request, Response, ResponseInit};
use worker::Env;

use shared::cookie::{self, Cookies};
use shared::rejection::Rejection;
use shared::time::UnixMillis;
use shared::wire::STRICT_TRANSPORT_SECURITY;

use super::doubt::{self, Outcome};
use super::errands::Errands;
use super::knowledge::Context;
use super::{isolate, log, settings, upstream};
use crate::config::Config;
use crate::gate::{Asked, Manner, Pass, Stop};
use crate::preflight::{self, is_preflight};
use crate::refusal::Refusal;
use crate::reply::{Asker, Reply};
use crate::rule::cors::{Question, Readable};
use crate::target::Target;

/// How the request goes on, as a text, or the answer to it.
pub(crate) async fn answer(
    request: &Request,
    env: &Env,
    context: &Context,
) -> Result<JsValue, JsValue> {
    #[cfg(feature = "panic-on-demand")]
    panic_if_asked(&request.url(), "/panic-on-demand/later");
    let settings = settings::held_or_read(env);
    let config = match settings.as_ref() {
        Ok(config) => config,
        Err(reason) => {
            return Ok(refuse(request, &Refusal::Misconfigured(reason.clone()))?.into());
        }
    };
    let head = Head::of(request, Some(config))?;
    if let Some(reply) = head.preflight(config) {
        return Ok(respond(reply)?.into());
    }
    let mut errands = Errands::new(config, &settings, request, env, context, &head.cookies);
    loop {
        let asked = head.asked(errands.renewed(), upstream::now());
        let stop = match isolate::pass(config, asked, errands.patience()) {
            Ok(pass) => return Ok(go_on(pass, &errands, &head.url, env).into()),
            Err(stop) => stop,
        };
        let Stop { reason, api, cors } = stop;
        if let Err(refusal) = errands.run(reason).await {
            let asker = head.asker(config.public.as_str(), api, cors.as_ref());
            return Ok(respond(refused(&refusal, &errands, asker, env))?.into());
        }
    }
}

/// The answer to a request that is refused outside the story, in the manner that its rule wants if there are rules.
pub(crate) fn refuse(request: &Request, refusal: &Refusal) -> Result<Response, JsValue> {
    let head = Head::of(request, None)?;
    let Manner { api, cors } = match isolate::settings().as_deref() {
        Some(Ok(config)) => {
            let origin = head.origin.as_deref();
            Manner::at(&config.policy, &head.method, &head.url, origin)
        }
        _ => Manner::default(),
    };
    respond(Reply::refuse(refusal, head.asker("", api, cors.as_ref())))
}

/// The headers that matter.
struct Head {
    method: String,
    url: String,
    cookies: Cookies,
    authorization: Option<String>,
    fetch_site: Option<String>,
    fetch_mode: Option<String>,
    origin: Option<String>,
    accept: Option<String>,
    referer: Option<String>,
    upgrade: bool,
    wanted_method: Option<String>,
    wanted_headers: Option<String>,
    client_ip: Option<String>,
}

impl Head {
    fn of(request: &Request, config: Option<&Config>) -> Result<Self, JsValue> {
        let headers = request.headers();
        Ok(Self {
            method: request.method(),
            url: request.url(),
            cookies: cookie::read(&headers.get("cookie")?.unwrap_or_default()),
            authorization: headers.get("authorization")?,
            fetch_site: headers.get("sec-fetch-site")?,
            fetch_mode: headers.get("sec-fetch-mode")?,
            origin: headers.get("origin")?,
            accept: headers.get("accept")?,
            referer: headers.get("referer")?,
            upgrade: headers.has("upgrade")?,
            wanted_method: headers.get("access-control-request-method")?,
            wanted_headers: headers.get("access-control-request-headers")?,
            client_ip: config.and_then(|config| upstream::client_ip(request, config)),
        })
    }

    fn asked<'a>(&'a self, renewed: Option<&'a str>, now: UnixMillis) -> Asked<'a> {
        Asked {
            method: &self.method,
            url: &self.url,
            cookies: &self.cookies,
            authorization: self.authorization.as_deref(),
            fetch_site: self.fetch_site.as_deref(),
            origin: self.origin.as_deref(),
            upgrade: self.upgrade,
            wanted_method: self.wanted_method.as_deref(),
            client_ip: self.client_ip.as_deref(),
            renewed,
            now,
        }
    }

    /// The answer to a preflight, if the edge is to give one.
    fn preflight(&self, config: &Config) -> Option<Reply> {
        let (origin, method) = (self.origin.as_deref(), self.wanted_method.as_deref());
        if !is_preflight(&self.method, method, origin) {
            return None;
        }
        let question = Question {
            origin: origin?,
            method: method?,
            headers: self.wanted_headers.as_deref().unwrap_or_default(),
        };
        Some(match preflight::answer(config, &self.url, &question)? {
            Ok(headers) => Reply::preflight(headers),
            Err((refusal, cors)) => {
                let asker = self.asker(config.public.as_str(), true, Some(&cors));
                Reply::refuse(&refusal, asker)
            }
        })
    }

    fn asker<'a>(&'a self, site: &'a str, api: bool, cors: Option<&'a Readable>) -> Asker<'a> {
        Asker {
            fetch_mode: self.fetch_mode.as_deref(),
            accept: self.accept.as_deref(),
            referer: self.referer.as_deref(),
            site,
            api: api || self.method == "OPTIONS",
            url: &self.url,
            cors,
        }
    }
}

fn go_on(pass: Pass<'_>, errands: &Errands<'_>, url: &str, env: &Env) -> String {
    if pass.stale {
        doubt::tell(env, Outcome::Served, &path(url));
    }
    let mut onward = pass.onward;
    onward.cookies = errands.cookies().to_vec();
    onward.encode()
}

fn refused(refusal: &Refusal, errands: &Errands<'_>, asker: Asker<'_>, env: &Env) -> Reply {
    match refusal {
        // Everyday.
        Refusal::Anonymous | Refusal::Token(Rejection::Expired) => {}
        Refusal::RevocationsStale => doubt::tell(env, Outcome::Refused, &path(asker.url)),
        refusal => log::info(
            "refused",
            &[("reason", &refusal.to_string()), ("path", &path(asker.url))],
        ),
    }
    let mut reply = Reply::refuse(refusal, asker);
    // A renewal used up the refresh token: the browser must get its successor, however the request ends.
    reply.headers.extend(
        errands
            .cookies()
            .iter()
            .map(|cookie| ("Set-Cookie", cookie.clone())),
    );
    reply
}

/// The path of a URL, for the log; of one that is none, what is wrong with it.
pub(crate) fn path(url: &str) -> String {
    Target::parse(url).map_or_else(|bad| bad.to_string(), |target| target.path().to_owned())
}

fn respond(reply: Reply) -> Result<Response, JsValue> {
    let headers = Headers::new()?;
    headers.set("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY)?;
    for (name, value) in &reply.headers {
        headers.append(name, value)?;
    }
    let init = ResponseInit::new();
    init.set_status(reply.status);
    init.set_headers_headers(&headers);
    let body = (!reply.body.is_empty()).then_some(reply.body.as_str());
    Response::new_with_opt_str_and_init(body, &init)
}

/// The fault that a test build can be asked for.
#[cfg(feature = "panic-on-demand")]
#[expect(clippy::panic, reason = "what the feature is for")]
pub(crate) fn panic_if_asked(url: &str, path: &str) {
    if Target::parse(url).is_ok_and(|target| target.path() == path) {
        panic!("asked to panic at {path}");
    }
}
