//! What `cargo dev` keeps from one run to the next, for each port: data, secrets, logs.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use issuer::time::Clock;

use crate::private::{random_hex, write_private};
use crate::system::Client;
use crate::system::settings::{self, Settings};
use crate::{ports, workspace};

const SECRETS: &str = "secrets.json";
const DEMO_ID_PORT: &str = "demo-id.port";

/// What becomes of a port's data, secrets and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Those of the last run are used, and kept for the next.
    Kept,
    /// Those of the last run are forgotten first.
    Forgotten,
    /// They are this process's own, and go with it, however it ends.
    Thrown,
}

impl Data {
    fn folder(self, port: u16) -> Result<PathBuf> {
        let name = port.to_string();
        match self {
            Self::Kept | Self::Forgotten => workspace::reachable_by_others("dev", &name),
            Self::Thrown => {
                let folder = workspace::scratch()?.join("dev").join(name);
                fs::create_dir_all(&folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                Ok(folder)
            }
        }
    }
}

/// The folder of one port, held by this process alone.
#[derive(Debug)]
pub(super) struct State {
    port: u16,
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Takes the port and its folder.
    pub(super) fn claim(port: u16, data: Data) -> Result<Self> {
        let folder = data.folder(port)?;
        let lock = lock(&folder.with_extension("lock"), port)?;
        if !ports::is_free(port) {
            bail!(
                "port {port} is taken by another program: stop it, or choose another port with `cargo dev --port {}`",
                port.wrapping_add(10)
            );
        }
        if data == Data::Forgotten {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot forget {}", folder.display()))?;
            fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Self {
            port,
            folder,
            _lock: lock,
        })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new browser at this port.
    pub(super) fn client(&self, settings: &Settings) -> Result<Client> {
        let addr = SocketAddr::from(([127, 0, 0, 1], self.port));
        Client::new(addr, public_url(settings), Clock::system())
    }

    /// The settings of issuer and edge: those of the environment, and for what is not set there this folder's secrets
    /// and what fits this machine. `DATABASE_URL` is left to whoever starts Postgres.
    pub(super) fn settings(&self, namespace: &str) -> Result<Settings> {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut settings = self.secrets()?;
        let fitting = [
            ("PUBLIC_URL", format!("http://localhost:{}", self.port)),
            ("LISTEN_ADDR", local(ports::free()?)),
            ("ADMIN_LISTEN_ADDR", local(ports::free()?)),
            // wrangler's own explorer answers the calls of the public API.
            (
                "KV_API_URL",
                format!("http://127.0.0.1:{}/cdn-cgi/local/explorer/api", self.port),
            ),
            ("KV_NAMESPACE_ID", namespace.to_owned()),
        ];
        settings.extend(fitting.map(|(name, value)| (name.to_owned(), value)));
        let set = std::env::vars().filter(|(name, value)| overrides(name) && !value.is_empty());
        settings.extend(set);
        Ok(settings)
    }

    /// Where Demo ID is reached: the same from run to run as long as nobody else takes the port, for people are known by
    /// the provider's address and their name there.
    pub(super) fn demo_id_port(&self) -> Result<u16> {
        let file = self.folder.join(DEMO_ID_PORT);
        let kept = fs::read_to_string(&file).ok();
        let kept = kept.and_then(|text| text.trim().parse().ok());
        if let Some(port) = kept.filter(|port| ports::is_free(*port)) {
            return Ok(port);
        }
        let port = ports::free()?;
        fs::write(&file, port.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(port)
    }

    /// Made at the first run, and the same from then on: the data is sealed with them.
    fn secrets(&self) -> Result<Settings> {
        let file = self.folder.join(SECRETS);
        if let Ok(text) = fs::read(&file) {
            return serde_json::from_slice(&text).with_context(|| {
                format!(
                    "{} is damaged: `cargo dev --fresh` begins anew",
                    file.display()
                )
            });
        }
        let mut secrets = settings::secrets()?;
        secrets.insert("KV_API_TOKEN".into(), random_hex()?);
        write_private(&file, &serde_json::to_string(&secrets)?)?;
        Ok(secrets)
    }
}

/// The site as users see it.
pub(super) fn public_url(settings: &Settings) -> &str {
    settings.get("PUBLIC_URL").map_or("", String::as_str)
}

/// Whether a variable of the environment is a setting of the stack, and not of the shell or of cargo.
fn overrides(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "DATABASE_URL",
        "PUBLIC_URL",
        "ENCRYPTION_KEY",
        "EDGE_SECRET",
        "ORIGIN_SECRET",
        "REFRESH_GRACE",
        "LISTEN_ADDR",
        "ADMIN_LISTEN_ADDR",
        "MAX_CONCURRENT_SESSIONS",
    ];
    const PREFIXES: [&str; 7] = [
        "JWT_",
        "KV_",
        "SESSION_",
        "OIDC_",
        "MICROSOFT_",
        "GOOGLE_",
        "DATABASE_MAX_",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn lock(path: &Path, port: u16) -> Result<File> {
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if file.try_lock().is_err() {
        let holder = fs::read_to_string(path).unwrap_or_default();
        bail!(
            "`cargo dev` already runs on port {port} (process {}): stop it, or choose another port with `cargo dev --port {}`",
            holder.trim(),
            port.wrapping_add(10)
        );
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .context("cannot write the lock file")?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::remove_at_the_end;

    #[test]
    fn settings_of_the_stack_override_and_others_do_not() {
        for name in [
            "JWT_ACCESS_EXPIRES_IN",
            "DATABASE_URL",
            "SESSION_TIMEOUT_HOURS",
            "KV_API_URL",
        ] {
            assert!(overrides(name), "{name}");
        }
        for name in ["PATH", "HOME", "CARGO_HOME", "PORTCULLIS_CACHE"] {
            assert!(!overrides(name), "{name}");
        }
    }

    #[test]
    fn a_port_is_held_by_one_and_its_secrets_stay() {
        let port = ports::free().unwrap();
        let state = State::claim(port, Data::Thrown).unwrap();
        let first = state.settings("ns").unwrap();
        let error = State::claim(port, Data::Thrown).unwrap_err().to_string();
        assert!(
            error.contains("already runs") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        let demo_id = state.demo_id_port().unwrap();
        drop(state);
        let again = State::claim(port, Data::Thrown).unwrap();
        assert_eq!(
            again.settings("ns").unwrap()["EDGE_SECRET"],
            first["EDGE_SECRET"]
        );
        assert_eq!(again.demo_id_port().unwrap(), demo_id);
        let _taken = std::net::TcpListener::bind(("127.0.0.1", demo_id)).unwrap();
        assert_ne!(again.demo_id_port().unwrap(), demo_id);
    }

    #[test]
    fn only_what_is_thrown_lies_in_this_processs_own_folder() {
        let port = ports::free().unwrap();
        let ours = |data: Data| {
            let folder = data.folder(port).unwrap();
            folder.starts_with(workspace::scratch().unwrap())
        };
        assert!(ours(Data::Thrown) && !ours(Data::Kept));
        remove_at_the_end(&Data::Kept.folder(port).unwrap()).unwrap();
    }

    #[test]
    fn what_is_forgotten_is_gone_when_the_port_is_taken() {
        let port = ports::free().unwrap();
        let kept = State::claim(port, Data::Kept).unwrap();
        let secret = kept.settings("ns").unwrap()["EDGE_SECRET"].clone();
        let folder = kept.folder().to_owned();
        for path in [&folder, &folder.with_extension("lock")] {
            remove_at_the_end(path).unwrap();
        }
        drop(kept);
        let fresh = State::claim(port, Data::Forgotten).unwrap();
        assert_eq!(fresh.folder(), folder);
        assert_ne!(fresh.settings("ns").unwrap()["EDGE_SECRET"], secret);
    }
}
