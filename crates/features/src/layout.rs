//! The layout of stored state: recorded by whoever starts first, refused to whoever would lay it out otherwise.

use tracing::warn;
use upnext_common::drain::Drain;
use upnext_store::{Session, StoreError};

use crate::{Features, FeaturesError, paused};

/// Whether state may be written with these numbers of partitions (valid events, signals), however long the store is
/// away. False when drained meanwhile.
///
/// # Errors
/// When state is laid out otherwise, or the settings cannot be.
pub(crate) async fn agreed(
    features: &Features,
    partitions: (i32, i32),
    drain: &Drain,
) -> Result<bool, StoreError> {
    let mut has_complained = false;
    loop {
        match agree(features, partitions).await {
            Ok(()) => return Ok(true),
            Err(cause) if !cause.fault().may_retry() => return Err(cause),
            Err(cause) => {
                if !std::mem::replace(&mut has_complained, true) {
                    warn!(%cause, "the store cannot be asked how state is laid out, will retry");
                }
            }
        }
        if !paused(drain).await {
            return Ok(false);
        }
    }
}

async fn agree(features: &Features, (valid, signals): (i32, i32)) -> Result<(), StoreError> {
    let changed_max = features.config.features.changed_stream_max;
    let redis = &features.config.redis;
    let mut session = Session::connect(&features.redis_url, redis, changed_max).await?;
    session.agree(valid, signals).await
}

/// Whether the partition was there when the layout was agreed on.
///
/// # Errors
/// [`FeaturesError::Partitions`] when it was added since: keys have moved to other partitions.
pub(crate) fn known(topic: &str, partition: i32, count: i32) -> Result<(), FeaturesError> {
    if partition < count {
        return Ok(());
    }
    Err(FeaturesError::Partitions { topic: topic.to_owned(), partition, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_was_added_meanwhile_is_refused() {
        assert!(known("t", 3, 4).is_ok());
        let refused = known("t", 4, 4).unwrap_err();
        assert_eq!(refused.to_string(), "topic t has a partition 4, but had 4 at the start");
        assert!(!refused.fault().may_retry());
    }
}
