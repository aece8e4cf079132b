//! One keep-alive HTTP/1.1 connection of the client.
//!
//! Connection and exchange are polled by the same task. No second task must be woken per request,
//! and dropping the wire closes the socket at once. It closes with a reset (no linger). A client
//! that gives up six thousand times per second would otherwise leave as many ports in TIME_WAIT,
//! and run out of them within seconds.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use axum::http::header::HOST;
use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

/// An open connection to the server under test.
#[derive(Debug)]
pub(crate) struct Wire {
    sender: SendRequest<Empty<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Empty<Bytes>>,
    open: bool,
}

impl Wire {
    /// Opens a connection.
    pub(crate) async fn open(target: SocketAddr) -> io::Result<Self> {
        let socket = match target {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Set before connecting, because a client may also give up while it connects.
        socket.set_zero_linger()?;
        let stream = socket.connect(target).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { sender, connection, open: true })
    }

    /// Returns whether another request may be sent on it.
    pub(crate) fn is_open(&self) -> bool {
        self.open && !self.sender.is_closed()
    }

    /// Sends `GET /` and reads the whole response.
    ///
    /// # Cancel safety
    /// Not cancel safe. After a dropped call the wire is in the middle of an exchange and must be
    /// dropped, too.
    pub(crate) async fn get(&mut self, target: SocketAddr) -> io::Result<StatusCode> {
        let Self { sender, connection, open } = self;
        let mut exchange = pin!(async {
            sender.ready().await.map_err(io::Error::other)?;
            let request = Request::get("/")
                .header(HOST, target.to_string())
                .body(Empty::new())
                .map_err(io::Error::other)?;
            let answer = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = answer.status();
            answer.into_body().collect().await.map_err(io::Error::other)?;
            Ok(status)
        });
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // The server closed the connection. A response may still be on its way.
            _ = connection, if *open => {
                *open = false;
                exchange.await
            }
        }
    }
}
