//! What the workers are made of.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use harness::setup::Npm;
use harness::worker_build::{ENTRY, WASM};

use super::contender::Worker;

/// The built entry, with [`SEND`] in place of its `send`.
const BENCH: &str = "bench.js";
const SEND: &str = include_str!("../../workers/send.js");
const WORKERS: [(&str, &str); 5] = [
    ("floor.js", include_str!("../../workers/floor.js")),
    ("jose.js", include_str!("../../workers/jose.js")),
    ("pass.js", include_str!("../../workers/pass.js")),
    (
        "pass_marking.js",
        include_str!("../../workers/pass_marking.js"),
    ),
    ("pass_least.js", include_str!("../../workers/pass_least.js")),
];

/// The modules in workerd's folder, as paths within it; those of jose are many.
pub(crate) struct Modules {
    jose: Vec<String>,
}

impl Modules {
    /// Copies what `worker` holds, jose and our own workers into `folder`.
    ///
    /// # Errors
    /// Something is missing, or the built entry is not of the form that is known here.
    pub(crate) fn lay_out(npm: &Npm, worker: &Path, folder: &Path) -> Result<Self> {
        for module in [ENTRY, WASM] {
            copy(&worker.join(module), &folder.join(module))?;
        }
        let entry =
            std::fs::read_to_string(worker.join(ENTRY)).context("cannot read the built entry")?;
        std::fs::write(folder.join(BENCH), answering_by_itself(&entry)?)
            .context("cannot write the measured entry")?;
        for (name, text) in WORKERS {
            std::fs::write(folder.join(name), text)
                .with_context(|| format!("cannot write {name}"))?;
        }
        let package = npm.modules().join("jose/dist/webapi");
        let mut jose = Vec::new();
        for file in files_below(&package).context("jose is not among the npm packages")? {
            let module = Path::new("jose").join(file.strip_prefix(&package).unwrap_or(&file));
            copy(&file, &folder.join(&module))?;
            jose.push(module.to_string_lossy().into_owned());
        }
        Ok(Self { jose })
    }

    /// The modules of a worker, the main one first.
    pub(crate) fn of(&self, worker: Worker) -> Vec<(String, String)> {
        let (main, others): (&str, Vec<&str>) = match worker {
            Worker::Floor => ("floor.js", Vec::new()),
            Worker::Jose { .. } => ("jose.js", self.jose.iter().map(String::as_str).collect()),
            Worker::PassThrough => ("pass.js", Vec::new()),
            Worker::MarkingPassThrough => ("pass_marking.js", Vec::new()),
            Worker::LeastPassThrough => ("pass_least.js", Vec::new()),
            Worker::Guard => (BENCH, vec![WASM]),
            Worker::Deployed => (ENTRY, vec![WASM]),
        };
        let names = [main].into_iter().chain(others);
        names
            .map(|name| (name.to_owned(), name.to_owned()))
            .collect()
    }
}

/// The deployed entry up to its verdict: `send` is the one function that forwards, and [`SEND`] answers in its place.
fn answering_by_itself(entry: &str) -> Result<String> {
    const START: &str = "\nfunction send(";
    const END: &str = "\n}\n";
    let (before, rest) = entry
        .split_once(START)
        .context("the built entry has no function `send`, which the measurement replaces")?;
    let (_, after) = rest
        .split_once(END)
        .context("the built entry's function `send` has no end")?;
    Ok(format!("{before}\n{SEND}{after}"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().unwrap_or(to))
        .with_context(|| format!("cannot make a folder for {}", to.display()))?;
    std::fs::copy(from, to)
        .with_context(|| format!("cannot copy {}", from.display()))
        .map(drop)
}

fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_below(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_send_is_replaced() {
        let entry = "let a;\nfunction send(x) {\n\tif (x) {\n\t}\n}\n\nfunction b() {\n}\n";
        let made = answering_by_itself(entry).unwrap();
        assert!(
            made.starts_with("let a;\n// ") && made.ends_with("\n}\n\nfunction b() {\n}\n"),
            "{made}"
        );
        assert_eq!(made.matches("function send(").count(), 1);
        assert!(answering_by_itself("function b() {\n}\n").is_err());
    }

    #[test]
    fn the_script_of_the_edge_is_of_the_known_form() {
        let made = answering_by_itself(include_str!("../../../../edge/entry/onward.js")).unwrap();
        assert_eq!(made.matches("function send(").count(), 1);
        assert!(made.contains("x-measure") && !made.contains("new Request(url, request)"));
    }
}
