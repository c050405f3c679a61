//! Broker, registry and Redis for one test, each on a free loopback port, with files of its own.

use std::net::{Ipv4Addr, SocketAddr};

use tempfile::TempDir;
use upnext_broker::{Broker, BrokerConfig};
use upnext_registry::{Registry, RegistryConfig};

use crate::redis::Redis;

/// What the daemons need beside themselves. Ended on drop.
pub struct Stack {
    pub redis: Redis,
    broker: Option<Broker>,
    registry: Option<Registry>,
    files: TempDir,
}

impl Stack {
    /// Starts all three on the ambient runtime, which must go on running: use a multi-thread one where a test blocks.
    ///
    /// # Panics
    /// When one of them does not start.
    pub async fn start() -> Self {
        let files = tempfile::tempdir().expect("a temporary directory can be made");
        let redis = Redis::start();
        let mut stack = Self { redis, broker: None, registry: None, files };
        stack.start_broker(any_port()).await;
        stack.start_registry(any_port()).await;
        stack
    }

    /// `host:port` of the broker.
    #[must_use]
    pub fn brokers(&self) -> String {
        self.broker.as_ref().map(|broker| broker.address().to_string()).unwrap_or_default()
    }

    #[must_use]
    pub fn registry_url(&self) -> String {
        self.registry.as_ref().map(Registry::url).unwrap_or_default()
    }

    #[must_use]
    pub fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// Stops the broker; [`Stack::resume_broker`] brings it back on the same port and files.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn stop_broker(&mut self) -> SocketAddr {
        let broker = self.broker.take().expect("the broker runs");
        let address = broker.address();
        broker.stop().await;
        address
    }

    pub async fn resume_broker(&mut self, address: SocketAddr) {
        self.start_broker(address).await;
    }

    /// Stops the registry; [`Stack::resume_registry`] brings it back on the same port and files.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn stop_registry(&mut self) -> SocketAddr {
        let registry = self.registry.take().expect("the registry runs");
        let address = registry.address();
        registry.stop().await;
        address
    }

    pub async fn resume_registry(&mut self, address: SocketAddr) {
        self.start_registry(address).await;
    }

    async fn start_broker(&mut self, listen: SocketAddr) {
        let config = BrokerConfig::new(listen, self.files.path().join("kafka"));
        self.broker = Some(Broker::start(config).await.expect("the broker starts"));
    }

    async fn start_registry(&mut self, listen: SocketAddr) {
        let data_dir = self.files.path().join("registry");
        let started = Registry::start(RegistryConfig { listen, data_dir }).await;
        self.registry = Some(started.expect("the registry starts"));
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
