//! Events as they are read: by administrators page by page, and as lines of JSON.

use std::net::IpAddr;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use shared::id::{SessionId, UserId};
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::{Filter, Place, Walk};
use crate::store::{StoreError, events as rows};

/// An event, as JSON. No character in it ends a line: JSON escapes those below U+0020, and the log holds no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct Line {
    /// Tells events of one moment apart, and grows with the order of writing.
    number: i64,
    /// When it happened (RFC 3339, in UTC, with milliseconds).
    #[serde(serialize_with = "rfc_3339")]
    #[schema(value_type = String, format = DateTime)]
    at: UnixMillis,
    /// What happened.
    kind: String,
    /// Who did it.
    actor: Who,
    /// To whom.
    #[schema(value_type = Option<String>)]
    user: Option<UserId>,
    /// In which session.
    #[schema(value_type = Option<String>)]
    session: Option<SessionId>,
    /// From where, unless that was forgotten.
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// With what, unless that was forgotten.
    user_agent: String,
    /// Why, and what else there is to say.
    #[schema(value_type = Object)]
    detail: Map<String, Value>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EventActor)]
pub struct Who {
    /// `user`, `cli`, `edge`, `provider`, `system` or `unknown`.
    #[serde(rename = "type")]
    kind: String,
    /// Which user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    id: Option<UserId>,
}

impl Line {
    /// Its place in the log.
    pub const fn place(&self) -> Place {
        Place {
            at: self.at,
            number: self.number,
        }
    }
}

impl TryFrom<rows::Row> for Line {
    type Error = StoreError;

    fn try_from(row: rows::Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.place.number,
            at: row.place.at,
            kind: row.kind,
            actor: Who {
                kind: row.actor,
                id: row.actor_id.map(UserId::from_bytes),
            },
            user: row.user,
            session: row.session,
            ip: row.ip,
            user_agent: row.user_agent,
            detail: serde_json::from_str(&row.detail)
                .map_err(|_| StoreError::Corrupt("events.detail"))?,
        })
    }
}

/// At most `limit` events that `filter` lets pass: see [`rows::page`].
///
/// # Errors
/// [`StoreError`] where Postgres does not answer.
pub async fn page(
    conn: &mut PgConnection,
    filter: &Filter,
    walk: Walk,
    limit: u32,
) -> Result<Vec<Line>, StoreError> {
    let rows = rows::page(conn, filter, walk, i64::from(limit)).await?;
    rows.into_iter().map(Line::try_from).collect()
}

/// A moment as RFC 3339 writes it, with its offset; cut to milliseconds.
pub fn moment(text: &str) -> Option<UnixMillis> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    Some(UnixMillis::from_millis(i64::try_from(millis).ok()?))
}

fn rfc_3339<S: Serializer>(at: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    // All of one length, so that they sort as texts, too.
    let millis = at.millis().rem_euclid(1000);
    let text = crate::time::rfc3339(*at);
    match text {
        Some(text) => {
            serializer.serialize_str(&format!("{}.{millis:03}Z", text.trim_end_matches('Z')))
        }
        None => Err(serde::ser::Error::custom(
            "a moment outside the years that RFC 3339 can write",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_with_their_offset() {
        let millis = |text| moment(text).map(UnixMillis::millis);
        assert_eq!(millis("2025-11-24T16:00:00.123Z"), Some(1_764_000_000_123));
        assert_eq!(millis("2025-11-24T17:00:00+01:00"), Some(1_764_000_000_000));
        for text in [
            "",
            "yesterday",
            "2025-11-24",
            "2025-11-24T16:00:00",
            "2025-13-24T16:00:00Z",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_of_json_is_one_line() {
        let row = rows::Row {
            place: Place {
                at: UnixMillis::from_millis(1_764_000_000_123),
                number: 7,
            },
            kind: "sign_in".to_owned(),
            actor: "user".to_owned(),
            actor_id: Some([1; 16]),
            user: Some(UserId::from_bytes([1; 16])),
            session: None,
            ip: Some(IpAddr::from([192, 0, 2, 1])),
            user_agent: "a\"\\\n{\"number\":8}".to_owned(),
            detail: r#"{"provider":"password"}"#.to_owned(),
        };
        let json = serde_json::to_string(&Line::try_from(row).unwrap()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"number":7,"at":"2025-11-24T16:00:00.123Z","kind":"sign_in","#,
                r#""actor":{"type":"user","id":"AQEBAQEBAQEBAQEBAQEBAQ"},"user":"AQEBAQEBAQEBAQEBAQEBAQ","#,
                r#""session":null,"ip":"192.0.2.1","user_agent":"a\"\\\n{\"number\":8}","detail":{"provider":"password"}}"#
            )
        );
    }
}
