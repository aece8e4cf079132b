//! The server under test: axum on a loopback socket, with its own runtime and threads.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};

use crate::error::LabError;
use crate::live::guards::Guards;
use crate::live::plan::Plan;
use crate::live::pool::SlotPool;

/// Connections that the kernel queues while the server is too busy to accept them. More than can be
/// open at the default settings, so that a short stall loses none.
const BACKLOG: u32 = 4_096;

/// The listening socket, bound once and shared by all rows of a run.
///
/// An address that was free at the start cannot be lost between rows.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address`. Port 0 lets the system choose a free port.
    ///
    /// # Errors
    /// Returns the error of the system: address in use, not of this machine, or not permitted.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let _entered = runtime.enter();
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        #[cfg(unix)] // elsewhere, this option would let two programs share the port
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let mut address = listener.local_addr()?;
        // The unspecified address is one to listen on, and not one to connect to.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Ok(Self { listener, address })
    }

    /// Returns the address that the client connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Creates the router without a guard: a request waits for a slot, and gets 200 when its work is
/// done.
pub(crate) fn bare(pool: SlotPool) -> Router {
    let handler = move || {
        let pool = pool.clone();
        async move {
            match pool.work().await {
                true => (StatusCode::OK, "done\n"),
                false => (StatusCode::INTERNAL_SERVER_ERROR, "stopped\n"),
            }
        }
    };
    Router::new().route("/", get(handler))
}

/// A running server with an empty queue. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    runtime: Option<Runtime>,
    pool: SlotPool,
}

impl Server {
    /// Starts a server on `listener`, with the guard if there is one.
    ///
    /// It has one worker thread: the handler only waits, and on a small machine the client needs
    /// the other core.
    pub(crate) fn start(
        listener: &Listener,
        plan: &Plan,
        guards: Option<&Guards<'_>>,
    ) -> Result<Self, LabError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("server")
            .enable_all()
            .build()
            .map_err(LabError::io("start the server's runtime"))?;
        let pool = {
            let _entered = runtime.enter();
            let pool = SlotPool::start(plan.slots, plan.service_time)
                .map_err(LabError::io("start the bottleneck's thread"))?;
            let router = match guards {
                Some(guards) => (guards.guard)(bare(pool.clone()), plan),
                None => bare(pool.clone()),
            };
            let listener = listener
                .listener
                .try_clone()
                .and_then(tokio::net::TcpListener::from_std)
                .map_err(LabError::io("listen again"))?
                .tap_io(|stream| {
                    // Otherwise the kernel may delay a small response. An error is ignored.
                    let _ = stream.set_nodelay(true);
                });
            runtime.spawn(async move { axum::serve(listener, router).await });
            pool
        };
        Ok(Self { runtime: Some(runtime), pool })
    }

    /// Returns the number of requests worked on to the end after their clients had left.
    pub(crate) fn wasted(&self) -> u64 {
        self.pool.wasted()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_in_use_fails_and_wildcard_maps_to_loopback() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let again = Listener::bind(listener.address()).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        let wide = Listener::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        assert!(wide.address().ip().is_loopback());
    }
}
