//! All of Upnext in one process: embedded broker and registry, redis-server as a child, and the three daemons.
//!
//! Whatever the configuration names is used instead of its embedded part. What depends on another part is started
//! after it and stopped before it.

use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinHandle;
use upnext_broker::{Broker, BrokerConfig, BrokerError};
use upnext_common::config::{Config, Kafka};
use upnext_common::drain::Drain;
use upnext_http::Listener;
use upnext_registry::{Registry, RegistryConfig};
use upnext_serve::Running;

use crate::daemons::{self, Surroundings, Work};
use crate::endpoints::{Endpoints, Pids, Target, outside};
use crate::failure::Failure;
use crate::redis_child::RedisChild;

const READY_POLL: Duration = Duration::from_millis(10);

/// A running system; [`System::stop`] drains it.
pub(crate) struct System {
    endpoints: Endpoints,
    surroundings: Surroundings,
    backing: Backing,
    serving: Running,
    ingest: Work,
    features: Work,
    ops: JoinHandle<()>,
    drains: Drains,
    _lock: File,
}

/// What the daemons stand on.
struct Backing {
    broker: Option<Broker>,
    registry: Option<Registry>,
    redis: Option<RedisChild>,
}

/// One drain per step of stopping. A daemon that cannot go on starts its own, which is then everybody's.
#[derive(Clone, Default)]
struct Drains {
    serve: Drain,
    ingest: Drain,
    features: Drain,
    ops: Drain,
}

impl System {
    /// Starts every part and waits until answers are given, or until `stop` starts.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] for a data directory in use, a port that is taken, a missing redis-server, an
    /// outside service that does not answer.
    pub(crate) async fn start(
        config: Config,
        insecure: bool,
        stop: &Drain,
    ) -> Result<Self, Failure> {
        let lock = lock(&config.data_dir)?;
        check_ports(&config)?;
        let (backing, surroundings) = Backing::start(config, insecure).await?;
        surroundings.ensure_topics().await?;
        let drains = Drains::default();
        let admin = surroundings.admin(&drains.ingest);
        let (ops_address, ops) = surroundings.ops(&drains.ops, admin)?;
        let serving = surroundings.serve(&drains.serve).await?;
        let endpoints = Endpoints {
            ready: true,
            http: format!("http://{}", serving.address()),
            ops: format!("http://{ops_address}"),
            kafka: surroundings.brokers.clone(),
            registry: surroundings.registry_url.clone(),
            redis: surroundings.redis_url.clone(),
            pids: Pids {
                upnext: std::process::id(),
                redis: backing.redis.as_ref().map(RedisChild::pid),
            },
        };
        let ingest = surroundings.ingest(&drains.ingest);
        let features = surroundings.features(&drains.features);
        let system = Self {
            endpoints,
            surroundings,
            backing,
            serving,
            ingest,
            features,
            ops,
            drains,
            _lock: lock,
        };
        system.ready(stop).await;
        system.endpoints.save(&system.surroundings.config.data_dir)?;
        Ok(system)
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(crate) fn target(&self) -> Target {
        Target::of(&self.surroundings.config, &self.endpoints)
    }

    /// Resolves when a daemon has ended by itself.
    pub(crate) async fn broke(&self) {
        tokio::select! {
            () = self.drains.ingest.started() => {}
            () = self.drains.features.started() => {}
        }
    }

    async fn ready(&self, stop: &Drain) {
        let health = &self.surroundings.health;
        while !health.is_ready() && !stop.has_started() && !self.drains.ingest.has_started() {
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Drains in the order of dependence: answers first, Redis last. Gives what was drained, a line for each part.
    ///
    /// # Errors
    /// When a daemon had ended by itself; all others are drained all the same.
    pub(crate) async fn stop(self) -> Result<Vec<String>, Failure> {
        self.drains.serve.start();
        let served = self.serving.finished().await;
        self.drains.ingest.start();
        let ingested = daemons::drained(self.ingest).await;
        self.drains.features.start();
        let applied = daemons::drained(self.features).await;
        self.drains.ops.start();
        daemons::finish(self.ops).await;
        self.backing.stop().await;
        Endpoints::forget(&self.surroundings.config.data_dir);
        Ok(vec![daemons::served(served), ingested?, applied?])
    }
}

impl Backing {
    async fn start(mut config: Config, insecure: bool) -> Result<(Self, Surroundings), Failure> {
        // Beside each other: redis-server and the broker's recovery both take a moment.
        let directory = config.data_dir.join("redis");
        let redis = async {
            match outside(config.redis.url.as_ref()) {
                Some(_) => Ok(None),
                None => RedisChild::start(&directory).await.map(Some),
            }
        };
        let (redis, broker, registry) =
            tokio::try_join!(redis, broker(&config.kafka, &config.data_dir), registry(&config))?;
        if let Some(broker) = &broker {
            config.kafka.brokers = Some(broker.address().to_string());
        }
        if let Some(registry) = &registry {
            config.registry.url = Some(registry.url());
        }
        if let Some(redis) = &redis {
            config.redis.url = Some(redis.url());
        }
        let (metrics, health, clock) = daemons::fresh();
        let surroundings = Surroundings {
            brokers: config.kafka.brokers.clone().unwrap_or_default(),
            registry_url: config.registry.url.clone().unwrap_or_default(),
            redis_url: config.redis.url.clone().unwrap_or_default(),
            config,
            metrics,
            health,
            clock,
            insecure,
        };
        Ok((Self { broker, registry, redis }, surroundings))
    }

    async fn stop(self) {
        if let Some(registry) = self.registry {
            registry.stop().await;
        }
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        if let Some(redis) = self.redis {
            redis.stop().await;
        }
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn broker(kafka: &Kafka, data_dir: &Path) -> Result<Option<Broker>, Failure> {
    if outside(kafka.brokers.as_ref()).is_some() {
        return Ok(None);
    }
    let mut config = BrokerConfig::new(any_port(), data_dir.join("kafka"));
    config.default_partitions = kafka.partitions;
    config.request_bytes_max = kafka.embedded_request_bytes_max;
    config.connections_max = kafka.embedded_connections_max;
    let started = Broker::start(config).await;
    started.map(Some).map_err(|error| match error {
        BrokerError::InUse { .. } => in_use(data_dir),
        BrokerError::NotLoopback { .. }
        | BrokerError::Bind { .. }
        | BrokerError::Storage { .. } => {
            Failure::Other(anyhow::Error::new(error).context("the embedded broker does not start"))
        }
    })
}

async fn registry(config: &Config) -> Result<Option<Registry>, Failure> {
    if outside(config.registry.url.as_ref()).is_some() {
        return Ok(None);
    }
    let settings =
        RegistryConfig { listen: any_port(), data_dir: config.data_dir.join("registry") };
    let started = Registry::start(settings).await;
    Ok(Some(started.context("the embedded registry does not start")?))
}

/// One `up` per data directory; the lock goes with the process, however it ends.
fn lock(data_dir: &Path) -> Result<File, Failure> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create {}", data_dir.display()))?;
    let path = data_dir.join("lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use(data_dir)),
        Err(TryLockError::Error(error)) => {
            Err(anyhow::Error::new(error).context(format!("cannot lock {}", path.display())).into())
        }
    }
}

fn in_use(data_dir: &Path) -> Failure {
    Failure::unavailable(
        format!("{} is in use by another upnext", data_dir.display()),
        "stop that one, or choose another directory by --data-dir",
    )
}

/// The ports that people choose are looked at before anything is started.
fn check_ports(config: &Config) -> Result<(), Failure> {
    for (key, address) in [("serve.listen", config.serve.listen), ("ops.listen", config.ops.listen)]
    {
        Listener::bind(address).map_err(|error| daemons::taken(key, &error))?;
    }
    Ok(())
}
