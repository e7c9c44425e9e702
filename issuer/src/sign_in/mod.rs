//! Beginning a session, however the user proved who they are.

pub mod oidc;
pub mod password;

use shared::id::{SessionId, UserId};
use shared::refresh_token::RefreshToken;
use shared::secret::SecretHash;
use shared::time::UnixMillis;

use crate::entropy;
use crate::events::{self, Actor, By, Kind};
use crate::fault::Fault;
use crate::revoke::ending;
use crate::session::policy::Policy;
use crate::session::start::{Start, decide, first_moment};
use crate::session::{EndReason, Requester, Session, State};
use crate::store::departed::{self, Whom};
use crate::store::identities::{self, Identity};
use crate::store::users::{Access, User};
use crate::store::{Store, revocations, sessions, users};
use crate::time::Clock;
use crate::token::mint::{Minted, Minter};

/// Who signs in, from where.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// The user, who has proved it.
    pub user: UserId,
    /// How.
    pub provider: &'a str,
    /// From where, with what.
    pub from: By<'a>,
    /// The sessions that the same browser held until now; they make way for the new one (OWASP ASVS 5.0, 7.2.4). More
    /// than one only where its two cookies are of different sessions.
    pub replaces: &'a [SessionId],
    /// Where they proved it, if not here.
    pub elsewhere: Option<Elsewhere<'a>>,
}

/// What a provider says of who signs in.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere<'a> {
    /// Who they are there.
    pub identity: &'a Identity,
    /// Their session there, which the provider may end.
    pub sid: Option<&'a str>,
    /// When they proved it there: perhaps long before they came here.
    pub auth_time: Option<UnixMillis>,
    /// When the sign-in began that ends now.
    pub began: UnixMillis,
}

/// How it went.
pub enum SignIn {
    /// A session began.
    Started(Box<Started>),
    /// The user has as many sessions as allowed, and no more are let in.
    LimitReached,
    /// The user is gone or was disabled since they proved who they are.
    NotAllowed,
    /// The user signed out at the provider since the sign-in began.
    Departed,
}

/// A session that began.
pub struct Started {
    /// Whose it is.
    pub user: User,
    /// The session.
    pub session: Session,
    /// Its first tokens.
    pub minted: Minted,
}

/// What beginning a session takes.
pub struct SignIns<'a> {
    /// Postgres.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
    /// Tokens.
    pub minter: &'a Minter,
    /// Limits.
    pub policy: &'a Policy,
}

impl SignIns<'_> {
    /// Begins a session in one transaction: the session that it replaces, those that the limit pushes out, their
    /// revocations, the new one.
    ///
    /// The user's row is locked first and the clock read under the lock, so sign-ins of one user happen one after the
    /// other in every process, and the newest sessions are those that stay. Under the lock it is also known whether all
    /// sessions were ended before this one, and whether the provider has ended its own.
    ///
    /// # Errors
    /// [`Fault`]; nothing has happened then.
    pub async fn start(&self, arrival: &Arrival<'_>) -> Result<SignIn, Fault> {
        let mut tx = self.store.tx("sign in").await?;
        let Some(user) = users::lock(&mut tx, arrival.user)
            .await?
            .filter(|user| user.access == Access::Enabled)
        else {
            drop(tx);
            let by = arrival.from.done_by(Actor::Unknown);
            let now = self.clock.now();
            self.note_refusal(by, arrival.user, "not_allowed", now)
                .await?;
            return Ok(SignIn::NotAllowed);
        };
        if let Some(elsewhere) = &arrival.elsewhere {
            let whom = Whom::of(elsewhere.identity, elsewhere.sid);
            departed::hold(&mut tx, &whom).await?;
            let departed = departed::last(&mut tx, &whom).await?;
            if departed.is_some_and(|at| at > elsewhere.began) {
                return Ok(SignIn::Departed);
            }
        }
        let ended_before = revocations::everyone_before(&mut tx).await?;
        let now = first_moment(self.clock.now(), ended_before);
        let by = arrival.from.done_by(Actor::User(user.id));
        let mut live = sessions::live(&mut tx, user.id, self.policy.idle, now).await?;
        // Nobody who acts as the user takes a place from them.
        live.retain(|session| session.actor.is_none() && !arrival.replaces.contains(&session.id));
        ending::end_sessions(&mut tx, arrival.replaces, EndReason::Replaced, by, now).await?;
        let live: Vec<SessionId> = live.iter().map(|session| session.id).collect();
        let Start::Admit { evict } = decide(&live, self.policy) else {
            // The transaction rolls back: a refused sign-in replaces nothing.
            drop(tx);
            self.note_refusal(by, user.id, "limit_reached", now).await?;
            return Ok(SignIn::LimitReached);
        };
        ending::end_sessions(&mut tx, &evict, EndReason::Evicted, by, now).await?;

        let secret = Minter::session_secret()?;
        let id = SessionId::from_bytes(entropy::bytes()?);
        let mut session = self.first_state(id, secret.sha256(), arrival, now);
        let refresh = RefreshToken {
            sid: id,
            generation: session.generation,
            secret,
        };
        let minted = self.minter.mint(&user, &session, &refresh, now)?;
        session.access_expires_at = minted.access_expires_at;
        sessions::insert(&mut tx, &session).await?;
        if let Some(elsewhere) = &arrival.elsewhere {
            identities::note_session(&mut tx, id, elsewhere.identity, elsewhere.sid).await?;
        }
        let event = by.event(Kind::SignIn).of(user.id).in_session(id);
        events::record(&mut tx, &event.with("provider", arrival.provider), now).await?;
        tx.commit().await?;
        Ok(SignIn::Started(Box::new(Started {
            user,
            session,
            minted,
        })))
    }

    /// Notes a refusal, of which nothing else is left.
    async fn note_refusal(
        &self,
        by: By<'_>,
        user: UserId,
        reason: &'static str,
        now: UnixMillis,
    ) -> Result<(), Fault> {
        let event = by
            .event(Kind::SignInRefused)
            .of(user)
            .with("reason", reason);
        let mut conn = self.store.conn().await?;
        Ok(events::record(&mut conn, &event, now).await?)
    }

    /// A session as it is right after the sign-in. Its ordinal is drawn by the insert.
    fn first_state(
        &self,
        id: SessionId,
        secret_hash: SecretHash,
        arrival: &Arrival<'_>,
        now: UnixMillis,
    ) -> Session {
        Session {
            id,
            user_id: arrival.user,
            ordinal: 0,
            generation: 0,
            secret_hash,
            created_at: now,
            auth_time: arrival
                .elsewhere
                .and_then(|elsewhere| elsewhere.auth_time)
                .map_or(now, |there| there.min(now)),
            rotated_at: now,
            renewed_by: Requester::Client,
            last_seen_at: now,
            expires_at: now.plus(self.policy.absolute),
            access_expires_at: now,
            ip: arrival.from.ip,
            user_agent: arrival.from.user_agent.to_owned(),
            provider: arrival.provider.to_owned(),
            actor: None,
            state: State::Live,
        }
    }
}
