//! The classes of routes that are watched.

use std::time::Duration;

use serde_json::{Value, json};
use shared::cookie;

use super::{Life, Trace};

/// How long a refusal is watched closely, how often then, and how often from then on: one that is let in again is found,
/// and the dead, who only grow more, do not become the load.
const AFTERMATH: Duration = Duration::from_secs(10);
const CLOSELY: Duration = Duration::from_secs(3);
const SELDOM: Duration = Duration::from_secs(30);

/// Routes with one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// What it is called.
    pub name: &'static str,
    /// The path that is asked for.
    pub path: &'static str,
    /// `freshness`.
    pub bound: Duration,
    /// Whether `when_stale` is `serve`: then the bound is kept only while anything young enough can be had.
    pub serves_stale: bool,
    /// How often at least a session is asked for that has ended and is not refused yet.
    pub until_refused: Duration,
    /// How often at least a session is asked for that has not ended.
    pub alive: Duration,
}

/// The three that there are: 2 s, the default, and the default that serves when it is stale.
pub const CLASSES: [Class; 3] = [
    Class {
        name: "strict",
        path: "/api/strict/x",
        bound: Duration::from_secs(2),
        serves_stale: false,
        until_refused: Duration::from_millis(150),
        alive: Duration::from_secs(3),
    },
    Class {
        name: "default",
        path: "/api/default/x",
        bound: Duration::from_secs(60),
        serves_stale: false,
        until_refused: Duration::from_secs(1),
        alive: Duration::from_secs(3),
    },
    Class {
        name: "serve",
        path: "/api/serve/x",
        bound: Duration::from_secs(60),
        serves_stale: true,
        until_refused: Duration::from_secs(1),
        alive: Duration::from_secs(3),
    },
];

/// A rule for each of `classes`, for [`Builder::routes`](crate::system::Builder::routes).
pub fn routes(classes: &[Class]) -> Value {
    let rule = |class: &Class| {
        json!({
            "path": format!("{}*", class.path.trim_end_matches('x')),
            "access": "user",
            "api": true,
            "freshness": format!("{}s", class.bound.as_secs()),
            "when_stale": if class.serves_stale { "serve" } else { "refuse" },
        })
    };
    let mut rules = vec![json!({ "path": "/", "access": "public" })];
    rules.extend(classes.iter().map(rule));
    Value::Array(rules)
}

impl Class {
    /// What a page of the site sends with its `fetch()`, except the refresh token: no session is renewed here.
    pub(super) fn request(&self, authority: &str, access: &str) -> String {
        format!(
            "GET {} HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\nSec-Fetch-Site: same-origin\r\n\
             Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nCookie: {}={access}\r\n\r\n",
            self.path,
            cookie::ACCESS
        )
    }

    /// How long to wait before asking again, at most.
    pub(super) fn pause(&self, life: Life, trace: &Trace) -> Duration {
        match (life, trace.refused_at) {
            (Life::Alive, _) => self.alive,
            (Life::Ending | Life::Ended(_), None) => self.until_refused,
            (_, Some(at)) if at.elapsed() < AFTERMATH => CLOSELY,
            (_, Some(_)) => SELDOM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_rule() {
        let rules = routes(&CLASSES);
        assert_eq!(rules[1]["path"], "/api/strict/*");
        assert_eq!(rules[1]["freshness"], "2s");
        assert_eq!(rules[3]["when_stale"], "serve");
        assert_eq!(rules.as_array().unwrap().len(), 1 + CLASSES.len());
    }

    #[test]
    fn the_dead_are_asked_for_often_until_they_are_refused() {
        let (class, mut trace) = (CLASSES[0], Trace::default());
        let ended = Life::Ended(std::time::Instant::now());
        assert_eq!(class.pause(Life::Alive, &trace), class.alive);
        assert_eq!(class.pause(ended, &trace), class.until_refused);
        trace.refused_at = Some(std::time::Instant::now());
        assert_eq!(class.pause(ended, &trace), CLOSELY);
        trace.refused_at = std::time::Instant::now().checked_sub(AFTERMATH);
        assert_eq!(class.pause(ended, &trace), SELDOM);
    }
}
