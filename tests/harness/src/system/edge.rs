//! An edge of the stack: one workerd.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::sync::Mutex;

use super::heap;
use crate::setup::Npm;
use crate::workerd::{METRIC, Options, Workerd};

/// A location: a worker in a workerd of its own, that is, one isolate.
#[derive(Debug)]
pub struct Edge {
    npm: Npm,
    options: Options,
    running: Mutex<Option<Workerd>>,
    shift: std::sync::Mutex<Duration>,
}

impl Edge {
    pub(super) async fn start(npm: Npm, options: Options) -> Result<Self> {
        let running = Workerd::start(&npm, &options).await?;
        Ok(Self {
            npm,
            options,
            running: Mutex::new(Some(running)),
            shift: std::sync::Mutex::default(),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.options.port))
    }

    /// Ends it, as a power cut would. [`Edge::restart`] brings it back.
    pub async fn kill(&self) {
        drop(self.running.lock().await.take());
    }

    /// Ends it and starts it again: a cold isolate that knows nothing, at the same time and place.
    ///
    /// # Errors
    /// It does not come up again.
    pub async fn restart(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        drop(running.take());
        let workerd = Workerd::start(&self.npm, &self.options).await?;
        let shift = *self
            .shift
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        workerd.shift_clock(shift).await?;
        *running = Some(workerd);
        Ok(())
    }

    /// Starts it anew with another value of one setting, as a deployment does.
    ///
    /// # Errors
    /// It does not come up again.
    pub async fn reconfigure(&mut self, name: &str, value: &str) -> Result<()> {
        self.options.texts.retain(|(known, _)| known != name);
        let setting = (name.to_owned(), value.to_owned());
        self.options.texts.push(setting);
        self.restart().await
    }

    /// Its process.
    ///
    /// # Errors
    /// It does not run.
    pub async fn process_id(&self) -> Result<i32> {
        let running = self.running.lock().await;
        let running = running.as_ref().context("this edge does not run")?;
        Ok(running.process().id())
    }

    /// The bytes of memory that its process holds now.
    ///
    /// # Errors
    /// It does not run, or this is no Linux.
    pub async fn resident_bytes(&self) -> Result<u64> {
        let running = self.running.lock().await;
        let process = running
            .as_ref()
            .context("this edge does not run")?
            .process();
        let file = format!("/proc/{}/status", process.id());
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
        let kilobytes: u64 = kilobytes
            .with_context(|| format!("no VmRSS in {file}"))?
            .parse()?;
        Ok(kilobytes * 1024)
    }

    /// The bytes that its worker's JavaScript and WebAssembly hold after a garbage collection.
    ///
    /// # Errors
    /// It does not run, or was not started with an inspector.
    pub async fn heap_bytes(&self) -> Result<u64> {
        let port = self
            .options
            .inspector
            .context("this edge has no inspector")?;
        let shift = *self
            .shift
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let inspector = SocketAddr::from(([127, 0, 0, 1], port));
        heap::bytes(inspector, async || self.shift_clock(shift).await).await
    }

    /// The end of what the worker and its runtime have written.
    pub async fn log(&self) -> String {
        self.running
            .lock()
            .await
            .as_ref()
            .map(|workerd| workerd.process().log_tail())
            .unwrap_or_default()
    }

    /// What the worker has written to its Analytics Engine data set `METRICS` since it was started, oldest first.
    ///
    /// # Errors
    /// It does not run, or a point is no JSON.
    pub async fn metrics(&self) -> Result<Vec<Value>> {
        let running = self.running.lock().await;
        let workerd = running.as_ref().context("this edge does not run")?;
        let log =
            std::fs::read_to_string(workerd.process().log()).context("an edge without log")?;
        let points = log.lines().filter_map(|line| line.strip_prefix(METRIC));
        points
            .map(|point| serde_json::from_str(point).context("a data point that is no JSON"))
            .collect()
    }

    /// Its clock alone is from now on so far ahead of the machine's, until the time of the whole system is moved.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn set_clock_ahead(&self, by: Duration) -> Result<()> {
        self.shift_clock(by).await
    }

    pub(super) async fn shift_clock(&self, shift: Duration) -> Result<()> {
        *self
            .shift
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = shift;
        // One that is down learns it when it is started again.
        match self.running.lock().await.as_ref() {
            Some(running) => running.shift_clock(shift).await,
            None => Ok(()),
        }
    }
}
