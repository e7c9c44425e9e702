//! What a sign-in with a password may try: the limit by account, and the cookie of a browser that the account knows.

use axum::http::HeaderValue;
use shared::cookie::{self, Found};
use shared::id::UserId;
use shared::time::UnixMillis;
use sqlx::PgConnection;

use crate::entropy;
use crate::fault::Fault;
use crate::http::error::Failure;
use crate::limits::account::{Attempt, Subject};
use crate::limits::device::{Device, DeviceId, LIFETIME};
use crate::services::Services;

/// The cookie of a browser that somebody has signed in with. It is of use to the sign-in alone, so browsers send it nowhere
/// else: neither the guard nor the origin sees it, which rules out the `__Host-` prefix, whose path is `/`.
pub(in crate::http) const COOKIE: &str = "__Secure-known-device";

const ATTRIBUTES: &str = "Path=/auth/login; Secure; HttpOnly; SameSite=Strict";

/// What the browser says it is; of two cookies neither counts.
pub(super) fn device(services: &Services, cookies: &str) -> Option<Device> {
    match cookie::find(cookies, COOKIE) {
        Found::One(value) => Device::open(
            value,
            &services.config.seal_keys,
            &services.config.public_url,
        ),
        Found::Absent | Found::Several => None,
    }
}

/// Takes an attempt at the account of `user`, or at the address `email` that has none.
pub(super) async fn take(
    services: &Services,
    conn: &mut PgConnection,
    device: Option<&Device>,
    (user, email): (Option<UserId>, &str),
    now: UnixMillis,
) -> Result<Attempt, Failure> {
    let subject = user.map_or(Subject::Nobody(email), Subject::User);
    let known = user.and_then(|user| device?.known_to(user, now.to_secs()));
    let accounts = &services.limits.accounts;
    let taken = accounts.take(conn, subject, known, now).await?;
    Ok(taken.inspect_err(|_| services.limits.failures.count())?)
}

/// The `Set-Cookie` value by which the browser is known to `user` from now on; none where nobody asks for it.
pub(super) fn remember(
    services: &Services,
    device: Option<Device>,
    user: UserId,
) -> Result<Option<HeaderValue>, Failure> {
    if !services.limits.accounts.is_on() {
        return Ok(None);
    }
    let device = match device {
        Some(device) => device,
        None => Device::new(DeviceId::from_bytes(random()?)),
    };
    let device = device.with(user, services.clock.now().to_secs());
    let (keys, issuer) = (&services.config.seal_keys, &services.config.public_url);
    let value = device.seal(keys, issuer, random()?);
    let cookie = format!(
        "{COOKIE}={value}; Max-Age={}; {ATTRIBUTES}",
        LIFETIME.as_secs()
    );
    Ok(HeaderValue::from_str(&cookie).ok())
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    Ok(entropy::bytes()?)
}
