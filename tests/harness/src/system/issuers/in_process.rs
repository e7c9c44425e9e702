//! An issuer in this process, with a clock that can be moved.

use anyhow::{Context as _, Result};
use issuer::App;
use issuer::time::Clock;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::STOP_LIMIT;
use crate::system::settings::{Settings, issuer_config};

/// An issuer on threads of its own: dropping them ends whatever it was doing.
#[derive(Debug)]
pub(super) struct InProcess {
    runtime: Option<Runtime>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl InProcess {
    pub(super) async fn start(settings: &Settings, clock: Clock) -> Result<Self> {
        let config = issuer_config(settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("issuer")
            .enable_all()
            .build()
            .context("cannot start the issuer's threads")?;
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(async move {
            let app = App::build(config, clock)
                .await
                .context("the issuer does not start")?;
            let asked = async { stopped.await.unwrap_or_default() };
            app.run_until_stopped(asked)
                .await
                .context("the issuer failed")
        });
        Ok(Self {
            runtime: Some(runtime),
            stop,
            task,
        })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        let (stop, _) = oneshot::channel();
        // An issuer that has ended already hears nothing, and its task tells why.
        let _ = std::mem::replace(&mut self.stop, stop).send(());
        let ended = tokio::time::timeout(STOP_LIMIT, &mut self.task).await;
        ended
            .context("the issuer does not end")?
            .context("the issuer panicked")?
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
