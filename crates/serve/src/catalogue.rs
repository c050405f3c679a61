//! The catalogue from the items topic into the live columns, from its beginning and then for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;
use upnext_common::drain::Drain;
use upnext_common::item::Item;
use upnext_contract::{DecodeError, Decoder};
use upnext_http::Health;
use upnext_kafka::Record;
use upnext_kafka::tail::TailEvent;

use crate::app::Readiness;
use crate::worlds::Worlds;

/// Most records taken at once.
const TAKEN_MAX: usize = 256;
/// Pause after trouble with the registry.
const RETRY: Duration = Duration::from_millis(200);
/// The name of this part in `/readyz?verbose`.
pub(crate) const PART: &str = "catalogue";

/// Keeps the live columns' catalogue facts fresh.
pub(crate) struct CatalogueFollower {
    pub(crate) tail: mpsc::Receiver<TailEvent>,
    pub(crate) decoder: Decoder,
    pub(crate) worlds: Arc<Worlds>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) health: Health,
}

impl CatalogueFollower {
    /// Runs until the tail ends, with the drain.
    pub(crate) async fn run(mut self, drain: Drain) {
        let mut taken = Vec::with_capacity(TAKEN_MAX);
        let mut count = 0_u64;
        while self.tail.recv_many(&mut taken, TAKEN_MAX).await > 0 {
            let mut records = Vec::with_capacity(taken.len());
            let mut has_caught_up = false;
            for event in taken.drain(..) {
                match event {
                    TailEvent::Record(record) => {
                        count += 1;
                        records.extend(read(&self.decoder, &record, &drain).await);
                    }
                    TailEvent::CaughtUp => has_caught_up = true,
                }
            }
            self.worlds.apply_items(&records);
            if has_caught_up {
                self.readiness.catalogue.store(true, Ordering::Release);
                self.health.set_ready(PART, true, format!("{count} records read"));
            }
        }
    }
}

/// The record's item. A record without a value withdraws the item of its key; one that is not understood is left
/// out. Trouble with the registry is waited for.
async fn read(decoder: &Decoder, record: &Record, drain: &Drain) -> Option<(i64, Item)> {
    let Some(value) = &record.value else {
        let item_id = String::from_utf8(record.key.as_ref()?.to_vec()).ok()?;
        return Some((record.offset, Item { item_id, deleted: true, ..Item::default() }));
    };
    loop {
        match decoder.item(value).await {
            Ok(item) => return Some((record.offset, item)),
            Err(error @ DecodeError::Refused(_)) => {
                warn!(offset = record.offset, %error, "catalogue record left out");
                return None;
            }
            Err(error @ DecodeError::Trouble { .. }) => {
                warn!(offset = record.offset, %error, "catalogue waits, will retry");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = drain.started() => return None,
                }
            }
        }
    }
}
