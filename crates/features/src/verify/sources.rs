//! Where a comparison reads: a log, and the store.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use upnext_store::{Reader, StoreError};

/// How often, and after which pause, a store in trouble is asked again.
const TRIES_MAX: usize = 40;
const WAIT: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) reader: Arc<Reader>,
}

impl Sources {
    pub(crate) async fn stored(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        patiently(|| self.reader.stored(keys)).await
    }
}

/// Asks again while the store is in trouble that may pass, for ten seconds at least.
pub(crate) async fn patiently<T, F>(ask: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    again(ask, WAIT).await
}

async fn again<T, F>(mut ask: impl FnMut() -> F, wait: Duration) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 0..TRIES_MAX {
        match ask().await {
            Err(error) if error.fault().may_retry() => tokio::time::sleep(wait).await,
            answered => return answered,
        }
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn trouble_is_waited_out_and_mistakes_are_not() {
        let (asked, wait) = (Cell::new(0), Duration::from_millis(1));
        let answer = |trouble: StoreError, until: usize| {
            asked.set(asked.get() + 1);
            std::future::ready(if asked.get() < until { Err(trouble) } else { Ok(7) })
        };
        assert_eq!(again(|| answer(StoreError::Timeout, 5), wait).await, Ok(7));
        assert_eq!(asked.replace(0), 5);
        let malformed = || StoreError::Malformed { cause: "x".to_owned() };
        assert_eq!(again(|| answer(malformed(), 5), wait).await, Err(malformed()));
        assert_eq!(asked.replace(0), 1);
        let never = again(|| answer(StoreError::Timeout, usize::MAX), wait).await;
        assert_eq!((never, asked.get()), (Err(StoreError::Timeout), TRIES_MAX + 1));
    }
}
