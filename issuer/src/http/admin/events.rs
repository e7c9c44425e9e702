//! The security log, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::caller::Administrator;
use crate::events::{self, Cursor, Filter, Kind, Line, Walk};
use crate::http::error::Failure;
use crate::http::extract::Query;
use crate::http::openapi::{Id, refusals};
use crate::services::Services;

/// Events on a page, unless another number is asked for.
const USUAL: u32 = 50;

/// Events on the longest page.
const MOST: u32 = 200;

/// Which events; what is absent is not asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The user to whom it was done.
    #[param(value_type = Option<Id>)]
    user: Option<String>,
    /// The user who did it.
    #[param(value_type = Option<Id>)]
    actor: Option<String>,
    /// What happened.
    #[param(value_type = Option<KindName>, inline)]
    kind: Option<String>,
    /// From this moment on (RFC 3339).
    #[param(format = DateTime)]
    since: Option<String>,
    /// Before this moment (RFC 3339).
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
    /// Events on the page; without it 50.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// The kinds there are.
struct KindName;

impl PartialSchema for KindName {
    fn schema() -> RefOr<Schema> {
        let names = Kind::ALL.iter().map(|kind| kind.as_str());
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .enum_values(Some(names))
            .into()
    }
}

impl ToSchema for KindName {}

/// A page of the security log.
#[derive(Serialize, ToSchema)]
#[schema(as = EventsPage)]
pub(super) struct Page {
    /// The newest first.
    events: Vec<Line>,
    /// Leads to the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The security log, the newest event first.
///
/// Whoever follows `next` gets every event that was there when they began, and none twice, whatever happens meanwhile.
#[utoipa::path(
    get,
    path = "/auth/admin/events",
    operation_id = "listEvents",
    tag = "administration",
    params(Asked),
    responses(
        (status = 200, description = "A page.", body = Page),
        refusals::Forbidden,
    ),
)]
pub(super) async fn list(
    State(services): State<Arc<Services>>,
    _: Administrator,
    Query(asked): Query<Asked>,
) -> Result<Json<Page>, Failure> {
    let limit = asked.limit()?;
    let after = parsed(asked.cursor.as_deref(), CURSOR, |text| {
        text.parse().ok().map(|Cursor(place)| place)
    })?;
    let mut conn = services.store.conn().await?;
    // One more, to know whether there is another page.
    let mut lines =
        events::page(&mut conn, &asked.filter()?, Walk::Newest(after), limit + 1).await?;
    let is_last = lines.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = lines.last().filter(|_| !is_last);
    let next = next.map(|line| Cursor(line.place()).to_string());
    Ok(Json(Page {
        events: lines,
        next,
    }))
}

const CURSOR: &str = "cursor must be the next of a page before.";

impl Asked {
    fn filter(&self) -> Result<Filter, Failure> {
        let kind = parsed(
            self.kind.as_deref(),
            "kind must be one that the issuer knows, such as sign_in.",
            Kind::parse,
        )?;
        Ok(Filter {
            user: parsed(
                self.user.as_deref(),
                "user must be the id of a user.",
                |text| text.parse().ok(),
            )?,
            actor: parsed(
                self.actor.as_deref(),
                "actor must be the id of a user.",
                |text| text.parse().ok(),
            )?,
            kind: kind.map(|kind| kind.as_str().to_owned()),
            since: parsed(
                self.since.as_deref(),
                "since must be a moment such as 2026-11-28T18:00:00Z.",
                events::moment,
            )?,
            until: parsed(
                self.until.as_deref(),
                "until must be a moment such as 2026-11-28T18:00:00Z.",
                events::moment,
            )?,
        })
    }

    fn limit(&self) -> Result<u32, Failure> {
        let limit = parsed(
            self.limit.as_deref(),
            "limit must be a whole number from 1 to 200.",
            |text| text.parse().ok().filter(|limit| (1..=MOST).contains(limit)),
        )?;
        Ok(limit.unwrap_or(USUAL))
    }
}

fn parsed<T>(
    text: Option<&str>,
    problem: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Failure> {
    text.map(|text| parse(text).ok_or(Failure::BadRequest(problem)))
        .transpose()
}
