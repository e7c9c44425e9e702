//! What handlers take from a request before they decide anything.

mod input;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use shared::claims::Claims;
use shared::cookie::{self, Found};
use shared::id::{SessionId, UserId};
use shared::key::KeySet;
use shared::time::UnixMillis;
use shared::token::Verified;
use shared::wire::edge_token_matches;
use shared::{token, wire, within};

pub(super) use input::{Json, Path, Query, from_json};

use super::error::Failure;
use crate::events::{self, Actor, By, Event, Kind, MAX_USER_AGENT, plain};
use crate::services::Services;
use crate::session::{Requester, Session, State};
use crate::store::users::{Access, User};
use crate::store::{StoreError, revocations, sessions};

/// Who is calling, as far as the connection tells.
pub(super) struct Client {
    pub(super) ip: Option<IpAddr>,
    pub(super) user_agent: String,
    /// Method and route of the request, without anything that the client chose.
    pub(super) call: String,
    /// Whether an edge asks in the middle of this client's request.
    pub(super) requester: Requester,
}

impl Client {
    /// `actor`, from here: for what they do. See [`SignedIn::actor`].
    pub(super) const fn by(&self, actor: Actor) -> By<'_> {
        By {
            actor,
            ip: self.ip,
            user_agent: self.user_agent.as_str(),
        }
    }
}

impl FromRequestParts<Arc<Services>> for Client {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Failure> {
        let is_renewal =
            parts.headers.contains_key(wire::header::RENEWAL) && is_edge(&parts.headers, services);
        let user_agent = parts
            .headers
            .get(header::USER_AGENT)
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        let route = parts.extensions.get::<MatchedPath>();
        let route = route.map_or("none", MatchedPath::as_str);
        Ok(Self {
            call: format!("{} {route}", parts.method),
            ip: client_ip(&parts.headers, &parts.extensions, services),
            user_agent: plain(&user_agent.unwrap_or_default(), MAX_USER_AGENT),
            requester: if is_renewal {
                Requester::Edge
            } else {
                Requester::Client
            },
        })
    }
}

/// The client's address: what an edge says, or else who made the connection.
pub(super) fn client_ip(
    headers: &HeaderMap,
    extensions: &Extensions,
    services: &Services,
) -> Option<IpAddr> {
    let ip = if is_edge(headers, services) {
        text(headers, wire::header::CLIENT_IP).and_then(|ip| ip.trim().parse().ok())
    } else {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        peer.map(|peer| peer.0.ip())
    };
    ip.map(|ip: IpAddr| ip.to_canonical())
}

/// Proof that the caller is one of our edges.
pub(super) struct EdgeCaller;

impl FromRequestParts<Arc<Services>> for EdgeCaller {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Failure> {
        is_edge(&parts.headers, services)
            .then_some(Self)
            .ok_or(Failure::NotAnEdge)
    }
}

/// Whether the request carries the token that only our edges know.
pub(super) fn is_edge(headers: &HeaderMap, services: &Services) -> bool {
    text(headers, wire::header::EDGE_TOKEN)
        .is_some_and(|token| edge_token_matches(&services.config.edge_secrets, token))
}

/// The credentials that came along, none of them checked.
pub(super) struct Untrusted {
    cookies: String,
    authorization: String,
}

impl Untrusted {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        // HTTP/2 may split the cookies over several headers (RFC 9113 §8.2.3). Other cookies may have bytes that are no
        // text: ours, beside them, must not be overlooked.
        let all = |name, separator| {
            let values = headers.get_all(name).iter();
            let texts: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            texts.join(separator)
        };
        Self {
            cookies: all(header::COOKIE, "; "),
            authorization: all(header::AUTHORIZATION, ", "),
        }
    }

    /// The refresh token.
    pub(super) fn refresh(&self) -> Result<Option<&str>, Failure> {
        one(&self.cookies, cookie::REFRESH)
    }

    /// The access token, from the cookie or the `Authorization` header (RFC 6750 §2.1).
    pub(super) fn access(&self) -> Result<Option<&str>, Failure> {
        match (one(&self.cookies, cookie::ACCESS)?, self.bearer()) {
            (Some(_), Some(_)) => Err(Failure::TwoCredentials),
            (cookie, bearer) => Ok(cookie.or(bearer)),
        }
    }

    /// The sign-ins that are under way at providers; none where it is not clear which cookie is meant.
    pub(super) fn login(&self) -> Option<&str> {
        one(&self.cookies, cookie::LOGIN).ok().flatten()
    }

    /// The token of the `Authorization` header, if it is a bearer's.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.authorization.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// All cookies, for those that are no credentials.
    pub(super) fn cookies(&self) -> &str {
        &self.cookies
    }

    /// Whether a cookie of ours came along.
    pub(super) fn has_cookie(&self) -> bool {
        [cookie::ACCESS, cookie::REFRESH]
            .iter()
            .any(|name| cookie::find(&self.cookies, name) != Found::Absent)
    }

    /// The sessions that these credentials belong to, expired or not: what a sign-in replaces. What does not verify names
    /// none.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be known which credential is meant.
    pub(super) fn sessions(&self, services: &Services) -> Result<Vec<SessionId>, Failure> {
        let keys = services.keyring.verifying();
        let offered = [self.refresh()?, self.access()?];
        let mut ids: Vec<_> = offered
            .into_iter()
            .flatten()
            .filter_map(|token| session_of(token, &keys, services))
            .collect();
        ids.dedup();
        Ok(ids)
    }

    /// Every session of which a credential came along, wherever it stands in `Cookie` and `Authorization`: under another
    /// name or scheme, in quotes, behind bytes that are no text. What a sign-out ends. Whoever holds the credential could
    /// end the session anyway; and who hears that they are signed out must not have left one open.
    ///
    /// # Errors
    /// [`Failure`] where it cannot be known which credential is meant.
    pub(super) fn all_sessions(&self, services: &Services) -> Result<Vec<SessionId>, Failure> {
        let keys = services.keyring.verifying();
        let mut ids = self.sessions(services)?;
        let mut look = |token: &str| {
            if let Some(id) = session_of(token, &keys, services).filter(|id| !ids.contains(id)) {
                ids.push(id);
            }
        };
        within::each_token(&self.cookies, &mut look);
        within::each_token(&self.authorization, &mut look);
        Ok(ids)
    }
}

/// The session of an access or a refresh token that is ours.
fn session_of(token: &str, keys: &KeySet, services: &Services) -> Option<SessionId> {
    if let Ok(token) = services.minter.open(token) {
        return Some(token.sid);
    }
    let token = token::verify(token, keys, &services.minter.expected()).ok()?;
    Some(token.claims().sid)
}

impl FromRequestParts<Arc<Services>> for Untrusted {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Services>) -> Result<Self, Failure> {
        Ok(Self::of(&parts.headers))
    }
}

/// A user whose access token verifies and was not revoked, and whose session stands, by its row. Roles are those of this
/// moment.
///
/// Of revocations only those of a single token are asked for. The others announce to the edges what the two rows say here
/// first: that the session has ended, or what the roles are now, whatever the token claims.
pub(super) struct SignedIn {
    pub(super) user: User,
    pub(super) session: Session,
    pub(super) access_expires_at: UnixMillis,
    pub(super) now: UnixMillis,
}

impl SignedIn {
    /// Who does what this session is used for: its user, or whoever acts as the user in it.
    pub(super) fn actor(&self) -> Actor {
        Actor::User(self.session.actor.unwrap_or(self.user.id))
    }

    /// Only the user themselves goes on: nobody who acts as them makes a sensitive call.
    ///
    /// # Errors
    /// [`Failure::Impersonated`], which is noted.
    pub(super) async fn themselves(
        self,
        services: &Services,
        client: &Client,
    ) -> Result<Self, Failure> {
        match self.session.actor {
            None => Ok(self),
            Some(_) => Err(self.refused(services, client, Failure::Impersonated).await),
        }
    }

    /// Notes in the security log that they asked for what they may not do, and gives the refusal back.
    pub(super) async fn refused(
        &self,
        services: &Services,
        client: &Client,
        failure: Failure,
    ) -> Failure {
        let about = self.user.id;
        self.refused_about(about, services, client, failure).await
    }

    /// The same, where it was to be done to `about`.
    pub(super) async fn refused_about(
        &self,
        about: UserId,
        services: &Services,
        client: &Client,
        failure: Failure,
    ) -> Failure {
        let event = client.by(self.actor()).event(Kind::AccessRefused);
        let event = event.of(about).in_session(self.session.id);
        let event = event
            .with("reason", failure.noted_as())
            .with("call", client.call.as_str());
        match note(services, &event, self.now).await {
            Ok(()) => failure,
            Err(fault) => fault.into(),
        }
    }
}

async fn note(services: &Services, event: &Event<'_>, now: UnixMillis) -> Result<(), StoreError> {
    events::record(&mut *services.store.conn().await?, event, now).await
}

/// A signed-in user who is there themselves: nobody who acts as them. Needed for every sensitive call.
pub(super) struct Themselves(pub(super) SignedIn);

impl FromRequestParts<Arc<Services>> for Themselves {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Failure> {
        let client = Client::from_request_parts(parts, services).await?;
        let me = SignedIn::from_request_parts(parts, services).await?;
        me.themselves(services, &client).await.map(Self)
    }
}

impl FromRequestParts<Arc<Services>> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        services: &Arc<Services>,
    ) -> Result<Self, Failure> {
        let now = services.clock.now();
        let untrusted = Untrusted::of(&parts.headers);
        let access = untrusted.access()?.ok_or(Failure::Unauthenticated)?;
        let token = token::verify(
            access,
            &services.keyring.verifying(),
            &services.minter.expected(),
        )?;
        Self::by(&token, services, now).await
    }
}

impl SignedIn {
    /// Who holds `token` at `now`, if it is within its time, was not revoked and its session stands.
    pub(super) async fn by(
        token: &Verified<Claims>,
        services: &Services,
        now: UnixMillis,
    ) -> Result<Self, Failure> {
        token::check_time(token, now.to_secs())?;
        let claims = token.claims();
        let mut conn = services.store.conn().await?;
        let (session, user) = sessions::load(&mut conn, claims.sid)
            .await?
            .ok_or(Failure::SessionEnded)?;
        let stands = session.state == State::Live
            && session.user_id == claims.sub
            && user.access == Access::Enabled
            && services.config.policy.lapse(&session, now).is_none();
        if !stands {
            return Err(Failure::SessionEnded);
        }
        if revocations::names_token(&mut conn, claims.jti).await? {
            return Err(Failure::TokenRevoked);
        }
        Ok(Self {
            user,
            session,
            access_expires_at: claims.exp.into(),
            now,
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn one<'a>(cookies: &'a str, name: &str) -> Result<Option<&'a str>, Failure> {
    match cookie::find(cookies, name) {
        Found::Absent => Ok(None),
        Found::One(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Found::Several => Err(Failure::SeveralCookies),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn untrusted(cookies: &str, authorization: Option<&'static str>) -> Untrusted {
        let mut headers = HeaderMap::new();
        let cookies = HeaderValue::from_bytes(cookies.as_bytes()).unwrap();
        headers.append(header::COOKIE, cookies);
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        Untrusted::of(&headers)
    }

    #[test]
    fn a_cookie_or_a_bearer_but_not_both() {
        let cookie = "a=1; __Host-Http-access=tok";
        assert_eq!(untrusted(cookie, None).access().unwrap(), Some("tok"));
        assert_eq!(
            untrusted("a=1", Some("bearer abc")).access().unwrap(),
            Some("abc")
        );
        assert_eq!(untrusted("a=1", Some("Basic abc")).access().unwrap(), None);
        assert!(matches!(
            untrusted(cookie, Some("Bearer abc")).access(),
            Err(Failure::TwoCredentials)
        ));
    }

    #[test]
    fn of_two_cookies_none_is_believed_and_an_empty_one_is_none() {
        let twice = untrusted("__Host-Http-refresh=a; __Host-Http-refresh=b", None);
        assert!(matches!(twice.refresh(), Err(Failure::SeveralCookies)));
        for joined in [
            "__Host-Http-refresh=a, __Host-Http-refresh=b",
            "a=1, __Host-Http-refresh=b",
            "__Host-Http-refresh=a, b=1",
        ] {
            let joined = untrusted(joined, None);
            assert!(matches!(joined.refresh(), Err(Failure::SeveralCookies)));
        }
        assert_eq!(
            untrusted("__Host-Http-refresh=", None).refresh().unwrap(),
            None
        );
    }

    #[test]
    fn cookies_over_several_headers_are_read_as_one() {
        let values = ["a=1", "__Host-Http-refresh=tok"].map(HeaderValue::from_static);
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::COOKIE, value);
        }
        assert_eq!(Untrusted::of(&headers).refresh().unwrap(), Some("tok"));
    }

    #[test]
    fn another_cookie_may_have_any_bytes() {
        for other in [&b"a=\xc3\xa9; "[..], b"a=\xff\x80; ", b"\xe9=1;"] {
            let value = [other, b"__Host-Http-refresh=tok"].concat();
            let value = HeaderValue::from_bytes(&value).unwrap();
            let untrusted = Untrusted::of(&HeaderMap::from_iter([(header::COOKIE, value)]));
            assert_eq!(untrusted.refresh().unwrap(), Some("tok"), "{other:?}");
            assert!(untrusted.has_cookie());
        }
    }
}
