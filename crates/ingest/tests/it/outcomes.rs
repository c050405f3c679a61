//! What becomes of records while all is well.

use std::sync::Arc;

use upnext_common::event::EventBody;
use upnext_common::topic::Topic;
use upnext_contract::Decoder;

use crate::ground::{Ground, NOW_MS, click, header, registry, source};

const DEAD_HEADERS: [&str; 19] = [
    "upnext.dlq.reason",
    "upnext.dlq.pointer",
    "upnext.dlq.detail",
    "upnext.dlq.stage",
    "upnext.dlq.topic",
    "upnext.dlq.partition",
    "upnext.dlq.offset",
    "upnext.dlq.timestamp",
    "upnext.dlq.schema_id",
    "upnext.dlq.attempt",
    "upnext.dlq.processor",
    "upnext.dlq.version",
    "upnext.dlq.first_failed_at",
    "__connect.errors.topic",
    "__connect.errors.partition",
    "__connect.errors.offset",
    "__connect.errors.stage",
    "__connect.errors.exception.class.name",
    "__connect.errors.exception.message",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_good_event_is_valid_and_says_where_it_was_read() {
    let ground = Ground::start().await;
    let running = ground.ingest();
    let sent = click("u1", "i1");
    let raw = ground.raw(&sent, 1);
    assert_eq!(ground.write(&raw).await, (1, 0));
    let valid = ground.follow(Topic::Valid).next().await;
    assert_eq!(source(&valid), (1, 0));
    assert_eq!(header(&valid, "upnext.source.topic"), "upnext.events.v1");
    assert_eq!(header(&valid, "trace"), "t1", "the producer's headers stay");
    assert_eq!((valid.key.clone(), valid.timestamp_ms), (raw.key, NOW_MS));
    let decoder = Decoder::new(Arc::new(registry(&ground.registry_url)));
    assert_eq!(decoder.event(valid.value.as_ref().unwrap()).await.unwrap(), sent);
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_a_dead_letter_and_the_next_record_is_unaffected() {
    let ground = Ground::start().await;
    let running = ground.ingest();
    let good = ground.raw(&click("u", "i"), 0);
    let whole = good.value.clone().unwrap();
    let longer = [&whole[..], b"x"].concat();
    let mut unknown = whole.to_vec();
    unknown[1..5].copy_from_slice(&999_999_u32.to_be_bytes());
    let old = [b"\x05", &whole[1..]].concat();
    let cases: [(Option<&[u8]>, &str, &str); 7] = [
        (None, "empty", "framing"),
        (Some(b""), "empty", "framing"),
        (Some(b"\x00\x00"), "short_frame", "framing"),
        (Some(&old), "bad_magic", "framing"),
        (Some(&unknown), "unknown_schema_id", "schema"),
        (Some(&whole[..whole.len() - 1]), "avro_truncated", "decode"),
        (Some(&longer), "trailing_bytes", "decode"),
    ];
    for (value, _, _) in &cases {
        ground.write(&ground.garbage(*value, 0)).await;
        ground.write(&good).await;
    }

    let (mut dead, mut valid) = (ground.follow(Topic::DeadLetters), ground.follow(Topic::Valid));
    for (at, (value, reason, stage)) in (0..).zip(cases) {
        let letter = dead.next().await;
        assert_eq!(header(&letter, "upnext.dlq.reason"), reason);
        assert_eq!(header(&letter, "upnext.dlq.stage"), stage, "{reason}");
        assert_eq!(source(&letter), (0, 2 * at), "{reason}");
        assert_eq!(letter.value.as_deref(), value, "{reason}: the value is unchanged");
        assert_eq!((letter.key.clone(), letter.timestamp_ms), (good.key.clone(), NOW_MS));
        assert_eq!(header(&letter, "trace"), "t1");
        for name in DEAD_HEADERS {
            header(&letter, name);
        }
        assert_eq!(letter.headers.len(), DEAD_HEADERS.len() + 1, "no other header");
        assert_eq!(source(&valid.next().await), (0, 2 * at + 1));
    }
    let drained = running.stop().await;
    assert_eq!((drained.accepted, drained.rejected), (7, 7));
    let text = ground.metrics.render();
    assert!(text.contains(r#"upnext_events_total{verdict="accepted",reason="none"} 7"#), "{text}");
    assert!(text.contains(r#"{verdict="rejected",reason="bad_magic"} 1"#), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_rule_names_its_field_and_time_is_the_records() {
    let ground = Ground::start().await;
    let running = ground.ingest();
    let mut bad = click("u1", "i1");
    bad.body = EventBody::ItemDwelled { item_id: "i1".to_owned(), dwell_ms: -5 };
    ground.write(&ground.raw(&bad, 0)).await;
    let mut late = ground.raw(&click("u1", "i1"), 0);
    late.timestamp_ms = Some(NOW_MS + 25 * 3_600_000);
    ground.write(&late).await;

    let mut dead = ground.follow(Topic::DeadLetters);
    let letter = dead.next().await;
    assert_eq!(header(&letter, "upnext.dlq.reason"), "range");
    assert_eq!(header(&letter, "upnext.dlq.pointer"), "/dwell_ms");
    let letter = dead.next().await;
    assert_eq!(header(&letter, "upnext.dlq.reason"), "ts_too_old");
    assert_eq!(header(&letter, "upnext.dlq.timestamp"), late.timestamp_ms.unwrap().to_string());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_before_a_stop_is_not_done_again() {
    let ground = Ground::start().await;
    for _ in 0..2 {
        let running = ground.ingest();
        for item in ["a", "b", "c"] {
            ground.write(&ground.raw(&click("u1", item), 0)).await;
        }
        let mut valid = ground.follow(Topic::Valid);
        let mut last = valid.next().await;
        while source(&last).1 + 1 < ground_end(&ground).await {
            last = valid.next().await;
        }
        assert_eq!(running.stop().await.accepted, 3, "nothing is repeated");
    }
    let all = ground.follow(Topic::Valid).all().await;
    let offsets = all.iter().map(|record| source(record).1).collect::<Vec<_>>();
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5]);
}

async fn ground_end(ground: &Ground) -> i64 {
    let topic = ground.topic(Topic::Events);
    upnext_kafka::admin::end_offsets(&ground.brokers, &topic).await.unwrap()[0]
}
