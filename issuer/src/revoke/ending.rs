//! Ending sessions: the rows, what must be announced to the edges, and the log, all in the caller's transaction.

use shared::id::{SessionId, TokenId, UserId};
use shared::time::UnixMillis;

use crate::events::{self, Actor, By, Event, Kind};
use crate::fault::Fault;
use crate::session::end::of_session;
use crate::session::policy::{Policy, REVOCATION_MARGIN};
use crate::session::{EndReason, Session, end};
use crate::store::clients::Client;
use crate::store::sessions::Ended;
use crate::store::users::User;
use crate::store::{Store, StoreError, Tx, revocations, sessions, users};
use crate::time::Clock;

/// Ends those of `ids` that are not ended yet and returns how many that were. `by` says who does it, from where.
///
/// # Errors
/// [`StoreError`]; the transaction is to be dropped then.
pub async fn end_sessions(
    tx: &mut Tx,
    ids: &[SessionId],
    reason: EndReason,
    by: By<'_>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    end_by(tx, ids, reason, |_| by, now).await
}

/// The same, done by whoever holds the session: its user, or who acts as the user in it.
///
/// # Errors
/// [`StoreError`]; the transaction is to be dropped then.
pub async fn sign_out(
    tx: &mut Tx,
    ids: &[SessionId],
    from: By<'_>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let by = |ended: &Ended| from.done_by(Actor::User(ended.actor.unwrap_or(ended.user_id)));
    end_by(tx, ids, EndReason::Logout, by, now).await
}

async fn end_by<'a>(
    tx: &mut Tx,
    ids: &[SessionId],
    reason: EndReason,
    by: impl Fn(&Ended) -> By<'a>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let ended = sessions::end(tx, ids, reason, now).await?;
    let announcements: Vec<_> = ended
        .iter()
        .filter_map(|session| of_session(session.id, session.access_expires_at, now))
        .collect();
    revocations::append(tx, &announcements, now).await?;
    for session in &ended {
        let event = by(session).event(Kind::SessionEnded);
        let event = event.of(session.user_id).in_session(session.id);
        events::record(tx, &event.with("reason", reason.as_str()), now).await?;
    }
    Ok(ended.len())
}

/// Ends one session in a transaction of its own; whether it was not ended yet.
///
/// # Errors
/// [`StoreError`]; nothing has happened then.
pub async fn end_one(
    store: &Store,
    id: SessionId,
    reason: EndReason,
    by: By<'_>,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let mut tx = store.tx(reason.as_str()).await?;
    let ended = end_sessions(&mut tx, &[id], reason, by, now).await?;
    tx.commit().await?;
    Ok(ended == 1)
}

/// Ends all of a user's sessions but `keep`, and those in which they act as somebody else. The user's row must be locked, so
/// that no sign-in slips past.
///
/// # Errors
/// [`StoreError`]; the transaction is to be dropped then.
pub async fn end_all(
    tx: &mut Tx,
    user: UserId,
    keep: Option<SessionId>,
    reason: EndReason,
    by: By<'_>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let mut ids = sessions::not_ended(tx, user).await?;
    ids.retain(|id| Some(*id) != keep);
    end_sessions(tx, &ids, reason, by, now).await
}

/// Notes the end of at most `limit` sessions whose absolute end has come and that nobody ended: the row says so from then on, and
/// the log. Nothing is announced, for their last tokens have expired. Returns how many.
///
/// A session that rests for too long opens nothing from that moment on, too; that it did is noted here, or when somebody comes
/// with its refresh token before.
///
/// # Errors
/// [`StoreError`]; nothing has happened then.
pub async fn note_run_out(
    store: &Store,
    policy: &Policy,
    limit: i64,
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let mut tx = store.tx("note what has run out").await?;
    let over = sessions::run_out(&mut tx, now.minus(REVOCATION_MARGIN), limit).await?;
    let mut noted = 0;
    for reason in [EndReason::Idle, EndReason::Expired] {
        // It rested for too long before its absolute end, or lived until then.
        let idled = |session: &Session| session.last_seen_at.plus(policy.idle) < session.expires_at;
        let these = over
            .iter()
            .filter(|session| idled(session) == (reason == EndReason::Idle));
        let these: Vec<_> = these.map(|session| session.id).collect();
        noted += end_sessions(&mut tx, &these, reason, By::SYSTEM, now).await?;
    }
    tx.commit().await?;
    Ok(noted as u64)
}

/// Ends every session there is, of all users, and returns how many. One revocation for all of them is announced. `by` says who
/// does it, from where.
///
/// Sign-ins under way are waited for, later ones wait. Each is either ended too, or finds the revocation and begins later
/// than that says, whatever the clock of its issuer (see [`first_moment`](crate::session::start::first_moment)). A refresh
/// under way is ended with its row, or finds the row ended and gives out nothing.
///
/// The more the clocks of issuers differ, the further such a token is dated ahead; edges believe it
/// [`SKEW`](shared::token::SKEW) ahead of theirs, and refuse it until then where it is more.
///
/// # Errors
/// [`StoreError`]; nothing has happened then.
pub async fn end_everyone(
    store: &Store,
    clock: &Clock,
    policy: &Policy,
    by: By<'_>,
) -> Result<u64, StoreError> {
    let mut tx = store.tx("end every session").await?;
    users::lock_all(&mut tx).await?;
    // Under the lock, as a sign-in reads it.
    let now = clock.now();
    let ended = sessions::end_everyone(&mut tx, EndReason::Administrator, now).await?;
    let announcement =
        end::of_everyone(ended.last_minted, ended.longest_access, policy.access, now);
    revocations::append(&mut tx, &[announcement], now).await?;
    let event = by.event(Kind::EveryoneEnded).with("sessions", ended.count);
    events::record(&mut tx, &event, now).await?;
    tx.commit().await?;
    Ok(ended.count)
}

/// Revokes one access token; its session stands, and a refresh brings another token. `event` says who does it, and whose it is.
///
/// # Errors
/// [`StoreError`]; nothing has happened then.
pub async fn revoke_token(
    store: &Store,
    token: TokenId,
    policy: &Policy,
    event: Event<'_>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let mut tx = store.tx("revoke token").await?;
    let announcement = end::of_token(token, policy.access, now);
    revocations::append(&mut tx, &[announcement], now).await?;
    let jti = token.to_string();
    events::record(&mut tx, &event.with("jti", jti.as_str()), now).await?;
    tx.commit().await
}

/// Announces that tokens of `client`, as it was read under its lock, are refused below the version `below`.
///
/// # Errors
/// [`StoreError`]; the transaction is to be dropped then.
pub async fn announce_client(
    tx: &mut Tx,
    client: &Client,
    below: u32,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let announcement = end::of_client(client.id, below, client.access_expires_at, now);
    revocations::append(tx, announcement.as_slice(), now).await
}

/// Announces that the user's claims are now of version `below`. What was allowed under the old ones ends with them: sessions in
/// which the user acts as somebody else, and those in which somebody else acts as the user. The user's row must be locked.
///
/// # Errors
/// [`Fault`]; the transaction is to be dropped then.
pub async fn announce_claims(
    tx: &mut Tx,
    user: &User,
    below: u32,
    policy: &Policy,
    by: By<'_>,
    now: UnixMillis,
) -> Result<(), Fault> {
    let impersonations = sessions::impersonations(tx, user.id).await?;
    let reason = EndReason::ImpersonationEnded;
    end_sessions(tx, &impersonations, reason, by, now).await?;
    let longest = sessions::longest_access(tx, user.id).await?;
    let announcement = end::of_claims(user.id, below, longest, policy.access, now);
    Ok(revocations::append(tx, &[announcement], now).await?)
}
