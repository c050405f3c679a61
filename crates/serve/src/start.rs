//! Starting and stopping: everything is checked before the port opens, and finished before it is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::fault::Fault;
use upnext_common::generation::Generation;
use upnext_common::metrics::Metrics;
use upnext_common::topic::Topic;
use upnext_contract::{
    Checks, Decoder, Encoder, Limits as ContractLimits, RegistryClient, RegistryError,
};
use upnext_http::{BindError, Health, Limits, Listener};
use upnext_kafka::{KafkaError, Producer, ProducerSettings, admin, tail};
use upnext_store::{Generations, Place, StoreError};
use uuid::Uuid;

use crate::admission::AdmissionRules;
use crate::app::{App, Readiness};
use crate::barrier::Barrier;
use crate::catalogue::{self, CatalogueFollower};
use crate::compute::ComputePool;
use crate::decisions::{DecisionLog, DecisionWriter};
use crate::hydrate::Hydrator;
use crate::models::{self, ModelFollower};
use crate::outlet::Outlet;
use crate::routes;
use crate::states::{self, Log, Reporter, StateFollower, Store};
use crate::upkeep::Upkeep;
use crate::world::World;
use crate::worlds::{Served, Worlds};

/// Longest wait for writes under way when the daemon stops.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);
/// Records and kilobytes of decisions that may wait for a broker that is away.
const DECISIONS_IN_FLIGHT_MAX: usize = 10_000;
const DECISIONS_KBYTES_MAX: usize = 32 << 10;
/// Pause between two looks at whether everything has been read.
const READY_POLL: Duration = Duration::from_millis(10);
/// The name of the whole in `/readyz?verbose`.
const PART: &str = "answers";

/// The serving daemon, ready to be started.
pub struct Serve {
    pub config: Config,
    pub brokers: String,
    pub registry_url: String,
    pub redis_url: String,
    pub metrics: Metrics,
    pub health: Health,
    pub clock: Clock,
    pub drain: Drain,
    /// Listen beyond loopback although there are no API keys (`--insecure`).
    pub insecure: bool,
}

/// Why the daemon did not start.
#[derive(Debug, Error)]
pub enum ServeError {
    #[error(
        "serve.listen = {address} is not a loopback address and there are no API keys: \
         listen on 127.0.0.1, or pass --insecure to let everybody in"
    )]
    OpenToEverybody { address: SocketAddr },
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Log(#[from] KafkaError),
    #[error("the schema registry does not take our schemas: {0}")]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the system gives no thread: {0}")]
    Threads(#[from] std::io::Error),
}

impl ServeError {
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::OpenToEverybody { .. } => Fault::CALLER,
            Self::Bind(_) | Self::Registry(_) | Self::Threads(_) => Fault::UPSTREAM,
            Self::Log(cause) => cause.fault(),
            Self::Store(cause) => cause.fault(),
        }
    }
}

/// A daemon that answers.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    task: JoinHandle<Drained>,
}

/// What was finished after the drain began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    pub requests: usize,
    /// Requests that were cut off because they took too long.
    pub cut: usize,
    /// Decisions written since the start.
    pub decisions: u64,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves once the drain has started and everything is finished.
    pub async fn finished(self) -> Drained {
        self.task.await.unwrap_or_default()
    }
}

impl Serve {
    /// Checks what it depends on, opens the port and begins to read. Answers are given once `health` is ready.
    ///
    /// # Errors
    /// When the address may not or cannot be listened on, or broker or registry do not answer. A store that is
    /// away is no error.
    pub async fn start(self) -> Result<Running, ServeError> {
        let address = self.config.serve.listen;
        if !address.ip().is_loopback() && !self.insecure {
            return Err(ServeError::OpenToEverybody { address });
        }
        self.health.require(&[catalogue::PART, models::PART, states::PART, PART]);
        admin::ensure_topics(&self.brokers, &self.config.kafka).await?;
        let registry =
            RegistryClient::new(&self.registry_url, &self.config.registry, self.clock.clone())?;
        let encoder = Encoder::register_all(&registry, &self.config.kafka.topic_prefix).await?;
        let listener = Listener::bind(address)?;
        let parts = self.parts(Arc::new(registry), &encoder).await?;
        let address = listener.address();
        info!(%address, "serve is listening");
        let task = tokio::spawn(self.run(listener, parts));
        Ok(Running { address, task })
    }

    async fn parts(
        &self,
        registry: Arc<RegistryClient>,
        encoder: &Encoder,
    ) -> Result<Parts, ServeError> {
        let store = Store {
            url: self.redis_url.clone(),
            redis: self.config.redis.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        };
        let worlds = Arc::new(first(&store)?);
        let readiness = Arc::new(Readiness::default());
        let (applied, applied_to) = watch::channel(Place::default());
        let (decisions, queue) =
            DecisionLog::new(self.config.serve.decision_queue_max, self.metrics.clone());
        let writer = DecisionWriter {
            queue,
            producer: self.decisions_producer()?,
            encoder: encoder.clone(),
            topic_prefix: self.config.kafka.topic_prefix.clone(),
        };
        let barrier = self.barrier(&worlds, applied_to).await?;
        let app = App {
            rules: AdmissionRules {
                deadline: Duration::from_millis(self.config.serve.deadline_ms),
                allow_as_of: self.config.serve.allow_as_of,
            },
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            worlds: Arc::clone(&worlds),
            pool: ComputePool::start(
                self.config.serve.compute_threads,
                self.config.serve.compute_queue_max,
                self.clock.clone(),
            )?,
            hydrator: Hydrator::new(
                Duration::from_millis(self.config.redis.read_timeout_ms),
                self.clock.clone(),
            ),
            checks: Checks::new(ContractLimits::from(&self.config.ingest)),
            outlet: self.outlet(encoder)?,
            decisions,
            full_rows_share: self.config.serve.decision_full_rows_share,
            barrier,
            readiness: Arc::clone(&readiness),
        };
        let upkeep = Upkeep::start(Arc::clone(&worlds), self.clock.clone())?;
        let followers = self.followers(&worlds, &readiness, registry)?;
        let generations = Arc::new(Generations::connect(&self.redis_url, &self.config.redis)?);
        let name = Uuid::now_v7().to_string();
        let reporter = Reporter::new(Arc::clone(&worlds), Arc::clone(&generations), name);
        let states = StateFollower {
            generations,
            reporter: Arc::new(reporter),
            log: Log {
                brokers: self.brokers.clone(),
                topic_prefix: self.config.kafka.topic_prefix.clone(),
            },
            health: self.health.clone(),
            worlds,
            store,
            readiness,
            applied,
        };
        Ok(Parts { app: Arc::new(app), upkeep, writer, followers, states })
    }

    fn outlet(&self, encoder: &Encoder) -> Result<Outlet, KafkaError> {
        let producer = Producer::new(&self.brokers, ProducerSettings::default())?;
        Ok(Outlet::new(producer, encoder.clone(), &self.config.kafka.topic_prefix))
    }

    /// A client of their own: decisions that pile up must not keep events waiting.
    fn decisions_producer(&self) -> Result<Producer, KafkaError> {
        let settings = ProducerSettings {
            queue_records_max: DECISIONS_IN_FLIGHT_MAX,
            queue_kbytes_max: DECISIONS_KBYTES_MAX,
            ..ProducerSettings::default()
        };
        Producer::new(&self.brokers, settings)
    }

    async fn barrier(
        &self,
        worlds: &Arc<Worlds>,
        applied: watch::Receiver<Place>,
    ) -> Result<Barrier, KafkaError> {
        let prefix = &self.config.kafka.topic_prefix;
        let valid_partitions =
            admin::partition_count(&self.brokers, &Topic::Valid.name(prefix)).await?;
        Ok(Barrier {
            worlds: Arc::clone(worlds),
            brokers: self.brokers.clone(),
            topic_prefix: prefix.clone(),
            valid_partitions,
            applied,
        })
    }

    fn followers(
        &self,
        worlds: &Arc<Worlds>,
        readiness: &Arc<Readiness>,
        registry: Arc<RegistryClient>,
    ) -> Result<(CatalogueFollower, ModelFollower), KafkaError> {
        let prefix = &self.config.kafka.topic_prefix;
        let follow = |topic: Topic| {
            tail::follow(&self.brokers, &topic.name(prefix), true, self.drain.clone())
        };
        let decoder = Decoder::new(registry);
        let catalogue = CatalogueFollower {
            tail: follow(Topic::Items)?,
            decoder: decoder.clone(),
            worlds: Arc::clone(worlds),
            readiness: Arc::clone(readiness),
            health: self.health.clone(),
        };
        let models = ModelFollower {
            tail: follow(Topic::Models)?,
            decoder,
            worlds: Arc::clone(worlds),
            readiness: Arc::clone(readiness),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
        };
        Ok((catalogue, models))
    }

    /// Serves until the drain, then stops in the order in which things depend on each other.
    async fn run(self, listener: Listener, parts: Parts) -> Drained {
        let Parts { app, upkeep, writer, followers: (catalogue, models), states } = parts;
        let logging = Drain::new();
        let writing = tokio::spawn(writer.run(logging.clone()));
        let (reporter, reporting) = (Arc::clone(&states.reporter), self.drain.clone());
        let reading = [
            tokio::spawn(async move { reporter.run(reporting).await }),
            tokio::spawn(catalogue.run(self.drain.clone())),
            tokio::spawn(models.run(self.drain.clone())),
            tokio::spawn(states.run(self.drain.clone())),
            tokio::spawn(open(Arc::clone(&app), self.health.clone(), self.drain.clone())),
        ];
        let limits = Limits::from(&self.config.serve);
        let served =
            listener.serve(routes::router(Arc::clone(&app)), limits, self.drain.clone()).await;
        if let Err(error) = app.outlet.flush(FLUSH_WITHIN).await {
            warn!(%error, "events or items may be missing from the log");
        }
        logging.start();
        let decisions = writing.await.unwrap_or(0);
        for task in reading {
            task.await.ok();
        }
        drop(upkeep);
        Drained { requests: served.drained, cut: served.cut, decisions }
    }
}

/// What a started daemon is made of.
struct Parts {
    app: Arc<App>,
    upkeep: Upkeep,
    writer: DecisionWriter,
    followers: (CatalogueFollower, ModelFollower),
    states: StateFollower,
}

/// The first generation, until the store has said which one serves.
fn first(store: &Store) -> Result<Worlds, StoreError> {
    let generation = Generation::default();
    let world = Arc::new(World::new(store.metrics.clone()));
    Ok(Worlds::new(Served { generation, world, reader: store.reader(generation)? }))
}

/// Opens the door once everything has been looked at and is retrievable.
async fn open(app: Arc<App>, health: Health, drain: Drain) {
    while !app.readiness.has_read_everything() {
        tokio::select! {
            () = tokio::time::sleep(READY_POLL) => {}
            () = drain.started() => return,
        }
    }
    tokio::select! {
        () = app.worlds.indexed() => {}
        () = drain.started() => return,
    }
    app.readiness.open();
    health.set_ready(PART, true, "answering");
}
