//! An edge of the stack: one workerd.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::Mutex;

use crate::setup::Npm;
use crate::workerd::{Options, Workerd};

/// A worker in a workerd of its own, that is: one isolate.
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

    /// The end of what the worker and its runtime have written.
    pub async fn log(&self) -> String {
        self.running
            .lock()
            .await
            .as_ref()
            .map(|workerd| workerd.process().log_tail())
            .unwrap_or_default()
    }

    /// Its clock alone is from now on so far ahead of the machine's, until the time of the whole system is moved.
    ///
    /// # Errors
    /// It does not run.
    pub async fn set_clock_ahead(&self, by: Duration) -> Result<()> {
        self.shift_clock(by).await
    }

    pub(super) async fn shift_clock(&self, shift: Duration) -> Result<()> {
        *self
            .shift
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = shift;
        let running = self.running.lock().await;
        running
            .as_ref()
            .context("this edge does not run")?
            .shift_clock(shift)
            .await
    }
}
