//! Embedded Kafka-protocol broker: laptop and tests, loopback only, never production.
//!
//! What a client sees is one broker, id 1, that leads every partition. What lies behind is one directory:
//! record batches in segments, as the producers sent them, cleaned by a thread of its own, and three journals for what the coordinators must
//! not forget. An acknowledged write has left the process (it is in the page cache), so it survives `kill -9` of the
//! broker, though not the loss of power.
//!
//! Invariants: one lock per partition, never two partitions at once, and none while records are read or compacted; the transaction lock is taken before a
//! partition's or the committed offsets', never after; no lock is held across an await.

mod api;
mod batch;
mod broker;
mod catalog;
mod cleaner;
mod config;
mod connection;
mod error;
mod group;
mod groups;
mod journal;
mod keeping;
mod listener;
mod log;
mod node;
mod offsets;
mod partition;
mod transactions;
mod wire;

pub use broker::Broker;
pub use config::BrokerConfig;
pub use error::BrokerError;
