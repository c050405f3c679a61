//! The accept loop: at most so many connections, headers within a time, open requests finished on drain.
//!
//! A client that opens a connection and says nothing is closed after `header_read_timeout`, between requests too.
//! Above `connections_max` new connections wait in the kernel's queue until one closes.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};
use upnext_common::config;
use upnext_common::drain::Drain;

use crate::frame;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1_024;
/// Wait after a failed accept (out of descriptors, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How much a listener takes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections_max: usize,
    /// Longest time for the head of a request to arrive.
    pub header_read_timeout: Duration,
    pub body_bytes_max: usize,
    /// How long open requests may finish once draining.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self::from(&config::Serve::default())
    }
}

impl From<&config::Serve> for Limits {
    fn from(serve: &config::Serve) -> Self {
        Self {
            connections_max: serve.connections_max,
            header_read_timeout: Duration::from_millis(serve.header_read_timeout_ms),
            body_bytes_max: serve.body_bytes_max,
            drain: Duration::from_millis(serve.drain_ms),
        }
    }
}

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct BindError {
    pub address: SocketAddr,
    pub cause: io::Error,
}

/// What was open when the drain began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests that were finished while draining.
    pub drained: usize,
    /// Requests that were cut off because the drain took too long.
    pub cut: usize,
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds; port 0 takes any free one. Call within a runtime.
    ///
    /// # Errors
    /// When the port is taken or the address is not ours.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        listen(address).map_err(|cause| BindError { address, cause })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the drain has started and what was open is finished or out of time.
    pub async fn serve(self, router: Router, limits: Limits, drain: Drain) -> Served {
        let open = Open {
            router: frame::around(router, limits.body_bytes_max),
            requests: Arc::default(),
            header_read_timeout: limits.header_read_timeout,
            drain: drain.clone(),
        };
        let permits = Arc::new(Semaphore::new(limits.connections_max));
        let connections = TaskTracker::new();
        let stop = Drain::new();
        while let Some(stream) = self.accept(&permits, &drain).await {
            let (open, stop) = (open.clone(), stop.clone());
            connections.spawn(async move {
                let (stream, permit) = stream;
                tokio::select! {
                    () = open.talk(stream) => {}
                    () = stop.started() => {}
                }
                drop(permit);
            });
        }
        drop(self.socket);
        connections.close();
        let pending = open.requests.load(Ordering::Acquire);
        let finished = tokio::time::timeout(limits.drain, connections.wait()).await;
        let cut = if finished.is_ok() { 0 } else { open.requests.load(Ordering::Acquire) };
        stop.start();
        connections.wait().await;
        Served { drained: pending.saturating_sub(cut), cut }
    }

    /// The next connection once there is room for it; `None` once draining.
    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
        drain: &Drain,
    ) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        let accepted = async {
            let permit = Arc::clone(permits).acquire_owned().await.ok()?;
            loop {
                match self.socket.accept().await {
                    Ok((stream, _)) => return Some((stream, permit)),
                    Err(error) => {
                        warn!(%error, "accept failed, will retry");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = drain.started() => None,
            accepted = accepted => accepted,
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(BACKLOG)?;
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

/// What every connection needs.
#[derive(Clone)]
struct Open {
    router: Router,
    requests: Arc<AtomicUsize>,
    header_read_timeout: Duration,
    drain: Drain,
}

impl Open {
    /// Talks until the client leaves, breaks a limit, or the drain lets it go.
    async fn talk(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "no nodelay");
        }
        let (router, requests) = (self.router, self.requests);
        let service = tower::service_fn(move |request| {
            let (router, pending) = (router.clone(), Pending::of(&requests));
            async move {
                let response = router.oneshot(request).await;
                drop(pending);
                response
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.drain.started() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "connection ended early");
        }
    }
}

/// One request being answered.
struct Pending(Arc<AtomicUsize>);

impl Pending {
    fn of(requests: &Arc<AtomicUsize>) -> Self {
        requests.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(requests))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
