//! WebSockets, as a browser opens them.

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::system::Client;

/// The client's end of a WebSocket.
pub type Socket = WebSocketStream<TcpStream>;

/// Opens one at `path`, with the client's cookies and these headers beside them.
///
/// # Errors
/// It is refused, or nobody listens there.
pub async fn open(
    client: &Client,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Response), Error> {
    let authority = client.public_url.trim_start_matches("http://");
    let mut request = format!("ws://{authority}{path}").into_client_request()?;
    let mut set = |name: &'static str, value: &str| -> Result<(), Error> {
        request.headers_mut().insert(name, value.parse()?);
        Ok(())
    };
    let cookies: Vec<String> = client
        .cookies()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !cookies.is_empty() {
        set("cookie", &cookies.join("; "))?;
    }
    for (name, value) in headers {
        set(name, value)?;
    }
    let stream = TcpStream::connect(client.addr).await?;
    stream.set_nodelay(true)?;
    client_async(request, stream).await
}
