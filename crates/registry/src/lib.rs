//! Embedded schema registry: laptop and tests, loopback only, never production.
//!
//! It speaks the part of the Confluent REST interface that clients really call, so that every client code path is the
//! production one. What is written is in the journal and synced before it is answered. Reading order: what is known
//! (`schemas`), how it is kept (`journal`, `ledger`), what is asked (`ask`, `refusal`, `routes`).

mod schemas;
mod guid;
mod journal;
mod ledger;
mod ask;
mod refusal;
mod routes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tracing::warn;
use upnext_common::drain::Drain;
use upnext_common::fault::Fault;
use upnext_http::{BindError, Limits, Listener};

pub use journal::JournalError;
use ledger::Ledger;

/// Largest request body that is read.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Where to listen and where to keep what was registered.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// A loopback address; port 0 takes any free one.
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
}

/// Why the registry did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the embedded registry listens on loopback only, not on {address}")]
    NotLoopback { address: SocketAddr },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl StartError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotLoopback { .. } => Fault::CALLER,
            Self::Bind(_) | Self::Journal(_) => Fault::INTERNAL,
        }
    }
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    drain: Drain,
    serving: JoinHandle<()>,
}

impl Registry {
    /// Opens the journal, binds and serves on the ambient runtime.
    ///
    /// # Errors
    /// When the address is not loopback or taken, or the journal cannot be used.
    #[expect(
        clippy::unused_async,
        reason = "starting is a wait to its callers, as with the broker"
    )]
    pub async fn start(config: RegistryConfig) -> Result<Self, StartError> {
        if !config.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback { address: config.listen });
        }
        let ledger = Ledger::open(&config.data_dir)?;
        let listener = Listener::bind(config.listen)?;
        let address = listener.address();
        warn!(%address, "embedded registry started: for laptops and tests, never production");
        let router = routes::router(Arc::new(Mutex::new(ledger)));
        let limits = Limits { body_bytes_max: BODY_BYTES_MAX, ..Limits::default() };
        let drain = Drain::new();
        let until = drain.clone();
        let serving = tokio::spawn(async move {
            listener.serve(router, limits, until).await;
        });
        Ok(Self { address, drain, serving })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Finishes open requests and stops listening.
    pub async fn stop(self) {
        self.drain.start();
        if let Err(error) = self.serving.await {
            warn!(%error, "the registry ended badly");
        }
    }
}
