//! The description against the routes themselves. That it is valid OpenAPI, and that the answers are as it says, is tested
//! over HTTP: tests/system/openapi.rs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

fn described_site() -> Value {
    let api = described(crate::http::site().into_openapi(), "https://example.org");
    serde_json::from_str(&api.to_json().unwrap()).unwrap()
}

fn operations(api: &Value) -> Vec<(String, &Value)> {
    let paths = api["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
        .collect()
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_a_room() {
    let api = described_site();
    assert_eq!(api["openapi"], "3.1.0");
    assert_eq!(api["servers"][0]["url"], "https://example.org");
    let mut names = BTreeSet::new();
    for (what, operation) in operations(&api) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{what}: {name} comes twice");
        assert!(operation["summary"].is_string(), "{what} has no summary");
        assert!(operation["tags"][0].is_string(), "{what} has no tag");
    }
    assert!(names.len() > 8, "{names:?}");
}

#[test]
fn every_answer_is_described_and_every_reference_leads_somewhere() {
    let api = described_site();
    for (what, operation) in operations(&api) {
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let answer = match answer["$ref"].as_str() {
                Some(path) => api.pointer(path.strip_prefix('#').unwrap()),
                None => Some(answer),
            };
            let answer = answer.unwrap_or_else(|| panic!("{what} {status}: no such answer"));
            assert!(
                answer["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{what} {status} is not described"
            );
        }
    }
}

#[test]
fn no_name_stands_for_two_schemas() {
    use crate::http::{admin, browser, oauth, provider};
    let mut known = BTreeMap::new();
    for room in [
        browser::routes(),
        admin::routes(),
        oauth::routes(),
        provider::routes(),
    ] {
        let components = room.into_openapi().components.unwrap();
        for (name, schema) in components.schemas {
            let schema = serde_json::to_value(schema).unwrap();
            let first = known.entry(name.clone()).or_insert_with(|| schema.clone());
            assert_eq!(
                *first, schema,
                "{name}: give one of them another with `schema(as = …)`"
            );
        }
    }
    assert!(known.len() > 5);
}

/// Schemas that only a parameter names are not collected: those say `inline(…)`.
#[test]
fn every_schema_that_is_named_is_there() {
    let api = described_site();
    let text = api.to_string();
    let references = text.split(r##""$ref":"#"##).skip(1);
    for reference in references {
        let path = reference.split('"').next().unwrap();
        assert!(api.pointer(path).is_some(), "{path}");
    }
}

#[test]
fn who_takes_no_credential_says_so() {
    let api = described_site();
    for (what, operation) in operations(&api) {
        let is_public = operation["security"] == serde_json::json!([{}]);
        let refuses = operation["responses"]["401"].is_object();
        assert!(
            is_public || refuses || operation["security"][0] == serde_json::json!({}),
            "{what}"
        );
    }
    let session = &api["paths"]["/auth/session"]["get"];
    assert!(session["security"].is_null() && session["responses"]["401"].is_object());
}

#[test]
fn what_only_edges_call_is_not_described() {
    let api = described_site();
    assert!(
        operations(&api)
            .iter()
            .all(|(what, _)| !what.contains("/edge/"))
    );
}
