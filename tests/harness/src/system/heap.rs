//! How much memory a worker holds, by workerd's inspector (Chrome DevTools Protocol).

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::http_client;

const LIMIT: Duration = Duration::from_secs(20);
/// Between two requests that keep the worker busy.
const PAUSE: Duration = Duration::from_millis(10);

/// Collects the garbage of the only worker at `inspector` and says what is left, in bytes. The runtime collects while the
/// worker runs, so `request` keeps it busy until that is done.
///
/// # Errors
/// The inspector does not answer as expected, or the request fails.
pub(super) async fn bytes(
    inspector: SocketAddr,
    request: impl AsyncFnMut() -> Result<()>,
) -> Result<u64> {
    let asked = tokio::time::timeout(LIMIT, ask(inspector, request)).await;
    asked.context("the inspector does not answer")?
}

async fn ask(inspector: SocketAddr, mut request: impl AsyncFnMut() -> Result<()>) -> Result<u64> {
    let list = http_client()?
        .get(format!("http://{inspector}/json"))
        .send();
    let list: Value = list.await?.json().await?;
    let url = list
        .pointer("/0/webSocketDebuggerUrl")
        .and_then(Value::as_str)
        .with_context(|| format!("no worker to inspect in {list}"))?;
    let (mut socket, _) = client_async(url, TcpStream::connect(inspector).await?).await?;
    send(&mut socket, 1, "HeapProfiler.collectGarbage").await?;
    let busy = async {
        loop {
            if let Err(error) = request().await {
                return error;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        collected = answer(&mut socket, 1) => drop(collected?),
        error = busy => return Err(error),
    }
    send(&mut socket, 2, "Runtime.getHeapUsage").await?;
    let usage = answer(&mut socket, 2).await?;
    let part = |name: &str| {
        let part = usage.get(name).and_then(Value::as_u64);
        part.with_context(|| format!("no {name} in {usage}"))
    };
    Ok(part("usedSize")? + part("embedderHeapUsedSize")? + part("backingStorageSize")?)
}

async fn send(socket: &mut WebSocketStream<TcpStream>, id: u64, method: &str) -> Result<()> {
    let call = json!({ "id": id, "method": method }).to_string();
    Ok(socket.send(Message::text(call)).await?)
}

async fn answer(socket: &mut WebSocketStream<TcpStream>, id: u64) -> Result<Value> {
    loop {
        let message = socket.next().await.context("the inspector has gone")??;
        let Ok(answer) = serde_json::from_str::<Value>(message.to_text()?) else {
            continue;
        };
        if answer.get("id").and_then(Value::as_u64) == Some(id) {
            let result = answer.get("result").cloned();
            return result.with_context(|| format!("no result in {answer}"));
        }
    }
}
