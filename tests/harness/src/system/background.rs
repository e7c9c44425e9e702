//! Where the parts of the stack that live in this process run: on threads of their own, so that they answer even while
//! a test's only thread is busy.

use std::net::SocketAddr;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The runtime of these parts.
///
/// # Errors
/// No thread can be started.
pub fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .thread_name("stack")
        .enable_all()
        .build()
        .context("cannot start the threads of the stack")?;
    if let Err(second) = RUNTIME.set(built) {
        // Another thread was faster. Dropping a runtime would wait, which async code must not.
        second.shutdown_background();
    }
    RUNTIME.get().context("the stack has no threads")
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub struct Task(JoinHandle<()>);

impl Task {
    /// Runs `work`.
    ///
    /// # Errors
    /// As [`runtime`].
    pub fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Result<Self> {
        Ok(Self(runtime()?.spawn(work)))
    }

    /// Whether it has ended by itself.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A server that ends when this is dropped.
#[derive(Debug)]
pub struct Served {
    addr: SocketAddr,
    _task: Task,
}

impl Served {
    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Serves `router` on a free port of 127.0.0.1.
///
/// # Errors
/// There is none.
pub async fn serve(router: axum::Router) -> Result<Served> {
    let (addr, listener) = listen().await?;
    let task = Task::spawn(async move {
        // Ends only with the task.
        let _ = axum::serve(listener, router).await;
    })?;
    Ok(Served { addr, _task: task })
}

/// A listener of the background runtime on a free port of 127.0.0.1.
///
/// # Errors
/// There is none.
pub async fn listen() -> Result<(SocketAddr, TcpListener)> {
    let bound = runtime()?.spawn(TcpListener::bind(("127.0.0.1", 0)));
    let listener = bound
        .await
        .context("the stack's threads have ended")?
        .context("no port is free")?;
    Ok((
        listener
            .local_addr()
            .context("a listener without an address")?,
        listener,
    ))
}

/// Runs `work` on the background threads and waits for it, in a place that cannot await.
///
/// # Errors
/// As [`runtime`].
pub fn wait_for<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let (done, result) = std::sync::mpsc::channel();
    runtime()?.spawn(async move {
        // Nobody waits any more: then the result does not matter.
        let _ = done.send(work.await);
    });
    result.recv().context("the stack's threads have ended")
}
