//! "Demo ID": npm `oidc-provider`, certified by the OpenID Foundation, with a page where any name signs in without a password.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use issuer::time::Clock;
use serde_json::json;

use super::{below, setting};
use crate::private::random_hex;
use crate::process::{Process, Stop};
use crate::setup::Npm;
use crate::system::settings::Settings;
use crate::system::{Answer, Client};
use crate::workspace;

/// Its name in paths and settings: `/auth/login/demo`, `OIDC_DEMO_…`.
pub const NAME: &str = "demo";
/// What its button says.
pub const LABEL: &str = "Demo ID";

const CLIENT_ID: &str = "portcullis";
const SCRIPT: &str = "tests/harness/src/idp/demo.mjs";
/// Node compiles 40 packages on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running Demo ID; dropping it ends it. It has one client: the site that it was started for.
#[derive(Debug)]
pub struct DemoId {
    npm: Npm,
    port: u16,
    site: String,
    client_secret: String,
    log: PathBuf,
    process: Option<Process>,
}

/// What a person types at Demo ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed<'a> {
    /// Any name; `Zoë Smith` becomes the subject `zoe.smith` with the verified address `zoe.smith@example.test`.
    pub name: &'a str,
    /// Values of the claim `groups`, separated by commas.
    pub groups: &'a str,
}

impl DemoId {
    /// Starts it at `port` of 127.0.0.1, which is another site than localhost, and waits until it answers.
    ///
    /// # Errors
    /// It does not come up; the message holds the end of its log.
    pub async fn start(npm: Npm, port: u16, site: &str, log: PathBuf) -> Result<Self> {
        let mut demo = Self {
            npm,
            port,
            site: site.to_owned(),
            client_secret: random_hex()?,
            log,
            process: None,
        };
        demo.start_again().await?;
        Ok(demo)
    }

    /// Its issuer identifier, which is where it is reached.
    pub fn issuer_url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// What the issuer is to be told, so that people can sign in with it.
    pub fn settings(&self) -> Settings {
        let told = [
            ("ISSUER", self.issuer_url()),
            ("CLIENT_ID", CLIENT_ID.to_owned()),
            ("CLIENT_SECRET", self.client_secret.clone()),
            ("LABEL", LABEL.to_owned()),
            ("SIGNUP", "open".to_owned()),
        ];
        told.map(|(name, value)| (setting(NAME, name), value))
            .into()
    }

    /// The program; none while it is stopped.
    pub const fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Ends it. It forgets its sessions and its keys.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again, at the same place and for the same client, with other keys.
    ///
    /// # Errors
    /// As [`DemoId::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        self.stop();
        let told = json!({
            "port": self.port,
            "site": self.site,
            "provider": NAME,
            "clientId": CLIENT_ID,
            "clientSecret": self.client_secret,
        });
        let mut command = self.npm.command("node");
        command
            .arg(workspace::root().join(SCRIPT))
            .env("DEMO_ID", told.to_string())
            .env("NPM_MODULES", self.npm.modules());
        let process = Process::spawn(LABEL, command, &self.log, Stop::Kill)?;
        process.listening(self.addr(), START_LIMIT).await?;
        self.process = Some(process);
        Ok(())
    }

    /// A browser that knows nothing of it yet.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn browser(&self) -> Result<Client> {
        Client::new(self.addr(), &self.issuer_url(), Clock::system())
    }

    /// Goes to `address`, where the site has sent `browser`, types what a person types if the page asks for it, and says
    /// where the browser is sent back to: path and query of an address of the site.
    ///
    /// # Errors
    /// It shows another page than that of a sign-in.
    pub async fn sign_in(
        &self,
        browser: &Client,
        address: &str,
        typed: Typed<'_>,
    ) -> Result<String> {
        let fields = [("name", typed.name), ("groups", typed.groups)];
        self.interact(browser, address, "", &fields).await
    }

    /// The same for a person who cancels.
    ///
    /// # Errors
    /// See [`DemoId::sign_in`].
    pub async fn cancel(&self, browser: &Client, address: &str) -> Result<String> {
        self.interact(browser, address, "/cancel", &[]).await
    }

    /// Goes to the end-session endpoint's `address`, confirms, and says where that leads, if anywhere.
    ///
    /// # Errors
    /// It shows no question to confirm.
    pub async fn sign_out(&self, browser: &Client, address: &str) -> Result<Option<String>> {
        let page = browser
            .navigate(below(&self.issuer_url(), address)?)
            .await?
            .expect(200)?;
        let text = page.text();
        let token = text
            .split_once("name=\"xsrf\" value=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let (token, _) = token.with_context(|| format!("no question to confirm: {page}"))?;
        let fields = [("xsrf", token), ("logout", "yes")];
        let done = browser.submit("/session/end/confirm", &fields).await?;
        Ok(done.location().map(str::to_owned))
    }

    async fn interact(
        &self,
        browser: &Client,
        address: &str,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<String> {
        let base = self.issuer_url();
        let mut path = below(&base, address)?.to_owned();
        // The longest way: authorization, question, its answer, authorization resumed.
        for _ in 0..6 {
            let mut answer = browser.navigate(&path).await?;
            if answer.status() == 200 && path.starts_with("/interaction/") {
                answer = browser.submit(&format!("{path}{action}"), fields).await?;
            }
            let to = leads_to(&answer)?;
            if let Ok(back) = below(&self.site, to) {
                return Ok(back.to_owned());
            }
            path = below(&base, to).unwrap_or(to).to_owned();
        }
        bail!("{LABEL} leads in circles: {path}")
    }

    fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
}

fn leads_to(answer: &Answer) -> Result<&str> {
    answer
        .location()
        .with_context(|| format!("{LABEL} leads nowhere: {answer}"))
}
