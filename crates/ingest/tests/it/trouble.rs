//! What becomes of records while something is away: they wait, none is lost, none becomes a dead letter.

use std::collections::BTreeMap;

use bytes::Bytes;
use upnext_common::topic::Topic;
use upnext_contract::subject_of;
use upnext_ingest::IngestError;

use crate::ground::{Ground, Outcomes, click, registry, source, within};

/// A schema that ingest cannot have seen: ours, with one more field that has a default.
const NEWER: &str = r#"{"name": "later", "type": "string", "default": ""}]}"#;

/// Registers a newer clicked schema and gives a record written with it.
async fn written_with_a_newer_schema(ground: &Ground) -> Bytes {
    let ours = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../schemas/events/ItemClicked.avsc"),
    )
    .unwrap();
    let text = format!("{},{NEWER}", ours.trim_end().strip_suffix("]\n}").unwrap().trim_end());
    let subject = subject_of(&ground.topic(Topic::Events), "upnext.events.v1.ItemClicked");
    let id = registry(&ground.registry_url).register(&subject, &text).await.unwrap();
    let ours = ground.encoder.event(&click("u1", "newer")).unwrap();
    // Magic byte, id, our fields, and the text "x" of one letter.
    Bytes::from([&[0], &id.to_be_bytes()[..], &ours[5..], b"\x02x"].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_holds_back_only_what_needs_it() {
    let mut ground = Ground::start().await;
    let running = ground.ingest();
    let mut valid = ground.follow(Topic::Valid);
    // Ingest has seen the schema of a click before the registry goes.
    ground.write(&ground.raw(&click("u0", "first"), 1)).await;
    assert_eq!(source(&valid.next().await), (1, 0));
    let newer = written_with_a_newer_schema(&ground).await;
    let address = ground.stack.stop_registry().await;

    let mut held = ground.raw(&click("u1", "newer"), 0);
    held.value = Some(newer);
    ground.write(&held).await;
    ground.write(&ground.raw(&click("u1", "behind"), 0)).await;
    // The other partition flows on.
    ground.write(&ground.raw(&click("u2", "beside"), 1)).await;
    assert_eq!(source(&valid.next().await), (1, 1));

    ground.stack.resume_registry(address).await;
    assert_eq!(source(&valid.next().await), (0, 0));
    assert_eq!(source(&valid.next().await), (0, 1), "order is kept");
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (4, 0), "trouble is never a verdict");
    assert!(ground.follow(Topic::DeadLetters).all().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_that_waits_for_the_registry_can_be_stopped() {
    let mut ground = Ground::start().await;
    ground.stack.stop_registry().await;
    let running = ground.ingest();
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_loses_nothing_and_keeps_the_order() {
    let mut ground = Ground::start().await;
    let running = ground.ingest();
    let mut written = ground.write_many("before", 200).await;
    let address = ground.stack.stop_broker().await;
    ground.stack.resume_broker(address).await;
    written.extend(ground.write_many("after", 200).await);
    let found = until_all(ground.follow(Topic::Valid), &written).await;
    check_order(found.iter());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_repeats_some_records_and_loses_none() {
    let ground = Ground::start().await;
    let mut written = Vec::new();
    for round in 0..3 {
        let running = ground.ingest();
        written.extend(ground.write_many(&format!("round{round}-"), 1_000).await);
        // In the midst of it: nothing is finished, nothing is committed.
        running.task.abort();
        within(running.task).await.unwrap_err();
    }
    let running = ground.ingest();
    let found = until_all(ground.follow(Topic::Valid), &written).await;
    check_order(found.iter());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_stops_though_the_broker_is_away() {
    let mut ground = Ground::start().await;
    let running = ground.ingest();
    ground.write(&ground.raw(&click("u1", "i1"), 0)).await;
    ground.follow(Topic::Valid).next().await;
    ground.stack.stop_broker().await;
    // Its acknowledgement may or may not have come before the broker went.
    assert!(running.stop().await.accepted <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_ends_with_an_error_when_a_partition_dies() {
    let ground = Ground::start().await;
    let running = ground.ingest();
    let fuse = b"upnext: panic in the decoder of a debug build";
    ground.write(&ground.garbage(Some(fuse), 0)).await;
    let ended = within(running.task).await.unwrap();
    assert!(matches!(ended, Err(IngestError::Died)), "{ended:?}");
}

/// The source positions found, until each of `written` was.
pub(crate) async fn until_all(mut valid: Outcomes, written: &[(i32, i64)]) -> Vec<(i32, i64)> {
    let mut missing = written.iter().copied().collect::<std::collections::BTreeSet<_>>();
    let mut found = Vec::new();
    while !missing.is_empty() {
        let position = source(&valid.next().await);
        missing.remove(&position);
        found.push(position);
    }
    found
}

/// Of one user, and so in one valid partition: each source partition's records come in order and without gaps; a repeat begins at or before the last position.
#[track_caller]
pub(crate) fn check_order<'a>(found: impl Iterator<Item = &'a (i32, i64)>) {
    let mut last = BTreeMap::new();
    for (partition, offset) in found {
        let before = last.insert(*partition, *offset).unwrap_or(-1);
        assert!(*offset <= before + 1, "{partition}: {offset} after {before}");
    }
}
