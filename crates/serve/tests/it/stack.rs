//! Everything serve stands between, in this process: broker, registry, redis-server, ingest and features.

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::metrics::Metrics;
use upnext_features::Features;
use upnext_http::Health;
use upnext_ingest::Ingest;
use upnext_serve::{Drained, Running, Serve};
use upnext_testkit::eventually_async;

use crate::client::Client;

/// Longest wait for anything that must happen; generous, because machines are shared.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

pub(crate) struct Stack {
    /// Broker, registry and store themselves.
    pub(crate) parts: upnext_testkit::Stack,
    pub(crate) directory: TempDir,
    pub(crate) brokers: String,
    pub(crate) registry_url: String,
    pub(crate) drain: Drain,
    daemons: Vec<JoinHandle<()>>,
}

/// A started serve and a client of it.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) drain: Drain,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let parts = upnext_testkit::Stack::start().await;
        Self {
            directory: TempDir::new().unwrap(),
            brokers: parts.brokers(),
            registry_url: parts.registry_url(),
            parts,
            drain: Drain::new(),
            daemons: Vec::new(),
        }
    }

    /// Two partitions, quick flushes, everything honoured.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config { data_dir: self.directory.path().to_owned(), ..Config::default() };
        config.kafka.partitions = 2;
        config.kafka.signals_partitions = 2;
        config.features.flush_ms = 10;
        config.ingest.batch_wait_ms = 5;
        config.serve.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.serve.allow_as_of = true;
        // Machines that run tests stall: what a test says about deadlines, it sets.
        config.serve.deadline_ms = 5_000;
        config.redis.read_timeout_ms = 500;
        config
    }

    /// Starts ingest and features beside it.
    pub(crate) fn with_daemons(&mut self) {
        self.with_ingest();
        self.with_features();
    }

    pub(crate) fn with_ingest(&mut self) {
        let ingest = Ingest {
            config: self.config(),
            brokers: self.brokers.clone(),
            registry_url: self.registry_url.clone(),
            metrics: Metrics::new(),
            clock: Clock::system(),
            health: Health::new(&[]),
            decoder: None,
        };
        let drain = self.drain.clone();
        self.daemons.push(tokio::spawn(async move {
            ingest.run(drain).await.unwrap();
        }));
    }

    pub(crate) fn with_features(&mut self) {
        let features = Features {
            config: self.config(),
            brokers: self.brokers.clone(),
            registry_url: self.registry_url.clone(),
            redis_url: self.parts.redis_url(),
            metrics: Metrics::new(),
            clock: Clock::system(),
        };
        let drain = self.drain.clone();
        self.daemons.push(tokio::spawn(async move {
            features.run(drain).await.unwrap();
        }));
    }

    pub(crate) fn serve_with(&self, config: Config) -> Serve {
        Serve {
            config,
            brokers: self.brokers.clone(),
            registry_url: self.registry_url.clone(),
            redis_url: self.parts.redis_url(),
            metrics: Metrics::new(),
            health: Health::default(),
            clock: Clock::system(),
            drain: self.drain.child(),
            insecure: false,
        }
    }

    /// Starts serve and waits until it is ready.
    pub(crate) async fn serve(&self, config: Config) -> Served {
        let serve = self.serve_with(config);
        let (metrics, health) = (serve.metrics.clone(), serve.health.clone());
        let drain = serve.drain.clone();
        let running = serve.start().await.unwrap();
        let ready = health.clone();
        eventually_async(BOUND, async || ready.is_ready()).await;
        let client = Client::new(running.address());
        Served { running, client, metrics, health, drain }
    }

    pub(crate) async fn stop(mut self) {
        self.drain.start();
        for daemon in self.daemons.drain(..) {
            daemon.await.unwrap();
        }
    }
}

impl Served {
    /// Drains it and waits.
    pub(crate) async fn stop(self) -> Drained {
        self.drain.start();
        self.running.finished().await
    }
}
