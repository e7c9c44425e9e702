//! A shared cache in front of an edge: nginx, as near to what RFC 9111 allows a cache to keep as it can be brought.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::{Process, Stop, serial};
use crate::{ports, setup, workspace};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    addr: SocketAddr,
}

impl Nginx {
    /// Starts one in front of `upstream`; it caches what its answers allow.
    ///
    /// # Errors
    /// There is no nginx, or it does not come up.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let program = tokio::task::spawn_blocking(setup::nginx::ready)
            .await
            .context("the set-up of nginx broke off")??;
        let folder = workspace::scratch()?.join(format!("nginx-{}", serial()));
        std::fs::create_dir_all(&folder).context("cannot make a folder for nginx")?;
        let addr = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
        std::fs::write(folder.join("nginx.conf"), configuration(addr, upstream))
            .context("cannot write nginx's configuration")?;
        let mut command = Command::new(program);
        command
            .arg("-p")
            .arg(&folder)
            .args(["-c", "nginx.conf", "-e", "stderr"]);
        let process = Process::spawn("nginx", command, &folder.join("nginx.log"), Stop::Kill)?;
        process.listening(addr, START_LIMIT).await?;
        Ok(Self { process, addr })
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The running program.
    pub const fn process(&self) -> &Process {
        &self.process
    }
}

/// It obeys `Cache-Control`, `Expires` and `Vary`. Two things go beyond nginx's own caution, because RFC 9111 allows
/// them to any shared cache, and some do so: answers with `Set-Cookie` are kept (§7.3), and so are those that say nothing
/// of caching, for as long as the cache thinks right (§4.2.2).
fn configuration(addr: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        r#"daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path body;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    proxy_temp_path proxy;
    proxy_cache_path cache keys_zone=shared:1m;
    server {{
        listen {addr};
        location / {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_cache shared;
            proxy_cache_key $request_method$request_uri;
            proxy_cache_valid any 10m;
            proxy_ignore_headers Set-Cookie;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"#
    )
}
