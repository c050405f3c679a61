//! The store over a real redis-server.

#[path = "it/cluster.rs"]
mod cluster;
#[path = "it/reading.rs"]
mod reading;
#[path = "it/writing.rs"]
mod writing;

use upnext_common::config;
use upnext_store::{Flush, Owned, Session, Stage, StoreError, Watermark};
use upnext_testkit::Redis;

const CHANGED_MAX: usize = 640;

fn settings() -> config::Redis {
    config::Redis::default()
}

async fn session(redis: &Redis) -> Session {
    let session = Session::connect(&redis.url(), &settings(), CHANGED_MAX).await;
    session.expect("the server answers")
}

/// A blob of one byte of body at a position.
fn blob(next_offset: u64, body: u8) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0, 0];
    bytes.extend(next_offset.to_be_bytes());
    bytes.extend([0, 0, 0, 0, body]);
    bytes
}

fn watermark(next_offset: i64) -> Watermark {
    Watermark { next_offset, ..Watermark::default() }
}

fn owned(watermark: Option<Watermark>) -> Owned {
    Owned { stage: Stage::Users, partition: 3, watermarks: vec![watermark] }
}

/// Writes blobs as the owner of a partition that nobody else uses.
async fn put(redis: &Redis, blobs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
    let mut session = session(redis).await;
    let owned = session.own(Stage::Items, 99).await?;
    let next = owned.resume().next_offset + 1;
    let flush = Flush { blobs, watermark: watermark(next), ..Flush::default() };
    session.flush(&flush, &owned).await.map(drop)
}
