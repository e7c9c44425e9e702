//! Reads the configuration out of the worker's environment, once per isolate.

use std::rc::Rc;

use js_sys::{JSON, Reflect};
use wasm_bindgen::JsValue;
use worker::Env;

use super::isolate::{self, Settings};
use super::log;
use crate::config::Config;

/// The settings. A bad configuration is remembered as well, with its reason.
pub(crate) fn held_or_read(env: &Env) -> Settings {
    if let Some(settings) = isolate::settings() {
        return settings;
    }
    let read = Config::parse(|name| binding(env, name)).map_err(|bad| bad.to_string());
    if let Err(reason) = &read {
        log::warn(
            "the configuration is wrong; every request is refused",
            &[("reason", reason)],
        );
    }
    let settings = Rc::new(read);
    isolate::hold_settings(Rc::clone(&settings));
    settings
}

/// A variable or secret as it is, a table (`[[vars.ROUTES]]`) as JSON.
fn binding(env: &Env, name: &str) -> Option<String> {
    let value: JsValue = Reflect::get(env, &name.into()).ok()?;
    if value.is_undefined() || value.is_null() {
        return None;
    }
    value
        .as_string()
        .or_else(|| JSON::stringify(&value).ok()?.as_string())
}
