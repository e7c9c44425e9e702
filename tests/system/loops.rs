//! No way leads in a circle: what signing in cannot mend ends in a page that says what is wrong.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::system::{Answer, BOB, Client, Link, Method, Mode, System};
use serde_json::json;
use shared::cookie;

const HOUR: Duration = Duration::from_secs(3600);

/// A browser's way through the site: it follows redirects, and says where it has been.
struct Visitor {
    client: Client,
    site: String,
    cookies: bool,
    /// All that was seen in this try: path and status.
    seen: Vec<(String, u16)>,
}

impl Visitor {
    fn of(system: &System, client: Client) -> Self {
        Self {
            client,
            site: system.public_url().to_owned(),
            cookies: true,
            seen: Vec::new(),
        }
    }

    /// The address bar: where it ends.
    async fn open(&mut self, path: &str) -> Result<Answer> {
        self.seen.clear();
        self.follow(path.to_owned(), None).await
    }

    /// The form of the sign-in page at `page`, sent.
    async fn sign_in(&mut self, page: &str) -> Result<Answer> {
        let return_to = page.split_once("return_to=").context("return_to")?.1;
        let return_to = return_to.split('&').next().unwrap_or_default();
        let fields = [
            ("email", BOB.email),
            ("password", BOB.password),
            ("return_to", return_to),
        ];
        let referer = format!("{}{page}", self.site);
        let mut request = self
            .client
            .request(Method::POST, "/auth/login")
            .mode(Mode::Navigate)
            .header("referer", &referer)
            .form(&fields);
        if !self.cookies {
            request = request.without_cookies();
        }
        let answer = request.send().await?.expect(303)?;
        let to = answer.location().context("location")?.to_owned();
        // A redirect keeps the referrer of the page that it began on.
        self.follow(to, Some(&referer)).await
    }

    async fn follow(&mut self, mut path: String, referer: Option<&str>) -> Result<Answer> {
        for _ in 0..10 {
            let mut request = self.client.request(Method::GET, &path).mode(Mode::Navigate);
            if let Some(referer) = referer {
                request = request.header("referer", referer);
            }
            if !self.cookies {
                request = request.without_cookies();
            }
            let answer = request.send().await?;
            self.seen.push((path.clone(), answer.status()));
            match answer.location() {
                Some(to) => path = to.to_owned(),
                None => return Ok(answer),
            }
        }
        anyhow::bail!("a loop: {:?}", self.seen)
    }

    fn sign_in_pages(&self) -> usize {
        let pages = self
            .seen
            .iter()
            .filter(|(path, _)| path.starts_with("/auth/login"));
        pages.count()
    }

    fn last(&self) -> &str {
        self.seen.last().map_or("", |(path, _)| path)
    }
}

/// A page for people that says `what`, and leads nowhere by itself.
fn says(answer: &Answer, what: &str) -> Result<()> {
    let text = answer.text();
    ensure!(
        answer.location().is_none() && text.contains("<h1") && text.to_lowercase().contains(what),
        "a page about {what}: {answer}"
    );
    Ok(())
}

#[tokio::test]
async fn a_sign_in_page_is_seen_once_and_the_wanted_page_after_it() -> Result<()> {
    let system = System::start().await?;
    let mut visitor = Visitor::of(&system, system.client()?);
    visitor.open("/app/").await?.expect(200)?;
    let page = visitor.last().to_owned();
    assert_eq!(page, "/auth/login?return_to=/app/");
    visitor.sign_in(&page).await?.expect(200)?;
    assert_eq!((visitor.sign_in_pages(), visitor.last()), (1, "/app/"));
    Ok(())
}

#[tokio::test]
async fn the_sign_in_page_lets_browsers_say_that_they_come_from_it() -> Result<()> {
    let system = System::start().await?;
    let page = system
        .client()?
        .navigate("/auth/login?return_to=/app/")
        .await?;
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    Ok(())
}

#[tokio::test]
async fn a_browser_that_blocks_cookies_is_told_so() -> Result<()> {
    let system = System::start().await?;
    let mut visitor = Visitor::of(&system, system.client()?);
    visitor.cookies = false;
    visitor.open("/app/").await?.expect(200)?;
    let page = visitor.last().to_owned();
    let end = visitor.sign_in(&page).await?.expect(401)?;
    says(&end, "cookie")?;
    ensure!(end.text().contains("/auth/login?return_to=/app/"), "{end}");
    assert_eq!(visitor.sign_in_pages(), 1, "{:?}", visitor.seen);
    // The next try begins anew.
    visitor.open("/app/").await?.expect(200)?;
    assert_eq!(visitor.sign_in_pages(), 1, "{:?}", visitor.seen);
    Ok(())
}

#[tokio::test]
async fn nobody_elses_page_passes_for_the_sign_in_page() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let site = system.public_url();
    for referer in [
        "https://evil.example/auth/login",
        "https://evil.example/?http://localhost/auth/login",
        &format!("{site}.evil.example/auth/login"),
        &format!("{site}/app/"),
        &format!("{site}/auth/login-help"),
        &format!("{site}/app/auth/login"),
    ] {
        let request = client.request(Method::GET, "/app/").mode(Mode::Navigate);
        let answer = request.header("referer", referer).send().await?;
        assert_eq!(
            answer.expect(303)?.location(),
            Some("/auth/login?return_to=/app/"),
            "{referer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_edge_whose_clock_is_ahead_says_so() -> Result<()> {
    let system = System::start().await?;
    system.edges[0].set_clock_ahead(HOUR).await?;
    let mut visitor = Visitor::of(&system, system.client()?);
    visitor.open("/app/").await?.expect(200)?;
    let page = visitor.last().to_owned();
    let end = visitor.sign_in(&page).await?.expect(401)?;
    says(&end, "clock")?;
    assert_eq!(visitor.sign_in_pages(), 1, "{:?}", visitor.seen);
    visitor.open("/app/").await?.expect(401)?;
    assert_eq!(visitor.sign_in_pages(), 0, "{:?}", visitor.seen);
    let refused = visitor.client.get("/api/x").await?;
    refused.expect_problem(401, "token_expired")?;
    // Its clock is set right: the session is still there.
    system.edges[0].set_clock_ahead(Duration::ZERO).await?;
    visitor.open("/app/").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_edge_whose_clock_is_behind_says_so() -> Result<()> {
    let system = System::start().await?;
    // The issuer's and the browser's, not the edge's.
    system.clock().advance(HOUR);
    let mut visitor = Visitor::of(&system, system.client()?);
    visitor.open("/app/").await?.expect(200)?;
    let page = visitor.last().to_owned();
    let end = visitor.sign_in(&page).await?.expect(401)?;
    says(&end, "clock")?;
    assert_eq!(visitor.sign_in_pages(), 1, "{:?}", visitor.seen);
    Ok(())
}

#[tokio::test]
async fn a_fresh_sign_in_that_is_too_old_for_the_edge_is_no_loop() -> Result<()> {
    let system = System::builder()
        .routes(json!([
            {"path": "/safe/*", "access": "user", "max_auth_age": "5m", "freshness": "1h"},
        ]))
        .start()
        .await?;
    system.edges[0].set_clock_ahead(HOUR / 6).await?;
    let mut visitor = Visitor::of(&system, system.client()?);
    visitor.open("/safe/").await?.expect(200)?;
    let page = visitor.last().to_owned();
    let end = visitor.sign_in(&page).await?.expect(401)?;
    says(&end, "clock")?;
    assert_eq!(visitor.sign_in_pages(), 1, "{:?}", visitor.seen);
    Ok(())
}

#[tokio::test]
async fn a_dead_issuer_ends_in_a_page_that_says_so() -> Result<()> {
    let system = System::start().await?;
    let mut stranger = Visitor::of(&system, system.client()?);
    let signed_in = system.login(&BOB).await?;
    let mut returning = Visitor::of(&system, signed_in.clone());
    system.advance(Duration::from_secs(16 * 60)).await?;
    system.cut(Link::EdgeIssuer);
    for visitor in [&mut stranger, &mut returning] {
        let end = visitor.open("/app/").await?.expect(502)?;
        says(&end, "sign-in service")?;
        ensure!(visitor.sign_in_pages() <= 1, "{:?}", visitor.seen);
    }
    ensure!(signed_in.cookie(cookie::REFRESH).is_some());
    system.heal(Link::EdgeIssuer);
    returning.open("/app/").await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn cookies_that_open_nothing_lead_to_one_sign_in() -> Result<()> {
    let system = System::start().await?;
    let ended = system.login(&BOB).await?;
    let kept = ended.copy();
    ended.logout().await?.expect(204)?;
    kept.remove_cookie(cookie::ACCESS);
    let forged = system.client()?;
    forged.set_cookie(cookie::ACCESS, "a.b.c");
    forged.set_cookie(cookie::REFRESH, "nonsense");
    for client in [kept, forged] {
        let mut visitor = Visitor::of(&system, client);
        visitor.open("/app/").await?.expect(200)?;
        let page = visitor.last().to_owned();
        visitor.sign_in(&page).await?.expect(200)?;
        assert_eq!((visitor.sign_in_pages(), visitor.last()), (1, "/app/"));
    }
    Ok(())
}
