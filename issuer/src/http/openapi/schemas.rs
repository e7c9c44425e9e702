//! Schemas of what `shared` defines, which knows nothing of OpenAPI, and of what stands in many answers.

use shared::rejection::Code;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// 128 random bits in base64url: an id of a user, a session or a token.
#[derive(ToSchema)]
#[schema(
    pattern = "^[A-Za-z0-9_-]{21}[AQgw]$",
    example = "AAAAAAAAAAAAAAAAAAAAAA"
)]
#[expect(dead_code, reason = "a schema, not a value")]
pub(in crate::http) struct Id(String);

/// The schema of [`shared::wire::Problem`].
pub(super) struct Problem;

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let status = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Integer))
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .description(Some("The status of the answer."));
        let title = text().description(Some("The same for every occurrence of the code."));
        let detail = text().description(Some(
            "What to do about this occurrence. Where a field of the request is wrong, its name.",
        ));
        ObjectBuilder::new()
            .description(Some("An error (RFC 9457)."))
            .property("type", text().enum_values(Some(["about:blank"])))
            .property("title", title)
            .property("status", status)
            .property("code", code(&Code::ALL))
            .property("detail", detail)
            .required("type")
            .required("title")
            .required("status")
            .required("code")
            .into()
    }
}

impl ToSchema for Problem {}

/// A problem with this status and one of these codes.
pub(super) fn problem(status: u16, codes: &[Code]) -> Schema {
    let status = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .enum_values(Some([status]));
    let narrower = ObjectBuilder::new()
        .property("status", status)
        .property("code", code(codes));
    AllOfBuilder::new()
        .item(Ref::from_schema_name(Problem::name()))
        .item(narrower)
        .into()
}

fn code(among: &[Code]) -> ObjectBuilder {
    text()
        .enum_values(Some(among.iter().map(|code| code.as_str())))
        .description(Some("What programs look at."))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}
