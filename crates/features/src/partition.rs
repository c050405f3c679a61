//! One assignment from its beginning to its end: where it starts, how long it works, how it begins again.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};
use upnext_common::drain::Drain;
use upnext_common::metrics::LagLabels;
use upnext_kafka::group::{Assignment, Note, Records};
use upnext_store::{Owned, Session, StoreError};

use crate::stage::Stage;
use crate::worker::{Trouble, Worker, labels};
use crate::{Shared, anew};

/// Records taken from the queue at once.
const RECORDS_MAX: usize = 64;
/// Waits between two attempts to reach the store.
const CONNECT_WAIT_MIN: Duration = Duration::from_millis(50);
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(1);

/// When to stop.
pub(crate) struct Stop {
    revoked: Drain,
    drain: Drain,
}

impl Stop {
    /// The partition was taken away, or the daemon drains.
    pub(crate) async fn started(&self) {
        tokio::select! {
            () = self.revoked.started() => {}
            () = self.drain.started() => {}
        }
    }

    /// The partition was taken away: whatever is held is the next owner's to do.
    pub(crate) async fn revoked(&self) {
        self.revoked.started().await;
    }
}

/// Works until the partition is taken away, the daemon drains, or something fails. After a failure everything in
/// memory is dropped and the partition begins again where the store says.
pub(crate) async fn run<S: Stage>(assignment: Assignment, shared: Arc<Shared<S>>, drain: Drain) {
    let Assignment { partition, start_offset, mut records, revoked, claim } = assignment;
    let stop = Stop { revoked, drain };
    let Some((session, owned)) = begin(&shared, partition, &stop).await else { return };
    let stored = owned.resume();
    let Some(progress) = anew::begin(&shared, partition, stored, &stop).await else { return };
    let next_offset = shared.weakened.resume(progress.next_offset, start_offset);
    if start_offset != next_offset {
        info!(stage = S::STAGE.name(), partition, start_offset, next_offset, "partition moves");
        claim.reposition(next_offset);
        return;
    }
    info!(stage = S::STAGE.name(), partition, next_offset, "partition begins");
    if progress.epoch > 0 {
        // Before anything is said in it.
        claim.commit_noting(next_offset, Note { epoch: progress.epoch, marks: None });
    }
    let mut worker = Worker::new(Arc::clone(&shared), claim.clone(), session, owned, progress);
    worker.begin_at(next_offset);
    let trouble = match work(&mut worker, &mut records, &stop).await {
        Ok(()) | Err(Trouble::Stopped) => return,
        Err(trouble) => trouble,
    };
    let committed = worker.flushed_to().max(next_offset);
    drop(worker);
    shared.metrics.state_resets.get_or_create(&labels::<S>()).inc();
    let wait = report::<S>(partition, &trouble);
    tokio::select! {
        () = stop.started() => return,
        () = tokio::time::sleep(wait) => {}
    }
    let Some((_, owned)) = begin(&shared, partition, &stop).await else { return };
    claim.reposition(shared.weakened.resume(owned.resume().next_offset, committed));
}

/// Tells of the trouble; gives how long to wait before the partition begins again.
fn report<S: Stage>(partition: i32, trouble: &Trouble) -> Duration {
    let stage = S::STAGE.name();
    match trouble {
        Trouble::State { .. }
        | Trouble::Store(StoreError::Layout { .. })
        | Trouble::Store(StoreError::Malformed { .. })
        | Trouble::Unloaded { .. } => {
            error!(stage, partition, %trouble, "somebody has to look, will retry");
            CONNECT_WAIT_MAX
        }
        Trouble::Store(_) | Trouble::Kafka(_) | Trouble::Rewound { .. } | Trouble::Stopped => {
            warn!(stage, partition, %trouble, "cached state dropped, the partition begins again");
            CONNECT_WAIT_MIN
        }
    }
}

/// A session, and the watermark as it is stored, however long the store is away. `None` when stopped meanwhile.
pub(crate) async fn begin<S: Stage>(
    shared: &Shared<S>,
    partition: i32,
    stop: &Stop,
) -> Option<(Session, Owned)> {
    let mut wait = CONNECT_WAIT_MIN;
    loop {
        match open(shared, partition).await {
            Ok(opened) => return Some(opened),
            Err(error) if wait == CONNECT_WAIT_MIN => {
                warn!(stage = S::STAGE.name(), partition, %error, "no session, will retry");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = stop.started() => return None,
            () = tokio::time::sleep(wait) => {}
        }
        // What was not applied ages meanwhile.
        let lag = LagLabels { topic: S::TOPIC.base().to_owned(), partition };
        shared.metrics.consumer_lag_seconds.get_or_create(&lag).inc_by(wait.as_secs_f64());
        wait = (wait * 2).min(CONNECT_WAIT_MAX);
    }
}

async fn open<S: Stage>(
    shared: &Shared<S>,
    partition: i32,
) -> Result<(Session, Owned), StoreError> {
    let changed_max = shared.config.features.changed_stream_max;
    let mut session =
        Session::connect(&shared.redis_url, &shared.config.redis, changed_max).await?;
    // Again and again: the store may have lost the record with all the rest.
    let (valid, signals) = shared.partitions;
    session.agree(valid, signals).await?;
    let owned = session.own(S::STAGE, partition).await?;
    Ok((session, owned))
}

/// Until stopped; then what was applied is flushed, unless the partition belongs to somebody else by now.
async fn work<S: Stage>(
    worker: &mut Worker<S>,
    records: &mut Records,
    stop: &Stop,
) -> Result<(), Trouble> {
    let mut batch = Vec::with_capacity(RECORDS_MAX);
    loop {
        let due_at = worker.due_at(!records.is_empty());
        tokio::select! {
            biased;
            () = stop.started() => break,
            () = tokio::time::sleep_until(due_at) => worker.flush_or_check(stop).await?,
            count = records.recv_many(&mut batch, RECORDS_MAX) => {
                if count == 0 {
                    break;
                }
                worker.take(&mut batch, stop).await?;
            }
        }
    }
    if stop.revoked.has_started() { Ok(()) } else { worker.flush(stop).await }
}
