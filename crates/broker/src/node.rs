//! Everything a connection works with.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;
use upnext_common::drain::Drain;

use crate::catalog::Catalog;
use crate::config::BrokerConfig;
use crate::groups::Groups;
use crate::transactions::Transactions;

/// The only broker there is.
pub(crate) const NODE_ID: BrokerId = BrokerId(1);

pub(crate) struct Node {
    pub config: BrokerConfig,
    /// Where clients are told to connect.
    pub address: SocketAddr,
    pub catalog: Arc<Catalog>,
    pub groups: Arc<Groups>,
    pub transactions: Transactions,
    pub drain: Drain,
}

impl Node {
    pub(crate) fn host(&self) -> StrBytes {
        text(self.address.ip().to_string())
    }

    pub(crate) fn port(&self) -> i32 {
        i32::from(self.address.port())
    }
}

/// Text as the protocol's messages hold it.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
