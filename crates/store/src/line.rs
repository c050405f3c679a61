//! A connection that is kept up in the background, with a breaker: what serving reads through.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, cmd};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::StoreError;

/// Failed calls in a row after which nobody waits any more.
const FAILURES_MAX: u32 = 3;
/// Pause between two attempts to connect or two probes.
const RETRY: Duration = Duration::from_millis(100);
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
const PROBE_LIMIT: Duration = Duration::from_millis(100);
/// Pause between two probes of a connection that seems well.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// Slow probes in a row after which the connection itself is given up.
const SLOW_PROBES_MAX: u32 = 10;

/// Kept up until it is dropped.
pub(crate) struct Line {
    wire: Arc<Wire>,
    keeper: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

struct Wire {
    connection: Mutex<Option<MultiplexedConnection>>,
    failures: AtomicU32,
    /// Something failed: the keeper should look.
    trouble: Notify,
}

impl Line {
    /// Starts to connect in the background.
    pub(crate) fn open(client: Client) -> Self {
        let wire = Arc::new(Wire {
            connection: Mutex::new(None),
            failures: AtomicU32::new(0),
            trouble: Notify::new(),
        });
        let keeper = tokio::spawn(keep(client, Arc::clone(&wire))).abort_handle();
        Self { wire, keeper }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.wire.ready().is_ok()
    }

    /// Sends the calls and waits at most `limit`. Fails at once while the store is known to be away.
    ///
    /// `is_whole_wait` tells whether running into `limit` says something about the store; it does not when a caller
    /// was merely short of time.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        calls: &Pipeline,
        limit: Duration,
        is_whole_wait: bool,
    ) -> Result<T, StoreError> {
        let mut connection = self.wire.ready()?;
        let result = match timeout(limit, calls.query_async(&mut connection)).await {
            Ok(answered) => answered.map_err(StoreError::from),
            Err(_) => Err(StoreError::Timeout),
        };
        match &result {
            Ok(_) => self.wire.failures.store(0, Ordering::Release),
            Err(StoreError::Timeout) if !is_whole_wait => {}
            Err(error) => self.wire.failed(error),
        }
        result
    }
}

impl Wire {
    fn ready(&self) -> Result<MultiplexedConnection, StoreError> {
        let connection = self.connection();
        let connection =
            connection.ok_or_else(|| StoreError::Unavailable { cause: "connecting".to_owned() })?;
        if self.failures.load(Ordering::Acquire) >= FAILURES_MAX {
            return Err(StoreError::BreakerOpen);
        }
        Ok(connection)
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, connection: Option<MultiplexedConnection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    fn failed(&self, error: &StoreError) {
        match error {
            StoreError::Unavailable { .. } => self.replace(None),
            StoreError::Timeout
            | StoreError::Refused { .. }
            | StoreError::BreakerOpen
            | StoreError::Conflict
            | StoreError::Malformed { .. }
            | StoreError::Settings { .. }
            | StoreError::Layout { .. }
            | StoreError::Url { .. } => {}
        }
        self.failures.fetch_add(1, Ordering::AcqRel);
        self.trouble.notify_one();
    }
}

/// Connects where there is no connection, and probes the one there is: at once when a call has failed, now and then
/// otherwise, so that the first request after a quiet night does not meet a dead connection.
async fn keep(client: Client, wire: Arc<Wire>) {
    let mut slow_probes = 0;
    loop {
        let Some(connection) = wire.connection() else {
            slow_probes = 0;
            if !connect(&client, &wire).await {
                tokio::time::sleep(RETRY).await;
            }
            continue;
        };
        if wire.failures.load(Ordering::Acquire) == 0 {
            // Whether woken or not: look.
            timeout(PROBE_INTERVAL, wire.trouble.notified()).await.ok();
        }
        match probe(connection).await {
            Probed::Answered => {
                slow_probes = 0;
                if wire.failures.swap(0, Ordering::AcqRel) >= FAILURES_MAX {
                    info!("the store answers again");
                }
            }
            Probed::Slow if slow_probes < SLOW_PROBES_MAX => {
                slow_probes += 1;
                wire.failures.fetch_max(FAILURES_MAX, Ordering::AcqRel);
                tokio::time::sleep(RETRY).await;
            }
            Probed::Slow | Probed::Gone => wire.replace(None),
        }
    }
}

async fn connect(client: &Client, wire: &Wire) -> bool {
    // Waiting is bounded by each call; the connection itself shall not give up on slower ones.
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(None);
    match client.get_multiplexed_async_connection_with_config(&settings).await {
        Ok(connection) => {
            wire.replace(Some(connection));
            wire.failures.store(0, Ordering::Release);
            info!("connected to the store");
            true
        }
        Err(error) => {
            if wire.failures.fetch_add(1, Ordering::AcqRel) == 0 {
                warn!(%error, "the store is away, will retry");
            }
            false
        }
    }
}

enum Probed {
    Answered,
    Slow,
    Gone,
}

async fn probe(mut connection: MultiplexedConnection) -> Probed {
    let ping = cmd("PING");
    let answer = ping.query_async::<String>(&mut connection);
    match timeout(PROBE_LIMIT, answer).await {
        Err(_) => Probed::Slow,
        Ok(Ok(_)) => Probed::Answered,
        Ok(Err(error)) => match StoreError::from(error) {
            StoreError::Unavailable { .. } => Probed::Gone,
            StoreError::Timeout
            | StoreError::Refused { .. }
            | StoreError::BreakerOpen
            | StoreError::Conflict
            | StoreError::Malformed { .. }
            | StoreError::Settings { .. }
            | StoreError::Layout { .. }
            | StoreError::Url { .. } => Probed::Slow,
        },
    }
}
