//! Connections that are open when their session is signed out: a WebSocket for each class of routes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::StreamExt as _;
use harness::socket;
use harness::system::background::Task;
use harness::system::{Client, System};
use harness::watch::{self, Class};
use serde_json::Value;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use super::people::{Gone, Person};
use super::tally::rounded;

/// How soon one opens it again that was closed because the edge knew too little.
const AGAIN: Duration = Duration::from_millis(500);
/// The close code for that: all others that an edge gives are of a session's end.
const STALE: u16 = 4503;

/// A connection of one session, opened again whenever it is closed for another reason than its end.
#[derive(Debug)]
pub(super) struct Open {
    class: &'static Class,
    spans: Arc<Mutex<Vec<Span>>>,
    _task: Task,
}

/// A time in which it was open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: Instant,
    /// When it was closed, and with what code.
    to: Option<(Instant, u16)>,
}

/// What became of the connections of one class.
#[derive(Debug, Default)]
pub(super) struct Closings {
    /// By session that was signed out.
    pub(super) closed: Vec<Option<f64>>,
    pub(super) left_open: usize,
    pub(super) wrong: u64,
}

/// The rules of `classes`, and for each of them one for its sockets.
pub(super) fn routes(classes: &[Class]) -> Value {
    let mut rules = watch::routes(classes);
    let sockets = watch::routes(classes);
    if let (Value::Array(all), Value::Array(sockets)) = (&mut rules, sockets) {
        // The first is the public page.
        for (mut rule, class) in sockets.into_iter().skip(1).zip(classes) {
            if let Some(path) = rule.get_mut("path") {
                *path = Value::from(path_of(class));
            }
            all.push(rule);
        }
    }
    rules
}

/// Where the demo origin says everything back.
fn path_of(class: &Class) -> String {
    format!("/api/test/socket/{}", class.name)
}

/// Opens the connection of `client` at `edge`, and keeps it open.
///
/// # Errors
/// There is no such edge.
pub(super) fn start(
    system: &System,
    client: Client,
    class: &'static Class,
    edge: usize,
) -> Result<Open> {
    let edge = system.edges.get(edge).context("no such edge")?;
    let client = client.at(edge.addr());
    let spans = Arc::<Mutex<Vec<Span>>>::default();
    let task = Task::spawn(keep(client, path_of(class), Arc::clone(&spans)))?;
    Ok(Open {
        class,
        spans,
        _task: task,
    })
}

async fn keep(client: Client, path: String, spans: Arc<Mutex<Vec<Span>>>) {
    let note = |change: &dyn Fn(&mut Vec<Span>)| {
        change(&mut spans.lock().unwrap_or_else(PoisonError::into_inner));
    };
    loop {
        let site = client.public_url().to_owned();
        if let Ok((mut socket, _)) = socket::open(&client, &path, &[("origin", &site)]).await {
            let from = Instant::now();
            note(&|spans| spans.push(Span { from, to: None }));
            let code = loop {
                match socket.next().await {
                    Some(Ok(Message::Close(frame))) => {
                        break frame.map_or(1005, |frame| frame.code.into());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break 1006,
                }
            };
            let to = Some((Instant::now(), code));
            note(&|spans| {
                if let Some(last) = spans.last_mut() {
                    last.to = to;
                }
            });
        }
        sleep(AGAIN).await;
    }
}

impl Closings {
    /// Those of `class`, of sessions that were signed out and of sessions that were not.
    pub(super) fn of(class: &Class, gone: &[Gone], alive: &[Person]) -> Self {
        let mut closings = Self::default();
        let now = Instant::now();
        for gone in gone {
            for open in gone.person.open.iter().filter(|open| open.class == class) {
                closings.add(&open.spans(), gone, now);
            }
        }
        let alive = alive.iter().flat_map(|person| &person.open);
        for open in alive.filter(|open| open.class == class) {
            let closed = open.spans().into_iter().filter_map(|span| span.to);
            closings.wrong += closed.filter(|(_, code)| *code != STALE).count() as u64;
        }
        closings
    }

    fn add(&mut self, spans: &[Span], gone: &Gone, now: Instant) {
        let of_end = |span: &&Span| span.from <= gone.answered_at;
        let closed = match spans.iter().rev().find(of_end).map(|span| span.to) {
            None => None,
            Some(None) => {
                self.left_open += 1;
                Some(now.duration_since(gone.answered_at))
            }
            Some(Some((at, STALE))) if at < gone.answered_at => None,
            // While nobody had asked for its end.
            Some(Some((at, _))) if at < gone.asked_at => {
                self.wrong += 1;
                None
            }
            Some(Some((at, _))) => Some(at.saturating_duration_since(gone.answered_at)),
        };
        self.closed.push(closed.map(rounded));
    }
}

impl Open {
    fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.clone()
    }
}

#[cfg(test)]
mod tests {
    use harness::watch::CLASSES;

    use super::*;

    #[test]
    fn every_class_has_a_rule_for_its_socket() {
        let rules = routes(&CLASSES);
        assert_eq!(rules[4]["path"], "/api/test/socket/strict");
        assert_eq!(rules[4]["freshness"], "2s");
        assert_eq!(rules[6]["when_stale"], "serve");
    }
}
