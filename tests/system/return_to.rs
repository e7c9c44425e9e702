//! Where a sign-in leads back to: the very address that somebody wanted, with its query as the browser sent it, and nowhere
//! else. The real browser's part, the fragment too, is in `browser/way-back.mjs`.

use anyhow::{Context as _, Result, ensure};
use harness::system::{Answer, BOB, Client, System};
use serde_json::json;

const CREDENTIALS: [(&str, &str); 2] = [("email", BOB.email), ("password", BOB.password)];

/// Goes to `path` as a stranger, mistypes the password, signs in where that led, and says where it comes out.
async fn way_back(system: &System, path: &str) -> Result<String> {
    let client = system.client()?;
    let page = client.navigate(path).await?.expect(303)?;
    let page = page.location().context("no sign-in page")?.to_owned();
    client.navigate(&page).await?.expect(200)?;
    let wrong = [("email", BOB.email), ("password", "wrong horse")];
    client.submit(&page, &wrong).await?.expect(401)?;
    let back = client.submit(&page, &CREDENTIALS).await?.expect(303)?;
    let back = back.location().context("no way back")?.to_owned();
    client.navigate(&back).await?.expect(200)?;
    Ok(back)
}

/// All printable characters that can stand in a query or a path unescaped, but for `without`.
fn printable(without: &str) -> String {
    let all = (0x21_u8..=0x7e).map(char::from);
    all.filter(|char| !without.contains(*char)).collect()
}

#[tokio::test]
async fn every_character_that_browsers_send_comes_back() -> Result<()> {
    let system = System::start().await?;
    for sent in [
        // Browsers escape `"`, `'`, `<` and `>` in a query (URL Standard §1.3), and `#` ends it.
        format!("/app/x?{}", printable("\"'<>#")),
        "/app/x?a=%22%27%3C%3E%23%20%C3%A9%00%0a%zz%&&b=\\..\\".to_owned(),
        "/app/x?next=/auth/login&u=//evil.test".to_owned(),
        "/app/x?".to_owned(),
        "/app/a%20b%22%3C%3E%5B%5D%5E%60%7B%7C%7D%C3%A9!$&'()*+,=:@-._~".to_owned(),
    ] {
        assert_eq!(way_back(&system, &sent).await?, sent);
    }
    // In paths the edge escapes these itself, before it asks anybody.
    let back = way_back(&system, "/app/[x]|y").await?;
    assert_eq!(back, "/app/%5Bx%5D%7Cy");
    Ok(())
}

fn of_octets(octets: usize) -> String {
    let start = "/app/x?q=";
    [start, &"q".repeat(octets - start.len())].concat()
}

#[tokio::test]
async fn eight_thousand_octets_come_back_and_more_are_told() -> Result<()> {
    let system = System::start().await?;
    let longest = of_octets(8_000);
    ensure!(way_back(&system, &longest).await? == longest);

    // Past that nobody is sent anywhere: the address stays where its user can open it again.
    let longer = of_octets(8_001);
    let client = system.client()?;
    let page = client.navigate(&longer).await?.expect(401)?;
    ensure!(
        page.location().is_none() && page.text().contains("too long"),
        "{page}"
    );
    let program = client.get(&longer).await?;
    program.expect_problem(401, "unauthenticated")?;

    // Whoever asks the sign-in page is told there, and can sign in.
    let asked = format!("/auth/login?return_to={longer}");
    says_too_long(&client.navigate(&asked).await?)?;
    let body = [&CREDENTIALS[..], &[("return_to", longer.as_str())]].concat();
    says_too_long(&client.submit("/auth/login", &body).await?)?;
    ensure!(client.cookies().is_empty());
    let home = client.submit(&asked, &CREDENTIALS).await?.expect(303)?;
    assert_eq!(home.location(), Some("/"));
    Ok(())
}

fn says_too_long(page: &Answer) -> Result<()> {
    let text = page.text();
    ensure!(
        page.status() == 400 && text.contains("longer than") && text.contains("<form"),
        "{page}"
    );
    Ok(())
}

#[tokio::test]
async fn nothing_leads_elsewhere_or_to_a_page_of_portcullis() -> Result<()> {
    let system = System::start().await?;
    for place in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/.//evil.example/\u{e9}",
        "javascript:alert(1)",
        "/\tevil",
        "",
        "/auth/login",
        "/auth/logout?x",
        "/oauth/token",
        "/AUTH/login",
        "/%61uth/login",
        "/app/../auth/login",
        "/app/%2e%2e/oauth/token",
        "//auth/login",
        "/.//auth/login",
        "/%2561uth/login",
    ] {
        refused(&system.client()?, place).await?;
    }
    Ok(())
}

/// A form, by its body or its URL, leads home instead; a program is told.
async fn refused(client: &Client, place: &str) -> Result<()> {
    let body = [&CREDENTIALS[..], &[("return_to", place)]].concat();
    let by_body = client.submit("/auth/login", &body).await?.expect(303)?;
    assert_eq!(by_body.location(), Some("/"), "{place:?}");
    let escaped: String = place.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let url = format!("/auth/login?return_to={escaped}");
    let by_url = client.submit(&url, &CREDENTIALS).await?.expect(303)?;
    assert_eq!(by_url.location(), Some("/"), "{place:?}");
    let json = json!({"email": BOB.email, "password": BOB.password, "return_to": place});
    let told = client.post_json("/auth/login", &json).await?;
    told.expect_problem(400, "invalid_request")
        .with_context(|| format!("{place:?}"))?;
    Ok(())
}

#[tokio::test]
async fn a_form_that_says_it_in_its_body_keeps_it_past_a_wrong_password() -> Result<()> {
    let system = System::start().await?;
    let client = system.client()?;
    let place = "/app/x?a=\\&b=\"";
    let wrong = [
        ("email", BOB.email),
        ("password", "wrong horse"),
        ("return_to", place),
    ];
    let page = client.submit("/auth/login", &wrong).await?.expect(401)?;
    ensure!(
        page.text()
            .contains("name=\"return_to\" value=\"/app/x?a=\\&#38;b=&#34;\""),
        "{page}"
    );
    let right = [&CREDENTIALS[..], &[("return_to", place)]].concat();
    let back = client.submit("/auth/login", &right).await?.expect(303)?;
    assert_eq!(back.location(), Some(place));
    Ok(())
}
