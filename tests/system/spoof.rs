//! A corpus of headers that try to pass for the edge's own. None may reach the origin in a form that anybody could take
//! for ours; what does reach it has the true values.

use anyhow::{Context as _, Result, ensure};
use harness::raw::{Recorded, Recorder};
use harness::system::{BOB, Builder, Client, System};
use serde_json::json;
use shared::assertion::{self, AssertionKey, Request};
use shared::secret::RootSecret;

use crate::wire::{Outcome, Site, of_session};

const ORIGIN_SECRET: &str = "tT9wXc4mQz7kLp2vNb6yRf3sHd8gJa5e";
const OURS: [&str; 4] = [
    "portcullis-user",
    "portcullis-session",
    "portcullis-roles",
    "portcullis-assertion",
];
const NAMES: [&str; 10] = [
    "User",
    "Session",
    "Roles",
    "Assertion",
    "Actor",
    "Edge-Token",
    "Client-Ip",
    "Groups",
    "X",
    "",
];

/// Other ways to write a header's name: of 10 names each.
fn spellings(name: &str) -> Vec<String> {
    let alternating = name.char_indices().map(|(at, char)| match at % 2 {
        0 => char.to_ascii_lowercase(),
        _ => char.to_ascii_uppercase(),
    });
    let with = |separator: &str| name.replace('-', separator);
    vec![
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        alternating.collect(),
        with("_"),
        with("_").to_uppercase(),
        with("."),
        with(""),
        with("--"),
        with("-_"),
        with("~"),
        with("+"),
        with("!"),
        with("%2D"),
        with("%5f"),
        format!("{name}_"),
        format!("{name}."),
        format!("{name}%00"),
    ]
}

/// Ways to hide a header `name` among others, as they stand on the wire.
fn smuggled(name: &str) -> Vec<String> {
    let low = name.to_lowercase();
    vec![
        format!("{name}:forged\r\n"),
        format!("{name}:\tforged \t\r\n"),
        format!("{name} : forged\r\n"),
        format!("{name}\t: forged\r\n"),
        format!("{name}: forged\r\n{name}: forged\r\n"),
        format!(
            "{name}: forged\r\n{low}: forged\r\n{}: forged\r\n",
            name.replace('-', "_")
        ),
        format!("{name}: forged, forged\r\n"),
        format!("{name}:\r\n forged\r\n"),
        format!("{name}: \r\n\tforged\r\n"),
        format!("{name}\r\n: forged\r\n"),
        format!("{name}: {}\r\n", "forged".repeat(500)),
        format!("X-A: 1\r\n {name}: forged\r\n"),
        format!("X-A: 1\r\n\t{name}: forged\r\n"),
        format!("X-A: 1\n{name}: forged\r\n"),
        format!("X-A: 1\r{name}: forged\r\n"),
        format!("X-A: 1\0{name}: forged\r\n"),
        format!("X-A: 1\u{b}{name}: forged\r\n"),
        format!("X-A: 1\u{c}{name}: forged\r\n"),
        format!("X-A: 1\u{85}{name}: forged\r\n"),
        format!("X-A: 1\u{2028}{name}: forged\r\n"),
        format!("X-A: 1%0d%0a{name}: forged\r\n"),
        format!("\0{name}: forged\r\n"),
        format!("\u{feff}{name}: forged\r\n"),
        format!("{name}\u{200b}: forged\r\n"),
        format!("{}: forged\r\n", name.replace('s', "\u{17f}")),
        format!("{}: forged\r\n", name.replace('i', "\u{131}")),
        format!("{}: forged\r\n", name.replace('-', "\u{2010}")),
        format!("\"{name}\": forged\r\n"),
        format!("({name}): forged\r\n"),
        format!("X-A,{name}: forged\r\n"),
        format!("{name}@: forged\r\n"),
        format!("{name}[]: forged\r\n"),
        format!("{name}: forged\r\nConnection: {name}\r\n"),
        format!(
            "Connection: close, {low}, {}\r\n{name}: forged\r\n",
            name.to_uppercase()
        ),
        // A hop that obeyed these would take the true ones away.
        format!("Connection: {name}\r\n"),
        format!("Connection: keep-alive, {name}\r\nKeep-Alive: {name}\r\n"),
        format!("Proxy-Connection: {name}\r\n{name}: forged\r\n"),
        format!("TE: trailers, {name}\r\nTrailer: {name}\r\n"),
        format!("Upgrade-Insecure-Requests: 1\r\n{name}: forged\r\nVary: {name}\r\n"),
    ]
}

/// All header lines that are tried.
fn corpus() -> Vec<String> {
    let spelled = NAMES
        .iter()
        .flat_map(|name| spellings(&format!("Portcullis-{name}")))
        .map(|name| format!("{name}: forged\r\n"));
    let smuggled = NAMES[..5]
        .iter()
        .flat_map(|name| smuggled(&format!("Portcullis-{name}")));
    spelled.chain(smuggled).collect()
}

/// Whether some framework could read `name` as one of ours: as in CGI (RFC 3875 §4.1.18), case and every character
/// between the letters do not count.
fn passes_for_ours(name: &str) -> bool {
    let folded: String = name.chars().flat_map(char::to_uppercase).collect();
    let letters: String = folded
        .replace("%2D", "-")
        .chars()
        .filter(char::is_ascii_alphabetic)
        .collect();
    letters.starts_with("PORTCULLIS")
}

/// The header lines that pass for ours, wherever somebody could see the beginning of a line (RFC 9110 §5.5).
fn ours(recorded: &Recorded) -> Vec<(String, String)> {
    let text = recorded.text();
    let lines = text.split(['\r', '\n', '\0']);
    lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| passes_for_ours(name))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

/// A kind of request that the worker sends on in its own way: with a body it copies the whole request, without one only
/// the headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    method: &'static str,
    more: &'static str,
    body: &'static str,
}

pub(crate) const KINDS: [Kind; 2] = [
    Kind {
        method: "GET",
        more: "",
        body: "",
    },
    Kind {
        method: "POST",
        more: "Sec-Fetch-Site: same-origin\r\nContent-Length: 4\r\n",
        body: "body",
    },
];

impl Kind {
    /// Sends a request for `path` with `lines`; what reaches the origin of it has its method and its body.
    pub(crate) async fn send(
        self,
        site: &Site,
        path: &str,
        client: &Client,
        lines: &str,
    ) -> Result<Outcome> {
        self.send_bytes(site, path, client, lines.as_bytes()).await
    }

    /// The same with lines that are no text.
    pub(crate) async fn send_bytes(
        self,
        site: &Site,
        path: &str,
        client: &Client,
        lines: &[u8],
    ) -> Result<Outcome> {
        let first = format!("{} {path} HTTP/1.1\r\n", self.method);
        let more = [lines, self.more.as_bytes()].concat();
        let sent = site.exchange(first.as_bytes(), client, &more, self.body.as_bytes());
        let outcome = sent.await?;
        if let Some(recorded) = &outcome.reached {
            ensure!(
                recorded.method() == self.method && recorded.body() == self.body.as_bytes(),
                "{self:?} with {:?} became {}",
                String::from_utf8_lossy(lines),
                recorded.text()
            );
        }
        Ok(outcome)
    }
}

/// With an open and a guarded route.
pub(crate) async fn site() -> Result<Site> {
    site_from(System::builder()).await
}

/// The same, of a system with more settings.
pub(crate) async fn site_from(builder: Builder) -> Result<Site> {
    let origin = Recorder::start().await?;
    let routes = json!([
        {"path": "/open/*", "access": "public"},
        {"path": "/api/*", "access": "user", "api": true},
    ]);
    let system = builder
        .edge_setting("ORIGIN_URL", &origin.url())
        .edge_setting("ORIGIN_SECRET", ORIGIN_SECRET)
        .routes(routes)
        .start()
        .await?;
    Ok(Site { system, origin })
}

/// Which of the four are there, each once and true.
pub(crate) struct Truth {
    user: String,
    session: String,
}

impl Truth {
    pub(crate) async fn of(client: &Client) -> Result<Self> {
        Ok(Self {
            user: of_session(client, "/user/id").await?,
            session: of_session(client, "/session/id").await?,
        })
    }

    pub(crate) fn check(&self, site: &Site, recorded: &Recorded) -> Result<()> {
        let all = ours(recorded);
        ensure!(all.len() == 4, "{all:?}");
        let value = |name: &str| {
            all.iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        let [user, session, roles, assertion] = OURS.map(value);
        ensure!(
            user == Some(&self.user) && session == Some(&self.session),
            "{all:?}"
        );
        ensure!(roles == Some("user"), "{all:?}");
        let keys = [AssertionKey::from(&RootSecret::parse(ORIGIN_SECRET)?)];
        let request = Request {
            method: &recorded.method(),
            site: site.system.public_url(),
            path_and_query: &recorded.target(),
        };
        let now = site.system.clock().now().to_secs();
        assertion::verify(assertion.context("an assertion")?, &keys, request, now)?;
        Ok(())
    }
}

/// How many requests of `kind` went on without what they tried, and how many were refused.
async fn try_the_corpus(site: &Site, kind: Kind, corpus: &[String]) -> Result<(u32, u32)> {
    let client = site.system.login(&BOB).await?;
    let stranger = site.system.client()?;
    let truth = Truth::of(&client).await?;
    let (mut passed, mut refused) = (0, 0);
    for line in corpus {
        let guarded = kind.send(site, "/api/x?q=1", &client, line).await?;
        let open = kind.send(site, "/open/x", &stranger, line).await?;
        for outcome in [&guarded, &open] {
            let reached = outcome.reached.is_some();
            let said = outcome.answer.status();
            ensure!(
                reached == (said == Some(200)) && (reached || outcome.answer.is_refusal()),
                "{line:?}: {said:?}, reached: {reached}"
            );
            *if reached { &mut passed } else { &mut refused } += 1;
        }
        if let Some(recorded) = &guarded.reached {
            let checked = truth.check(site, recorded);
            checked.with_context(|| format!("{line:?} became {}", recorded.text()))?;
        }
        if let Some(recorded) = &open.reached {
            let found = ours(recorded);
            ensure!(found.is_empty(), "{line:?}: {found:?} on an open route");
        }
    }
    Ok((passed, refused))
}

#[tokio::test]
async fn no_forged_identity_reaches_the_origin_in_any_spelling() -> Result<()> {
    let site = site().await?;
    let corpus = corpus();
    ensure!(corpus.len() >= 200, "{} variants", corpus.len());
    for kind in KINDS {
        let (passed, refused) = try_the_corpus(&site, kind, &corpus).await?;
        println!(
            "{}: {} variants, {passed} requests without them, {refused} refused",
            kind.method,
            corpus.len()
        );
        ensure!(passed > refused, "{kind:?}: most are stripped, not refused");
    }
    Ok(())
}

#[tokio::test]
async fn trailers_do_not_become_identity() -> Result<()> {
    let site = site().await?;
    let client = site.system.login(&BOB).await?;
    let truth = Truth::of(&client).await?;
    for name in OURS {
        // With GET the runtime sends no body of unknown length, and so no trailers.
        for (method, content) in [("GET", ""), ("POST", "abc")] {
            let head = format!(
                "Sec-Fetch-Site: same-origin\r\nTransfer-Encoding: chunked\r\nTrailer: {name}\r\n"
            );
            let body = format!("3\r\nabc\r\n0\r\n{name}: forged\r\n\r\n");
            let line = format!("{method} /api/x HTTP/1.1\r\n");
            let sent = site.exchange(line.as_bytes(), &client, head.as_bytes(), body.as_bytes());
            let outcome = sent.await?;
            let recorded = outcome.reached.context("it passes without trailers")?;
            assert_eq!(recorded.body(), content.as_bytes(), "{method} {name}");
            truth.check(&site, &recorded)?;
        }
    }
    Ok(())
}
