//! Structured lines in the worker's log. Values are JSON strings, so none can forge a line; tokens never come here.

use serde_json::{Map, Value};
use web_sys::console;

/// Something that an operator should know.
pub(crate) fn warn(message: &str, fields: &[(&str, &str)]) {
    console::warn_1(&line("warn", message, fields).into());
}

/// Something that happens every day.
pub(crate) fn info(message: &str, fields: &[(&str, &str)]) {
    console::log_1(&line("info", message, fields).into());
}

fn line(level: &str, message: &str, fields: &[(&str, &str)]) -> String {
    let mut object = Map::new();
    for (name, value) in [("level", level), ("message", message)]
        .iter()
        .chain(fields)
    {
        object.insert((*name).to_owned(), Value::from(*value));
    }
    Value::Object(object).to_string()
}
