//! Asked by a real workerd, because only that shows which protocol it speaks.

use std::process::Command;
use std::time::Duration;

use super::*;
use crate::process::{Process, Stop, serial};
use crate::wait::until;
use crate::{ports, setup, workspace};

/// Does what the path says with `caches.default`, and tells how it went.
const WORKER: &str = r#"
const verbs = {
  put: (url) => caches.default.put(url, new Response("kept", { headers: { "Cache-Control": "max-age=2", "X-A": "1" } })),
  stream: (url) => {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    writer.write(new TextEncoder().encode("stre"));
    writer.write(new TextEncoder().encode("amed")).then(() => writer.close());
    return caches.default.put(url, new Response(readable, { headers: { "Cache-Control": "max-age=2" } }));
  },
  private: (url) => caches.default.put(url, new Response("x", { headers: { "Cache-Control": "private, max-age=2" } })),
  match: async (url) => {
    const found = await caches.default.match(url);
    return found && `${await found.text()} ${found.headers.get("X-A")}`;
  },
  age: async (url) => (await caches.default.match(url))?.headers.get("Age"),
  delete: (url) => caches.default.delete(url),
};

export default {
  async fetch(request) {
    const [verb, name] = new URL(request.url).pathname.slice(1).split("/");
    try {
      return new Response(String(await verbs[verb](`https://feed.invalid/${name}?after=1`)));
    } catch (error) {
      return new Response(`threw ${error}`);
    }
  },
};
"#;

const CONFIG: &str = r#"
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "cache", external = (address = "127.0.0.1:1", http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "worker")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-11-01",
  cacheApiOutbound = "cache",
);
"#;

struct Worker {
    port: u16,
    _process: Process,
}

impl Worker {
    async fn start(cache: SocketAddr) -> Self {
        let folder = workspace::scratch().unwrap();
        let folder = folder.join(format!("cache-api-{}", serial()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("worker.js"), WORKER).unwrap();
        std::fs::write(folder.join("config.capnp"), CONFIG).unwrap();
        let port = ports::free().unwrap();
        let mut command = Command::new(setup::npm::ready().unwrap().workerd().unwrap());
        command
            .args(["serve", "config.capnp"])
            .arg(format!("--socket-addr=http=127.0.0.1:{port}"))
            .arg(format!("--external-addr=cache={cache}"))
            .current_dir(&folder);
        let log = folder.join("workerd.log");
        let process = Process::spawn("workerd", command, &log, Stop::Kill).unwrap();
        until("workerd", Duration::from_secs(20), async || {
            process.check().unwrap();
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await
        .unwrap();
        let _process = process;
        Self { port, _process }
    }

    async fn ask(&self, path: &str) -> String {
        let http = crate::system::http_client().unwrap();
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        http.get(url).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn a_worker_keeps_finds_loses_and_deletes() {
    let clock = Clock::system();
    let cache = CacheApi::start(clock.clone()).await.unwrap();
    let worker = Worker::start(cache.addr()).await;
    assert_eq!(worker.ask("match/a").await, "undefined");
    assert_eq!(worker.ask("put/a").await, "undefined");
    assert_eq!(worker.ask("match/a").await, "kept 1");
    assert_eq!(worker.ask("match/b").await, "undefined", "another key");
    clock.advance(Duration::from_secs(2));
    assert_eq!(worker.ask("match/a").await, "undefined", "it has run out");
    worker.ask("private/a").await;
    assert_eq!(worker.ask("match/a").await, "undefined", "it is private");
    worker.ask("stream/a").await;
    assert_eq!(worker.ask("match/a").await, "streamed null");
    assert_eq!(worker.ask("delete/a").await, "true");
    assert_eq!(worker.ask("delete/a").await, "false");
    assert_eq!(worker.ask("match/a").await, "undefined");
    let expected = Counts {
        hits: 2,
        misses: 5,
        puts: 2,
    };
    assert_eq!(cache.counts(), expected);
}

#[tokio::test]
async fn a_worker_is_told_how_old_an_answer_is() {
    let clock = Clock::system();
    let cache = CacheApi::start(clock.clone()).await.unwrap();
    let worker = Worker::start(cache.addr()).await;
    worker.ask("put/a").await;
    assert_eq!(worker.ask("age/a").await, "0");
    clock.advance(Duration::from_secs(60));
    assert_eq!(worker.ask("age/a").await, "undefined", "it has run out");
    cache.set_overdue(true);
    let age: u64 = worker.ask("age/a").await.parse().unwrap();
    assert!((60..120).contains(&age), "{age} s");
    cache.set_overdue(false);
    assert_eq!(worker.ask("match/a").await, "undefined");
}

#[tokio::test]
async fn a_cache_that_is_broken_or_not_there_is_heard_of() {
    let cache = CacheApi::start(Clock::system()).await.unwrap();
    let worker = Worker::start(cache.addr()).await;
    cache.set_broken(true);
    assert_eq!(worker.ask("match/a").await, "undefined");
    let nobody = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
    let worker = Worker::start(nobody).await;
    let told = worker.ask("match/a").await;
    assert!(told.starts_with("threw "), "{told}");
    assert_eq!(worker.ask("put/a").await, "undefined", "nobody is told");
}
