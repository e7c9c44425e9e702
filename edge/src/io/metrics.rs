//! Counters: data points of Workers Analytics Engine, where the binding `METRICS` is set.

use js_sys::{Array, Function, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::Env;

const BINDING: &str = "METRICS";

/// Writes a data point: `name` to group by, `blobs` and `doubles` as the metric's place of use says.
pub(crate) fn count(env: &Env, name: &str, blobs: &[&str], doubles: &[f64]) {
    // A metric that cannot be written is no reason to fail a request.
    let _ = write(env, name, blobs, doubles);
}

fn write(env: &Env, name: &str, blobs: &[&str], doubles: &[f64]) -> Result<(), JsValue> {
    let binding = Reflect::get(env, &BINDING.into())?;
    if binding.is_undefined() {
        return Ok(());
    }
    let point = Object::new();
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| JsValue::from(*text))
            .collect::<Array>()
    };
    Reflect::set(&point, &"indexes".into(), &texts(&[name]))?;
    Reflect::set(&point, &"blobs".into(), &texts(blobs))?;
    let doubles: Array = doubles
        .iter()
        .map(|number| JsValue::from(*number))
        .collect();
    Reflect::set(&point, &"doubles".into(), &doubles)?;
    let write: Function = Reflect::get(&binding, &"writeDataPoint".into())?.dyn_into()?;
    write.call1(&binding, &point).map(drop)
}
