//! What a worker asks of the store, through its session.

use bytes::Bytes;
use upnext_store::{Flush, Flushed};

use super::{Trouble, Worker};
use crate::partition::{self, Stop};
use crate::stage::Stage;

impl<S: Stage> Worker<S> {
    /// Keys and blobs of what is not stored yet.
    pub(super) fn encoded(&self) -> Vec<(String, Vec<u8>)> {
        let encode = |(key, state): (&str, &S::State)| (key.to_owned(), S::encode(state));
        self.states.dirty().map(encode).collect()
    }

    pub(super) async fn put(&mut self, flush: &Flush, stop: &Stop) -> Result<Flushed, Trouble> {
        loop {
            match self.session.flush(flush, &self.owned).await {
                Err(_) if self.shared.weakened.reconnects() => self.reconnect(stop).await?,
                flushed => {
                    let flushed = flushed?;
                    self.owned = self.owned.advanced(&flush.watermark);
                    return Ok(flushed);
                }
            }
        }
    }

    pub(super) async fn blobs(
        &mut self,
        keys: &[String],
        stop: &Stop,
    ) -> Result<Vec<Option<Bytes>>, Trouble> {
        loop {
            match self.session.blobs(keys, &self.owned).await {
                Err(_) if self.shared.weakened.reconnects() => self.reconnect(stop).await?,
                blobs => return Ok(blobs?),
            }
        }
    }

    /// [`crate::Weakened::TransparentReconnect`].
    async fn reconnect(&mut self, stop: &Stop) -> Result<(), Trouble> {
        let begun = partition::begin(&self.shared, self.partition, stop).await;
        (self.session, self.owned) = begun.ok_or(Trouble::Stopped)?;
        Ok(())
    }
}
