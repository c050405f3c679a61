//! What a broker is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use upnext_common::clock::Clock;

/// Where to listen, where to keep files, and every limit.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Made if missing. One broker at a time may use it.
    pub data_dir: PathBuf,
    /// Partitions of a topic made without saying how many.
    pub default_partitions: i32,
    /// Whether asking for an unknown topic makes it.
    pub auto_create_topics: bool,
    /// A longer request closes its connection, unread.
    pub request_bytes_max: usize,
    /// Records in one answer to a fetch; one batch is always let through.
    pub fetch_bytes_max: usize,
    /// One connection more is closed at once.
    pub connections_max: usize,
    /// Time for the rest of a request once it has begun, and for a client to take its answer.
    pub transfer_timeout: Duration,
    /// How long the first member of an empty group waits for others.
    pub group_initial_delay: Duration,
    /// How often logs are cleaned: sealed, deleted, compacted.
    pub clean_interval: Duration,
    /// How often what was written is brought to disk; what is younger may be lost with the power.
    pub flush_interval: Duration,
    pub clock: Clock,
}

impl BrokerConfig {
    /// The defaults: 4 partitions, topics made on demand, 16 MiB requests, 1,000 connections.
    #[must_use]
    pub fn new(listen: SocketAddr, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            data_dir: data_dir.into(),
            default_partitions: 4,
            auto_create_topics: true,
            request_bytes_max: 16 << 20,
            fetch_bytes_max: 8 << 20,
            connections_max: 1_000,
            transfer_timeout: Duration::from_secs(30),
            group_initial_delay: Duration::from_millis(20),
            clean_interval: Duration::from_secs(1),
            flush_interval: Duration::from_secs(5),
            clock: Clock::system(),
        }
    }
}
