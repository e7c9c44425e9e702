//! Ending sessions: the rows, what must be announced to the edges, and the log, all in the caller's transaction.

use shared::id::{SessionId, TokenId, UserId};
use shared::time::UnixMillis;

use crate::fault::Fault;
use crate::session::end::of_session;
use crate::session::policy::Policy;
use crate::session::{EndReason, end};
use crate::store::events::{Event, Kind};
use crate::store::users::User;
use crate::store::{Store, StoreError, Tx, events, revocations, sessions, users};
use crate::time::Clock;

/// Ends those of `ids` that are not ended yet and returns how many that were. `from` says who does it, from where.
///
/// # Errors
/// [`StoreError`]; the transaction is to be dropped then.
pub async fn end_sessions(
    tx: &mut Tx,
    ids: &[SessionId],
    reason: EndReason,
    from: &Event<'_>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let ended = sessions::end(tx, ids, reason, now).await?;
    let announcements: Vec<_> = ended
        .iter()
        .filter_map(|session| of_session(session.id, session.access_expires_at, now))
        .collect();
    revocations::append(tx, &announcements, now).await?;
    for session in &ended {
        let event = Event {
            kind: Kind::SessionEnded,
            user: Some(session.user_id),
            session: Some(session.id),
            detail: reason.as_str(),
            ..from.clone()
        };
        events::record(tx, &event, now).await?;
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
    from: &Event<'_>,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let mut tx = store.tx(reason.as_str()).await?;
    let ended = end_sessions(&mut tx, &[id], reason, from, now).await?;
    tx.commit().await?;
    Ok(ended == 1)
}

/// Ends all of a user's sessions but `keep`. The user's row must be locked, so that no sign-in slips past.
///
/// # Errors
/// [`StoreError`]; the transaction is to be dropped then.
pub async fn end_all(
    tx: &mut Tx,
    user: UserId,
    keep: Option<SessionId>,
    reason: EndReason,
    from: &Event<'_>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let mut ids = sessions::not_ended(tx, user).await?;
    ids.retain(|id| Some(*id) != keep);
    end_sessions(tx, &ids, reason, from, now).await
}

/// Ends every session there is, of all users, and returns how many. One revocation for all of them is announced. `from` says
/// who does it, from where.
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
    from: &Event<'_>,
) -> Result<u64, StoreError> {
    let mut tx = store.tx("end every session").await?;
    users::lock_all(&mut tx).await?;
    // Under the lock, as a sign-in reads it.
    let now = clock.now();
    let ended = sessions::end_everyone(&mut tx, EndReason::Administrator, now).await?;
    let announcement =
        end::of_everyone(ended.last_minted, ended.longest_access, policy.access, now);
    revocations::append(&mut tx, &[announcement], now).await?;
    let detail = ended.count.to_string();
    let event = Event {
        kind: Kind::EveryoneEnded,
        detail: &detail,
        ..from.clone()
    };
    events::record(&mut tx, &event, now).await?;
    tx.commit().await?;
    Ok(ended.count)
}

/// Revokes one access token; its session stands, and a refresh brings another token.
///
/// # Errors
/// [`StoreError`]; nothing has happened then.
pub async fn revoke_token(
    store: &Store,
    token: TokenId,
    policy: &Policy,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let mut tx = store.tx("revoke token").await?;
    let announcement = end::of_token(token, policy.access, now);
    revocations::append(&mut tx, &[announcement], now).await?;
    let detail = token.to_string();
    let event = Event {
        detail: &detail,
        ..Event::new(Kind::TokenRevoked)
    };
    events::record(&mut tx, &event, now).await?;
    tx.commit().await
}

/// Announces that the user's claims are now of version `below`.
///
/// # Errors
/// [`Fault`]; the transaction is to be dropped then.
pub async fn announce_claims(
    tx: &mut Tx,
    user: &User,
    below: u32,
    policy: &Policy,
    now: UnixMillis,
) -> Result<(), Fault> {
    let longest = sessions::longest_access(tx, user.id).await?;
    let announcement = end::of_claims(user.id, below, longest, policy.access, now);
    Ok(revocations::append(tx, &[announcement], now).await?)
}
