//! Broker, registry and Redis for one test, each on a free loopback port, with files of its own.
//!
//! Broker and registry are the embedded ones, or real ones where the environment names the scripts that start them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use tempfile::TempDir;
use upnext_broker::{Broker, BrokerConfig};
use upnext_registry::{Registry, RegistryConfig};

use crate::outside::{self, Outside};
use crate::redis::Redis;

const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

enum Kafka {
    Embedded(Broker),
    Outside(Outside),
}

enum Schemas {
    Embedded(Registry),
    Outside(Outside),
}

/// What the daemons need beside themselves. Ended on drop.
pub struct Stack {
    pub redis: Redis,
    broker: Option<Kafka>,
    registry: Option<Schemas>,
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
        stack.start_broker(None).await;
        stack.start_registry(None).await;
        stack
    }

    /// Whether broker and registry are ours.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        outside::services().is_none()
    }

    /// `host:port` of the broker.
    #[must_use]
    pub fn brokers(&self) -> String {
        let address = self.broker.as_ref().map(|broker| match broker {
            Kafka::Embedded(broker) => broker.address(),
            Kafka::Outside(broker) => broker.address(),
        });
        address.map(|address| address.to_string()).unwrap_or_default()
    }

    #[must_use]
    pub fn registry_url(&self) -> String {
        let url = self.registry.as_ref().map(|registry| match registry {
            Schemas::Embedded(registry) => registry.url(),
            Schemas::Outside(registry) => format!("http://{}/apis/ccompat/v7", registry.address()),
        });
        url.unwrap_or_default()
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
        match self.broker.take().expect("the broker runs") {
            Kafka::Embedded(broker) => {
                let address = broker.address();
                broker.stop().await;
                address
            }
            Kafka::Outside(broker) => broker.address(),
        }
    }

    pub async fn resume_broker(&mut self, address: SocketAddr) {
        self.start_broker(Some(address)).await;
    }

    /// Stops the registry; [`Stack::resume_registry`] brings it back on the same port and files.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn stop_registry(&mut self) -> SocketAddr {
        match self.registry.take().expect("the registry runs") {
            Schemas::Embedded(registry) => {
                let address = registry.address();
                registry.stop().await;
                address
            }
            Schemas::Outside(registry) => registry.address(),
        }
    }

    pub async fn resume_registry(&mut self, address: SocketAddr) {
        self.start_registry(Some(address)).await;
    }

    async fn start_broker(&mut self, again: Option<SocketAddr>) {
        let files = self.files.path().join("kafka");
        self.broker = Some(if let Some(services) = outside::services() {
            Kafka::Outside(Outside::start(&services, "kafka", files, again))
        } else {
            let config = BrokerConfig::new(again.unwrap_or(ANY_PORT), files);
            Kafka::Embedded(Broker::start(config).await.expect("the broker starts"))
        });
    }

    async fn start_registry(&mut self, again: Option<SocketAddr>) {
        let files = self.files.path().join("registry");
        self.registry = Some(if let Some(services) = outside::services() {
            Schemas::Outside(Outside::start(&services, "registry", files, again))
        } else {
            let config = RegistryConfig { listen: again.unwrap_or(ANY_PORT), data_dir: files };
            Schemas::Embedded(Registry::start(config).await.expect("the registry starts"))
        });
    }
}
