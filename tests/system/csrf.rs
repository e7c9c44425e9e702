//! Another site's requests change nothing: not at the origin, not at the issuer, not even by signing somebody in or out.

use anyhow::{Context as _, Result, ensure};
use harness::system::{BOB, Client, Method, Mode, Request, System};
use shared::cookie;

/// What browsers say of a request that another site has made; and what one says that says nothing.
const FOREIGN: [(Option<&str>, Option<&str>); 8] = [
    (Some("cross-site"), Some("https://evil.example")),
    (Some("cross-site"), None),
    (Some("same-site"), Some("http://other.localhost")),
    (Some("Same-Origin"), None),
    (None, Some("https://evil.example")),
    (None, Some("null")),
    (None, Some("http://localhost.evil.example")),
    (None, None),
];

/// Everything that changes something for whoever has the cookies.
const UNSAFE: [(Method, &str); 8] = [
    (Method::POST, "/auth/login"),
    (Method::POST, "/auth/logout"),
    (Method::POST, "/auth/refresh"),
    (Method::POST, "/auth/sessions/revoke-others"),
    (Method::DELETE, "/auth/sessions/x"),
    (Method::POST, "/api/x"),
    (Method::PUT, "/app/x"),
    (Method::DELETE, "/not-named-by-any-rule"),
];

/// What a request carries.
#[derive(Clone, Copy, Debug)]
enum Carries {
    Nothing,
    Form,
    Json,
}

impl Carries {
    const ALL: [Self; 3] = [Self::Nothing, Self::Form, Self::Json];

    fn put_into(self, request: Request) -> Request {
        match self {
            Self::Nothing => request,
            Self::Form => request.form(&[("email", BOB.email), ("password", BOB.password)]),
            Self::Json => {
                request.json(&serde_json::json!({"email": BOB.email, "password": BOB.password}))
            }
        }
    }
}

/// As another site's page sends it, with `cookies` if a browser attaches them.
fn foreign(
    request: Request,
    (fetch_site, origin): (Option<&str>, Option<&str>),
    cookies: Option<&str>,
) -> Request {
    let headers = [
        ("sec-fetch-site", fetch_site),
        ("origin", origin),
        ("cookie", cookies),
    ];
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .fold(request.mode(Mode::Bare), |request, (name, value)| {
            request.header(name, value)
        })
}

fn cookies(client: &Client) -> Result<String> {
    let pair = |name: &str| {
        let value = client.cookie(name).context("a cookie")?;
        anyhow::Ok(format!("{name}={value}"))
    };
    Ok([pair(cookie::ACCESS)?, pair(cookie::REFRESH)?].join("; "))
}

#[tokio::test]
async fn no_request_of_another_site_changes_anything() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    let before = client.cookies();
    let cookies = cookies(&client)?;
    for (method, path) in UNSAFE {
        for (from, carries) in FOREIGN
            .into_iter()
            .flat_map(|from| Carries::ALL.map(|carries| (from, carries)))
        {
            let request = client.request(method.clone(), path);
            let request = carries.put_into(foreign(request, from, Some(&cookies)));
            let answer = request.send().await?;
            ensure!(
                answer.status() == 403 && answer.headers_named("set-cookie").is_empty(),
                "{method} {path} {from:?} {carries:?}: {answer}"
            );
        }
    }
    assert_eq!(system.origin.count(), 0, "the origin has seen none of them");
    assert_eq!(client.cookies(), before);
    client.refresh().await?.expect(200)?;
    let mut db = system.db.connect().await?;
    let (sessions, generation): (i64, i64) =
        sqlx::query_as("select count(*), max(generation) from sessions")
            .fetch_one(&mut db)
            .await?;
    assert_eq!((sessions, generation), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_stranger_is_not_signed_in_by_another_site() -> Result<()> {
    let system = System::start().await?;
    for from in FOREIGN {
        for carries in Carries::ALL {
            let client = system.client()?;
            let request = foreign(client.request(Method::POST, "/auth/login"), from, None);
            let answer = carries.put_into(request).send().await?;
            let says_nothing = from == (None, None);
            let expected = match carries {
                // A program's; a page elsewhere cannot send JSON without asking first.
                Carries::Json if says_nothing => 200,
                Carries::Nothing if says_nothing => 415,
                _ => 403,
            };
            ensure!(
                answer.status() == expected,
                "{from:?} {carries:?}: {answer}"
            );
            assert_eq!(client.cookies().is_empty(), expected != 200);
        }
    }
    Ok(())
}

#[tokio::test]
async fn reading_and_following_links_is_allowed_from_everywhere() -> Result<()> {
    let system = System::start().await?;
    let client = system.login(&BOB).await?;
    for method in [Method::GET, Method::HEAD] {
        let request = client
            .request(method, "/app/x")
            .header("cookie", &cookies(&client)?)
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate");
        request.send().await?.expect(200)?;
    }
    Ok(())
}
