//! Why a broker does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;
use upnext_common::fault::Fault;

#[derive(Debug, Error)]
pub enum BrokerError {
    #[error("the embedded broker listens on loopback only, not on {address}")]
    NotLoopback { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("{path} is in use by another broker")]
    InUse { path: PathBuf },
    #[error("cannot use {path}")]
    Storage { path: PathBuf, source: io::Error },
}

impl BrokerError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotLoopback { .. } => Fault::CALLER,
            Self::Bind { .. } | Self::InUse { .. } | Self::Storage { .. } => Fault::UPSTREAM,
        }
    }
}
