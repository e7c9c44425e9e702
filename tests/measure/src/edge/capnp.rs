//! workerd's configuration, in the text format of Cap'n Proto.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// One service of its own isolate, with a socket of its own.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Its modules, the main one first: name, and the file relative to the configuration.
    pub(crate) modules: Vec<(String, String)>,
    /// Its texts.
    pub(crate) texts: Vec<(&'static str, String)>,
    /// Its settings that are JSON.
    pub(crate) jsons: Vec<(&'static str, String)>,
    /// What it calls the KV, if it has it.
    pub(crate) kv: Option<&'static str>,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
}

/// What all services have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common<'a> {
    /// Where the KV is.
    pub(crate) kv: SocketAddr,
    /// The date that fixes how the runtime behaves.
    pub(crate) compatibility_date: &'a str,
    /// Deviations from that.
    pub(crate) compatibility_flags: &'a [String],
}

/// The configuration that holds all `services`.
pub(crate) fn config(services: &[Service], common: Common<'_>) -> String {
    let (mut names, mut sockets, mut workers) = (String::new(), String::new(), String::new());
    for (index, service) in services.iter().enumerate() {
        let _ = writeln!(names, "    (name = \"s{index}\", worker = .worker{index}),");
        let port = service.port;
        let _ = writeln!(
            sockets,
            "    (name = \"s{index}\", address = \"127.0.0.1:{port}\", http = (), service = \"s{index}\"),"
        );
        let _ = write!(
            workers,
            "\nconst worker{index} :Workerd.Worker = {};\n",
            worker(service, common)
        );
    }
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
{names}    (name = "kv", external = (address = {kv}, http = ())),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [
{sockets}  ],
);
{workers}"#,
        kv = quoted(&common.kv.to_string()),
    )
}

fn worker(service: &Service, common: Common<'_>) -> String {
    let mut modules = String::new();
    for (name, file) in &service.modules {
        let kind = if file.ends_with(".wasm") {
            "wasm"
        } else {
            "esModule"
        };
        let _ = writeln!(
            modules,
            "    (name = {}, {kind} = embed {}),",
            quoted(name),
            quoted(file)
        );
    }
    let mut bindings = String::new();
    for (name, value) in &service.texts {
        let _ = writeln!(
            bindings,
            "    (name = {}, text = {}),",
            quoted(name),
            quoted(value)
        );
    }
    for (name, value) in &service.jsons {
        let _ = writeln!(
            bindings,
            "    (name = {}, json = {}),",
            quoted(name),
            quoted(value)
        );
    }
    if let Some(name) = service.kv {
        let _ = writeln!(
            bindings,
            "    (name = {}, kvNamespace = \"kv\"),",
            quoted(name)
        );
    }
    let flags: Vec<String> = common
        .compatibility_flags
        .iter()
        .map(|flag| quoted(flag))
        .collect();
    format!(
        "(\n  modules = [\n{modules}  ],\n  compatibilityDate = {},\n  compatibilityFlags = [{}],\n  bindings = [\n{bindings}  ],\n)",
        quoted(common.compatibility_date),
        flags.join(", "),
    )
}

/// A text literal. Everything here is printable ASCII, for which JSON escapes as Cap'n Proto does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_every_service_with_its_modules_and_bindings() {
        let service = |port, kv| Service {
            modules: vec![
                ("main.js".into(), "main.js".into()),
                ("x.wasm".into(), "built/x.wasm".into()),
            ],
            texts: vec![("URL", "http://localhost".into())],
            jsons: vec![("RULES", r#"["/"]"#.into())],
            kv,
            port,
        };
        let flags = ["nodejs_compat".to_owned()];
        let common = Common {
            kv: ([127, 0, 0, 1], 5).into(),
            compatibility_date: "2026-11-01",
            compatibility_flags: &flags,
        };
        let text = config(&[service(1, None), service(2, Some("KV"))], common);
        for part in [
            r#"(name = "s1", worker = .worker1)"#,
            r#"(name = "s0", address = "127.0.0.1:1", http = (), service = "s0")"#,
            r#"(name = "main.js", esModule = embed "main.js")"#,
            r#"(name = "x.wasm", wasm = embed "built/x.wasm")"#,
            r#"(name = "URL", text = "http://localhost")"#,
            r#"(name = "RULES", json = "[\"/\"]")"#,
            r#"compatibilityFlags = ["nodejs_compat"]"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(text.matches("kvNamespace").count(), 1);
    }
}
