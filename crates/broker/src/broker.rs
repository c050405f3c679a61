//! Starting and stopping.

use std::fs::{File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;
use upnext_common::drain::Drain;

use crate::catalog::Catalog;
use crate::cleaner::Cleaner;
use crate::config::BrokerConfig;
use crate::error::BrokerError;
use crate::groups::Groups;
use crate::listener::listen;
use crate::node::Node;
use crate::transactions::Transactions;

/// How often the coordinators look at the clock.
const TICK: Duration = Duration::from_millis(10);
/// How long connections may take to finish when the broker stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A running broker. Dropping it stops it too, without waiting.
pub struct Broker {
    node: Arc<Node>,
    tasks: TaskTracker,
    cleaner: Option<Cleaner>,
    /// Held while the data directory is in use.
    _lock: Arc<File>,
}

impl Broker {
    /// Opens the data directory, recovers what stands in it and listens. Runs on the ambient tokio runtime.
    ///
    /// # Errors
    /// When the address is not loopback or taken, or the directory is in use or cannot be used.
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        let address = config.listen;
        if !address.ip().is_loopback() {
            return Err(BrokerError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| BrokerError::Bind { address, source })?;
        let lock = lock(&config.data_dir).map(Arc::new)?;
        let path = config.data_dir.clone();
        let node = open(config, &listener)
            .map(Arc::new)
            .map_err(|source| BrokerError::Storage { path: path.clone(), source })?;
        let cleaner = Cleaner::start(Arc::clone(&node), Arc::clone(&lock))
            .map_err(|source| BrokerError::Storage { path, source })?;
        tracing::warn!(
            address = %node.address,
            lost_with_the_power_s = node.config.flush_interval.as_secs(),
            "embedded broker started: for laptops and tests, never for production; what it acknowledged survives \
             a kill, but a loss of power may cost the last seconds"
        );
        let tasks = TaskTracker::new();
        tasks.spawn(listen(listener, Arc::clone(&node), tasks.clone()));
        tasks.spawn(tick(Arc::clone(&node)));
        Ok(Self { node, tasks, cleaner: Some(cleaner), _lock: lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node.address
    }

    /// Lets connections finish what they are at, then brings everything to disk.
    pub async fn stop(mut self) {
        self.node.drain.start();
        self.tasks.close();
        if timeout(DRAIN_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("connections did not finish in time");
        }
        if let Some(cleaner) = self.cleaner.take() {
            cleaner.stop().await;
        }
        if let Err(error) = sync(&self.node) {
            tracing::error!(%error, "cannot bring everything to disk");
        }
        tracing::info!("embedded broker stopped");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.node.drain.start();
    }
}

fn lock(data_dir: &Path) -> Result<File, BrokerError> {
    let storage = |source| BrokerError::Storage { path: PathBuf::from(data_dir), source };
    std::fs::create_dir_all(data_dir).map_err(storage)?;
    let path = data_dir.join("lock");
    let file =
        File::options().write(true).create(true).truncate(false).open(path).map_err(storage)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BrokerError::InUse { path: data_dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(storage(source)),
    }
}

fn open(config: BrokerConfig, listener: &TcpListener) -> io::Result<Node> {
    let address = listener.local_addr()?;
    let data_dir = &config.data_dir;
    let catalog = Arc::new(Catalog::open(data_dir)?);
    let groups = Arc::new(Groups::open(data_dir, config.group_initial_delay)?);
    let clock = config.clock.clone();
    let transactions =
        Transactions::open(data_dir, Arc::clone(&catalog), Arc::clone(&groups), clock)?;
    Ok(Node { config, address, catalog, groups, transactions, drain: Drain::new() })
}

fn sync(node: &Node) -> io::Result<()> {
    node.catalog.sync()?;
    node.groups.sync()?;
    node.transactions.sync()
}

async fn tick(node: Arc<Node>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = node.drain.started() => return,
            _ = ticks.tick() => {
                node.groups.tick(node.config.clock.instant());
                node.transactions.tick();
            }
        }
    }
}
