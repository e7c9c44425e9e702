//! What an open connection costs in the worker: the CPU time of a message, and the memory of a WebSocket, where it is
//! watched beside where it is not. Both are routes of one worker: a guarded one, whose sockets it relays and looks at, and a
//! public one, whose sockets the runtime passes on by itself.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use harness::socket::{self, Socket};
use harness::system::{BOB, Client, System};
use serde::Serialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::cpu;
use crate::statistics::{median, ratios};

/// Sockets that carry messages at a time.
const SOCKETS: usize = 8;
/// Sockets whose memory is counted.
const MANY: usize = 1_000;
/// How many of them are being opened at a time.
const AT_ONCE: usize = 50;
/// Bytes of a message.
const SIZES: [usize; 2] = [32, 16 * 1024];
/// The demo origin says back what comes to any of these.
const WATCHED: &str = "/api/test/socket/watched";
const PASSED_ON: &str = "/api/test/socket/passed-on";

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also write the numbers as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often each is measured, in turn
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// For how long each time
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    messages: Vec<Row>,
    /// Kilobytes of the worker's process for each open socket.
    memory_kb: Pair,
}

/// Messages of one size, there and back.
#[derive(Debug, Serialize)]
struct Row {
    bytes: usize,
    /// Microseconds of the worker's process for one message and its echo.
    cpu_us: Pair,
    /// The second over the first, within a round.
    ratio: f64,
}

#[derive(Debug, Serialize)]
struct Pair {
    passed_on: f64,
    watched: f64,
}

/// Sets up what is missing, measures, and prints the tables.
///
/// # Errors
/// The stack does not come up, or a socket breaks.
pub(crate) fn run(options: &Options) -> Result<()> {
    harness::files::allow_many()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")?;
    let report = runtime.block_on(measure(options))?;
    if let Some(path) = &options.json {
        let json = serde_json::to_string(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!(
        "{:<28} {:>12} {:>12} {:>6}",
        "a message and its echo", "passed on", "watched", "ratio"
    );
    for row in &report.messages {
        println!(
            "{:<28} {:>9.1} µs {:>9.1} µs {:>6.2}",
            format!("{} bytes, CPU time", row.bytes),
            row.cpu_us.passed_on,
            row.cpu_us.watched,
            row.ratio
        );
    }
    println!(
        "{:<28} {:>9.0} KB {:>9.0} KB",
        format!("memory, each of {MANY}"),
        report.memory_kb.passed_on,
        report.memory_kb.watched
    );
    Ok(())
}

async fn measure(options: &Options) -> Result<Report> {
    let mut messages = Vec::new();
    let system = start().await?;
    let client = system.login(&BOB).await?;
    let mut passed_on = open_all(&client, PASSED_ON, SOCKETS).await?;
    let mut watched = open_all(&client, WATCHED, SOCKETS).await?;
    for bytes in SIZES {
        let (mut plain, mut relayed) = (Vec::new(), Vec::new());
        // The first round warms up.
        for round in 0..=options.rounds {
            let time = Duration::from_secs_f64(options.seconds);
            let one = carry(&system, &mut passed_on, bytes, time).await?;
            let other = carry(&system, &mut watched, bytes, time).await?;
            if round > 0 {
                plain.push(one);
                relayed.push(other);
            }
        }
        messages.push(Row {
            bytes,
            ratio: median(ratios(&relayed, &plain)).unwrap_or(f64::NAN),
            cpu_us: Pair {
                passed_on: median(plain).unwrap_or(f64::NAN),
                watched: median(relayed).unwrap_or(f64::NAN),
            },
        });
    }
    Ok(Report {
        messages,
        memory_kb: Pair {
            passed_on: memory(PASSED_ON).await?,
            watched: memory(WATCHED).await?,
        },
    })
}

async fn start() -> Result<System> {
    let routes = json!([
        {"path": PASSED_ON, "access": "public"},
        {"path": "/api/*", "access": "user", "api": true},
    ]);
    System::builder().routes(routes).start().await
}

async fn open_all(client: &Client, path: &str, count: usize) -> Result<Vec<Socket>> {
    let opening = (0..count).map(|_| async move {
        let site = client.public_url();
        let (mut socket, _) = socket::open(client, path, &[("origin", site)]).await?;
        echo(&mut socket, 1).await?;
        anyhow::Ok(socket)
    });
    stream::iter(opening)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn echo(socket: &mut Socket, bytes: usize) -> Result<()> {
    socket.send(Message::binary(vec![b'.'; bytes])).await?;
    let back = socket.next().await.context("the socket was closed")??;
    ensure!(back.is_binary() && back.len() == bytes, "{back:?}");
    Ok(())
}

/// Microseconds of the worker's CPU time for a message there and back.
async fn carry(
    system: &System,
    sockets: &mut [Socket],
    bytes: usize,
    time: Duration,
) -> Result<f64> {
    let process = system.edges[0].process_id().await?;
    let (begun, before) = (Instant::now(), cpu::used_by(process)?);
    let carried = sockets.iter_mut().map(|socket| async move {
        let mut count = 0_u32;
        while begun.elapsed() < time {
            echo(socket, bytes).await?;
            count += 1;
        }
        anyhow::Ok(count)
    });
    let count: u32 = try_join_all(carried).await?.into_iter().sum();
    let used = cpu::used_by(process)? - before;
    Ok(used.as_secs_f64() * 1e6 / f64::from(count))
}

/// Kilobytes for each of many sockets, in a worker of their own.
async fn memory(path: &str) -> Result<f64> {
    let system = start().await?;
    let client = system.login(&BOB).await?;
    drop(open_all(&client, path, SOCKETS).await?);
    let before = system.edges[0].resident_bytes().await?;
    let open = open_all(&client, path, MANY).await?;
    let after = system.edges[0].resident_bytes().await?;
    drop(open);
    #[expect(clippy::cast_precision_loss, reason = "some hundred megabytes at most")]
    let each = after.saturating_sub(before) as f64 / MANY as f64 / 1024.0;
    Ok(each)
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds, such as 0.5".to_owned()),
    }
}
