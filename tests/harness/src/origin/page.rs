//! The demo origin's pages.

use std::fmt::Write as _;

use shared::wire::header;

use super::Received;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2f6f5e; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 2rem 1.25rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; border-bottom: 1px solid var(--line); padding-bottom: 1rem; }
header strong { margin-right: auto; letter-spacing: .02em; }
a { color: var(--accent); }
@media (prefers-color-scheme: dark) { a { color: #7fd1b9; } }
h1 { font-size: 1.6rem; margin: 1.75rem 0 .5rem; }
button, .button { font: inherit; padding: .35rem .9rem; border: 1px solid var(--line); border-radius: .4rem; background: var(--soft); color: inherit; cursor: pointer; text-decoration: none; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; white-space: nowrap; }
td { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
";

/// `/`, which needs no sign-in.
pub(super) fn public() -> String {
    let body = r#"<h1>A site behind Portcullis</h1>
<p>Everybody may read this page. The areas above need a sign-in, and <code>/admin/</code> the role <code>admin</code> too.</p>
<p><a class="button" href="/auth/login?return_to=/app/">Sign in</a></p>"#;
    page("Public", body)
}

/// A page of a guarded area: who the edge says you are, and what it sent.
pub(super) fn area(received: &Received) -> String {
    let identity = [
        ("User", header::USER),
        ("Session", header::SESSION),
        ("Roles", header::ROLES),
    ];
    let mut who = String::new();
    for (label, name) in identity {
        row(
            &mut who,
            label,
            received.header(name).unwrap_or("(nothing)"),
        );
    }
    let mut sent = String::new();
    for (name, value) in &received.headers {
        row(&mut sent, name, value);
    }
    let body = format!(
        r#"<h1>{title}</h1>
<p>The request passed the edge, which told this origin who you are:</p>
<table>{who}</table>
<form method="post" action="/auth/logout"><button>Sign out</button> <a class="button" href="/auth/account">Your sessions</a></form>
<h1>What arrived here</h1>
<p>{method} {path}, {length} bytes of body</p>
<table>{sent}</table>"#,
        title = if received.path.starts_with("/admin") {
            "Administration"
        } else {
            "The application"
        },
        method = escaped(&received.method),
        path = escaped(&received.path),
        length = received.body_length,
    );
    page(&received.path, &body)
}

/// A path that is nowhere.
pub(super) fn missing(path: &str) -> String {
    page(
        "Not found",
        &format!(
            "<h1>Nothing here</h1><p>This site has no <code>{}</code>.</p>",
            escaped(path)
        ),
    )
}

fn page(title: &str, body: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><style>{STYLE}</style></head>
<body>
<header><strong>Demo origin</strong><a href="/">Public</a><a href="/app/">App</a><a href="/api/hello">API</a><a href="/admin/">Admin</a></header>
<main>{body}</main>
</body>
</html>
"#,
        title = escaped(title)
    )
}

fn row(table: &mut String, label: &str, value: &str) {
    let _ = write!(
        table,
        "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
        escaped(label),
        escaped(value)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
