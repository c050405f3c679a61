//! The three daemons and the ops listener, as this process starts them: alone or all in one.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tracing::error;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::metrics::Metrics;
use upnext_contract::RegistryClient;
use upnext_features::{Features, FeaturesError};
use upnext_http::{BindError, Health, Limits, Listener, ops};
use upnext_ingest::Ingest;
use upnext_ingest::admin::Admin;
use upnext_ingest::dlq::DeadLetters;
use upnext_kafka::admin;
use upnext_serve::{Drained, Running, Serve, ServeError};
use upnext_store::StoreError;

use crate::failure::Failure;
use crate::writer::unreachable;

/// What every daemon is given.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) config: Config,
    pub(crate) brokers: String,
    pub(crate) registry_url: String,
    pub(crate) redis_url: String,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) clock: Clock,
    pub(crate) insecure: bool,
}

/// A daemon under way; what it did is told when it has drained.
pub(crate) type Work = JoinHandle<Result<String, Failure>>;

impl Surroundings {
    /// Creates the topics that are missing.
    pub(crate) async fn ensure_topics(&self) -> Result<(), Failure> {
        admin::ensure_topics(&self.brokers, &self.config.kafka).await.map_err(unreachable)
    }

    /// Raw events to verdicts, until `drain`.
    pub(crate) fn ingest(&self, drain: &Drain) -> Work {
        let daemon = Ingest {
            config: self.config.clone(),
            brokers: self.brokers.clone(),
            registry_url: self.registry_url.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: self.clock.clone(),
            decoder: std::env::current_exe().ok(),
        };
        let drain = drain.clone();
        tokio::spawn(async move {
            let done =
                daemon.run(drain.clone()).await.map_err(|error| ended("ingest", &drain, error))?;
            Ok(format!("ingest: {} events accepted, {} rejected", done.accepted, done.rejected))
        })
    }

    /// Valid events to state, until `drain`.
    pub(crate) fn features(&self, drain: &Drain) -> Work {
        let daemon = Features {
            config: self.config.clone(),
            brokers: self.brokers.clone(),
            redis_url: self.redis_url.clone(),
            registry_url: self.registry_url.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
        };
        let drain = drain.clone();
        tokio::spawn(async move {
            let done =
                daemon.run(drain.clone()).await.map_err(|error| features_ended(&drain, error))?;
            Ok(format!("features: {} events and {} signals flushed", done.events, done.signals))
        })
    }

    /// Answers, until `drain`.
    ///
    /// # Errors
    /// When the port is taken or broker or registry do not answer.
    pub(crate) async fn serve(&self, drain: &Drain) -> Result<Running, Failure> {
        let daemon = Serve {
            config: self.config.clone(),
            brokers: self.brokers.clone(),
            registry_url: self.registry_url.clone(),
            redis_url: self.redis_url.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            clock: self.clock.clone(),
            drain: drain.clone(),
            insecure: self.insecure,
        };
        daemon.start().await.map_err(not_served)
    }

    /// Probes and metrics, until `drain`; and the admin calls, where there are any.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) fn ops(
        &self,
        drain: &Drain,
        admin: Option<Admin>,
    ) -> Result<(SocketAddr, JoinHandle<()>), Failure> {
        let listener =
            Listener::bind(self.config.ops.listen).map_err(|error| taken("ops.listen", &error))?;
        let address = listener.address();
        let mut router = ops::router(self.metrics.clone(), self.health.clone());
        if let Some(admin) = admin {
            router = router.merge(admin.router());
        }
        let (limits, drain) = (Limits::from(&self.config.serve), drain.clone());
        let task = tokio::spawn(async move {
            listener.serve(router, limits, drain).await;
        });
        Ok((address, task))
    }
}

impl Surroundings {
    /// The admin calls; only for a listener on loopback. A redrive they started ends with `drain`.
    pub(crate) fn admin(&self, drain: &Drain) -> Option<Admin> {
        if !self.config.ops.listen.ip().is_loopback() {
            return None;
        }
        let from = DeadLetters {
            brokers: self.brokers.clone(),
            topic_prefix: self.config.kafka.topic_prefix.clone(),
        };
        let settings = &self.config.registry;
        let registry = RegistryClient::new(&self.registry_url, settings, self.clock.clone()).ok();
        Some(Admin::new(from, registry.map(Arc::new), self.clock.clone(), drain.child()))
    }
}

/// A daemon that ends by itself takes the others with it: half a system is worse than none.
fn ended(
    name: &str,
    drain: &Drain,
    error: impl std::error::Error + Send + Sync + 'static,
) -> Failure {
    error!(%error, daemon = name, "the daemon cannot go on, stopping");
    drain.start();
    Failure::Other(anyhow::Error::new(error).context(format!("{name} cannot go on")))
}

/// State that is laid out otherwise is a matter of configuration, and says what to do.
fn features_ended(drain: &Drain, error: FeaturesError) -> Failure {
    let hint = match &error {
        FeaturesError::Store(StoreError::Layout { .. }) | FeaturesError::Partitions { .. } => {
            "set the number back, or let `upnext features rebuild` make state anew from the log; after partitions were \
             added to the valid topic, that has to be written anew first (docs/OPERATIONS.md)"
        }
        FeaturesError::Store(_) => "look at redis.url, redis.key_groups and redis.key_prefix",
        FeaturesError::Kafka(_) | FeaturesError::Registry(_) | FeaturesError::Died => {
            return ended("features", drain, error);
        }
    };
    drain.start();
    Failure::refused(format!("features cannot go on: {error}"), hint)
}

fn not_served(error: ServeError) -> Failure {
    match error {
        ServeError::Bind(cause) => taken("serve.listen", &cause),
        ServeError::Log(cause) => unreachable(cause),
        ServeError::OpenToEverybody { .. } => {
            Failure::refused(error.to_string(), "listen on 127.0.0.1, or pass --insecure")
        }
        ServeError::Registry(_) => Failure::unavailable(
            error.to_string(),
            "check registry.url, and that the registry runs",
        ),
        ServeError::Store(_) => Failure::refused(format!("redis.url: {error}"), STORE_HINT),
        ServeError::Threads(_) => Failure::Other(error.into()),
    }
}

/// How a store is named.
pub(crate) const STORE_HINT: &str =
    "write redis://host:port, or redis-cluster://host:port[,host:port] and redis.key_groups = 16";

/// A port that is taken, in one line, with what to do.
pub(crate) fn taken(key: &str, error: &BindError) -> Failure {
    Failure::unavailable(
        format!("{key}: {error}"),
        format!("stop what listens there, or take any free port: --set {key}=127.0.0.1:0"),
    )
}

/// Waits for a daemon and tells what it did.
pub(crate) async fn drained(work: Work) -> Result<String, Failure> {
    work.await.context("a daemon panicked")?
}

/// What serving did, as one line.
pub(crate) fn served(done: Drained) -> String {
    let Drained { requests, cut, decisions } = done;
    format!("serve: {requests} open requests finished, {cut} cut off, {decisions} decisions logged")
}

/// Everything shared that is not configuration.
pub(crate) fn fresh() -> (Metrics, Health, Clock) {
    (Metrics::new(), Health::new(&[]), Clock::system())
}

/// Keeps a listener's task from being forgotten.
pub(crate) async fn finish(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        error!(%error, "a listener ended badly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_says_which_key_to_change() {
        let busy = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(async { Listener::bind(busy.local_addr().unwrap()) });
        let Failure::Unavailable { what, hint } = taken("serve.listen", &error.unwrap_err()) else {
            panic!("a taken port is unavailable");
        };
        assert!(what.starts_with("serve.listen: cannot listen on 127.0.0.1:"), "{what}");
        assert!(hint.contains("--set serve.listen=127.0.0.1:0"), "{hint}");
    }
}
