//! The barrier of evaluations: when do answers see the events that were just written?
//!
//! First the users stage must have applied them (its watermarks name raw positions), then the items stage every
//! signal that was written by then, then this process every change of items noted by then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use upnext_common::fault::Fault;
use upnext_http::Problem;
use upnext_http::axum::http::StatusCode;
use upnext_kafka::{KafkaError, admin};
use upnext_store::{Place, SourcePosition, Stage, StoreError};

use crate::outlet::Written;
use crate::worlds::{Served, Worlds};

/// Longest wait before the caller is told that it takes too long.
const VISIBLE_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two looks at a watermark.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits for events to become visible.
pub(crate) struct Barrier {
    pub(crate) worlds: Arc<Worlds>,
    pub(crate) brokers: String,
    pub(crate) topic_prefix: String,
    /// Partitions of the valid events: where a raw partition's events may be.
    pub(crate) valid_partitions: i32,
    /// Up to where changes of items have been applied here.
    pub(crate) applied: watch::Receiver<Place>,
}

/// Why the wait ended without the events being visible.
#[derive(Debug, Error)]
pub(crate) enum BarrierError {
    #[error("the events are not visible within {} s", VISIBLE_WITHIN.as_secs())]
    Late,
    #[error("it cannot be known when the events are visible: {0}")]
    Log(#[from] KafkaError),
    #[error("it cannot be known when the events are visible: {0}")]
    Store(#[from] StoreError),
}

impl BarrierError {
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Late => Fault::UPSTREAM,
            Self::Log(cause) => cause.fault(),
            Self::Store(cause) => cause.fault(),
        }
    }

    /// Always 504: the events are written, only their effect was not seen.
    pub(crate) fn into_problem(self) -> Problem {
        let code = if self.fault().may_retry() { "not_visible" } else { "internal" };
        Problem::new(StatusCode::GATEWAY_TIMEOUT, code, self.to_string())
    }
}

impl Barrier {
    /// Resolves once answers of this process see the events at these raw positions.
    ///
    /// # Errors
    /// When that takes too long, or log or store do not say.
    pub(crate) async fn wait(&self, written: &[Written]) -> Result<(), BarrierError> {
        match tokio::time::timeout(VISIBLE_WITHIN, self.reached(written)).await {
            Ok(reached) => reached,
            Err(_) => Err(BarrierError::Late),
        }
    }

    async fn reached(&self, written: &[Written]) -> Result<(), BarrierError> {
        loop {
            let served = self.worlds.served();
            tokio::select! {
                reached = self.reached_in(&served, written) => return reached,
                // Nobody counts for it any more.
                () = self.worlds.is_left(&served) => {}
            }
        }
    }

    async fn reached_in(&self, served: &Served, written: &[Written]) -> Result<(), BarrierError> {
        let mut newest: BTreeMap<i32, i64> = BTreeMap::new();
        for (partition, offset) in written {
            let stands = newest.entry(*partition).or_insert(*offset);
            *stands = (*stands).max(*offset);
        }
        for (partition, offset) in newest {
            while !self.is_in_users(served, partition, offset).await? {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        let ends =
            admin::end_offsets(&self.brokers, &served.generation.signals(&self.topic_prefix))
                .await?;
        for (partition, end) in (0..).zip(ends) {
            while !is_in_items(served, partition, end).await? {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        let head = served.reader.changes_head().await?;
        // The follower that sends lives as long as the process serves.
        self.applied.clone().wait_for(|place| place.reaches(&head)).await.ok();
        served.world.indexed().await;
        Ok(())
    }

    /// Whether any partition of the users stage has applied the raw record. Ingest keeps partition numbers where both
    /// topics have the same count, so that one is looked at first.
    async fn is_in_users(
        &self,
        served: &Served,
        partition: i32,
        offset: i64,
    ) -> Result<bool, StoreError> {
        let at = SourcePosition { epoch: 0, offset, index: 0 };
        let others = (0..self.valid_partitions).filter(|other| *other != partition);
        for candidate in std::iter::once(partition).chain(others) {
            let watermark = served.reader.watermark(Stage::Users, candidate).await?;
            if watermark.is_some_and(|watermark| watermark.contains(partition, at)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

async fn is_in_items(served: &Served, partition: i32, end: i64) -> Result<bool, StoreError> {
    if end == 0 {
        return Ok(true);
    }
    let watermark = served.reader.watermark(Stage::Items, partition).await?;
    Ok(watermark.is_some_and(|watermark| watermark.next_offset >= end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_a_504_and_says_why() {
        let late = BarrierError::Late.into_problem();
        assert_eq!((late.status.as_u16(), late.code), (504, "not_visible"));
        let store = BarrierError::Store(StoreError::Timeout).into_problem();
        assert_eq!((store.status.as_u16(), store.code), (504, "not_visible"));
        let cause = "x".to_owned();
        let ours = BarrierError::Store(StoreError::Malformed { cause }).into_problem();
        assert_eq!((ours.status.as_u16(), ours.code), (504, "internal"));
    }
}
