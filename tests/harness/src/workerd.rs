//! workerd, the runtime of the worker, started directly with the configuration that is shipped: `edge/workerd.capnp`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{Process, Stop, serial};
use crate::setup::Npm;
use crate::{worker_build, workspace};

const START_LIMIT: Duration = Duration::from_secs(30);
/// Where the module around the worker hears of a moved clock; see [`CLOCK_MODULE`].
const CLOCK_PATH: &str = "/.harness/clock";

/// What the line of a data point begins with, in workerd's log.
pub(crate) const METRIC: &str = "metric ";

/// Around the worker's entry: `Date.now()` tells the time of the test, and what is written to the Analytics Engine data
/// set `METRICS` becomes a line of the log. The worker itself knows nothing of it.
const CLOCK_MODULE: &str = r#"import entry from "./entry.js";

const real = Date.now;
let shift = 0;
Date.now = () => real() + shift;

class AnalyticsEngineDataset {
  writeDataPoint(point) {
    console.log("metric " + JSON.stringify(point));
  }
}
const METRICS = new AnalyticsEngineDataset();
const worlds = new WeakMap();

function withMetrics(env) {
  if (!worlds.has(env)) worlds.set(env, { METRICS, ...env });
  return worlds.get(env);
}

export default {
  ...entry,
  fetch(request, env, ctx) {
    const at = request.url.indexOf("/.harness/clock?");
    if (at < 0) return entry.fetch(request, withMetrics(env), ctx);
    shift = Number(request.url.slice(at + "/.harness/clock?".length));
    return new Response(String(shift));
  },
};
"#;

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that [`worker_build::build`] gave.
    pub worker: PathBuf,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Where its KV is.
    pub kv: SocketAddr,
    /// Where `caches.default` keeps things.
    pub cache: SocketAddr,
    /// Where its inspector listens, on 127.0.0.1, if it has one.
    pub inspector: Option<u16>,
    /// Settings and secrets that are texts.
    pub texts: Vec<(String, String)>,
    /// The rules.
    pub routes: Value,
    /// Whether each request's `cf` is what its header [`CF_HEADER`] says: as at Cloudflare, if that names a data centre.
    pub has_cf: bool,
}

/// See [`Options::has_cf`].
pub const CF_HEADER: &str = "test-cf";

/// A running workerd.
#[derive(Debug)]
pub struct Workerd {
    process: Process,
    addr: SocketAddr,
}

impl Workerd {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// It does not come up; the message holds the end of its log.
    pub async fn start(npm: &Npm, options: &Options) -> Result<Self> {
        let folder = workspace::scratch()?.join(format!("workerd-{}", serial()));
        lay_out(&folder, options)?;
        let process = spawn(npm, &folder, options)?;
        let addr = SocketAddr::from(([127, 0, 0, 1], options.port));
        process.listening(addr, START_LIMIT).await?;
        Ok(Self { process, addr })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The running program.
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Its clock is from now on so far ahead of the real one.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn shift_clock(&self, shift: Duration) -> Result<()> {
        let url = format!("http://{}{CLOCK_PATH}?{}", self.addr, shift.as_millis());
        let answer = crate::system::http_client()?
            .get(url)
            .send()
            .await
            .context("workerd does not answer")?;
        answer
            .error_for_status()
            .context("workerd does not take another time")
            .map(drop)
    }
}

/// The shipped configuration and the built worker, in a folder of their own, with the clock module as the main one.
fn lay_out(folder: &Path, options: &Options) -> Result<()> {
    let (edge, target) = (folder.join("edge"), folder.join("target/edge"));
    for made in [&edge, &target] {
        std::fs::create_dir_all(made).context("cannot make a folder for workerd")?;
    }
    for file in [worker_build::ENTRY, worker_build::WASM] {
        std::fs::copy(options.worker.join(file), target.join(file))
            .with_context(|| format!("the worker has no {file}"))?;
    }
    let mut shipped = std::fs::read_to_string(workspace::root().join("edge/workerd.capnp"))
        .context("cannot read edge/workerd.capnp")?;
    if options.has_cf {
        shipped = with_cf(&shipped)?;
    }
    std::fs::write(edge.join("clock.js"), CLOCK_MODULE).context("cannot write the clock module")?;
    std::fs::write(edge.join("workerd.capnp"), with_clock(&shipped)?)
        .context("cannot write workerd's configuration")
}

/// The configuration with the clock module before the others: the first is the main one.
fn with_clock(config: &str) -> Result<String> {
    let modules = "modules = [\n";
    let at = config
        .find(modules)
        .context("edge/workerd.capnp names no modules")?
        + modules.len();
    let (before, after) = config.split_at(at);
    Ok(format!(
        "{before}    (name = \"clock.js\", esModule = embed \"clock.js\"),\n{after}"
    ))
}

/// The configuration with a socket that takes `cf` from a header.
fn with_cf(config: &str) -> Result<String> {
    let socket = "http = (), service = \"edge\"";
    ensure!(
        config.matches(socket).count() == 1,
        "edge/workerd.capnp has no socket for the edge"
    );
    let other = format!("http = (cfBlobHeader = \"{CF_HEADER}\"), service = \"edge\"");
    Ok(config.replace(socket, &other))
}

fn spawn(npm: &Npm, folder: &Path, options: &Options) -> Result<Process> {
    let mut command = Command::new(npm.workerd()?);
    command
        .args(["serve", "edge/workerd.capnp"])
        .current_dir(folder);
    command.arg(format!("--socket-addr=http=127.0.0.1:{}", options.port));
    command.arg(format!("--external-addr=kv={}", options.kv));
    command.arg(format!("--external-addr=cache={}", options.cache));
    if let Some(port) = options.inspector {
        command.arg(format!("--inspector-addr=127.0.0.1:{port}"));
    }
    // Only these: what is not in the environment is not set in the worker.
    command
        .env_clear()
        .envs(options.texts.iter().cloned())
        .env("ROUTES", options.routes.to_string());
    Process::spawn("workerd", command, &folder.join("workerd.log"), Stop::Kill)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wrangler;

    fn shipped() -> String {
        std::fs::read_to_string(workspace::root().join("edge/workerd.capnp")).unwrap()
    }

    #[test]
    fn the_clock_comes_first() {
        let config = with_clock(&shipped()).unwrap();
        assert!(config.find("clock.js").unwrap() < config.find("entry.js\"").unwrap());
        let config = with_cf(&shipped()).unwrap();
        assert!(config.contains("cfBlobHeader"), "{config}");
        assert!(with_clock("nothing").is_err());
    }

    #[test]
    fn both_ways_to_run_the_worker_agree() {
        let (shipped, wrangler) = (shipped(), wrangler::read().unwrap());
        assert!(shipped.contains(&format!(
            "compatibilityDate = \"{}\"",
            wrangler.compatibility_date
        )));
        assert!(
            wrangler
                .compatibility_flags
                .iter()
                .all(|flag| shipped.contains(flag))
        );
        assert!(
            shipped.contains("(name = \"REVOCATIONS\", kvNamespace = \"kv\")")
                && wrangler.namespace().is_ok()
        );
    }

    #[tokio::test]
    async fn data_points_become_lines_of_the_log() {
        let folder = workspace::scratch().unwrap().join("writes-metrics");
        std::fs::create_dir_all(&folder).unwrap();
        let entry = "export default { fetch(request, env) { env.METRICS.writeDataPoint({ blobs: [env.ROUTES] }); \
                     return new Response(env.METRICS.constructor.name); } };";
        std::fs::write(folder.join(worker_build::ENTRY), entry).unwrap();
        std::fs::write(folder.join(worker_build::WASM), b"\0asm\x01\0\0\0").unwrap();
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let options = Options {
            worker: folder,
            port: crate::ports::free().unwrap(),
            kv: nobody,
            cache: nobody,
            inspector: None,
            texts: Vec::new(),
            routes: Value::Array(Vec::new()),
            has_cf: false,
        };
        let npm = crate::setup::npm::ready().unwrap();
        let workerd = Workerd::start(&npm, &options).await.unwrap();
        let http = crate::system::http_client().unwrap();
        let answer = http.get(format!("http://{}/", workerd.addr())).send().await;
        let name = answer.unwrap().text().await.unwrap();
        assert_eq!(name, "AnalyticsEngineDataset");
        let written = crate::wait::until("the line", START_LIMIT, async || {
            let line = format!(r#"{METRIC}{{"blobs":["[]"]}}"#);
            workerd.process().log_contains(&line)
        });
        written.await.unwrap();
    }
}
