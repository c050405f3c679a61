//! Topics made, changed, deleted, and found again after a restart.

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::batch::tests::Sample;
use crate::partition::Ask;
use crate::partition::tests::{NOW_MS, RULES};

fn catalog() -> (TempDir, Catalog) {
    let directory = TempDir::new().unwrap();
    let catalog = Catalog::open(directory.path()).unwrap();
    (directory, catalog)
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    pairs.iter().for_each(|(name, value)| settings.set(name, value).unwrap());
    settings
}

fn append(catalog: &Catalog, name: &str) -> Result<i64, ResponseError> {
    let appended = catalog.partition(name, 0)?.append(&Sample::default().bytes(), RULES, NOW_MS)?;
    Ok(appended.base_offset)
}

#[test]
fn everything_about_a_topic_survives_a_restart() {
    let (directory, catalog) = catalog();
    catalog.create("a", 2, settings(&[("retention.ms", "5")])).unwrap();
    catalog.create("gone", 1, Settings::default()).unwrap();
    append(&catalog, "a").unwrap();
    append(&catalog, "a").unwrap();
    catalog.grow("a", 3).unwrap();
    catalog.alter("a", false, |_| Ok(settings(&[("segment.ms", "7")]))).unwrap();
    assert_eq!(catalog.delete_records("a", 0, 1), Ok(1));
    catalog.delete("gone").unwrap();
    let (id, cluster_id) = (catalog.topic("a").unwrap().id(), catalog.cluster_id());
    catalog.sync().unwrap();
    drop(catalog);

    for _ in 0..2 {
        let catalog = Catalog::open(directory.path()).unwrap();
        let topic = catalog.topic("a").unwrap();
        assert_eq!((topic.id(), catalog.cluster_id()), (id, cluster_id));
        assert_eq!(topic.partition_count(), 3);
        assert_eq!(topic.settings(), settings(&[("segment.ms", "7")]));
        let bounds = topic.partition(0).unwrap().bounds();
        assert_eq!((bounds.start_offset, bounds.next_offset), (1, 2));
        assert_eq!(catalog.topic("gone").err(), Some(ResponseError::UnknownTopicOrPartition));
    }
}

#[test]
fn a_topic_of_a_deleted_ones_name_starts_empty() {
    let (directory, catalog) = catalog();
    catalog.create("a", 1, Settings::default()).unwrap();
    append(&catalog, "a").unwrap();
    catalog.delete("a").unwrap();
    // As if the broker had died before the files were gone.
    let left = directory.path().join("topics/a/0");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("00000000000000000000.log"), Sample::default().bytes()).unwrap();
    catalog.create("a", 1, Settings::default()).unwrap();
    assert_eq!(append(&catalog, "a"), Ok(0));
    assert_eq!(std::fs::read_dir(directory.path().join("trash")).unwrap().count(), 0);
}

#[test]
fn names_that_are_no_file_names_are_refused() {
    #[track_caller]
    fn check(name: &str, is_good: bool) {
        assert_eq!(check_name(name).is_ok(), is_good, "{name:?}");
    }
    check("events.raw.v1", true);
    check("A-b_c.9", true);
    check(&"x".repeat(249), true);
    check(&"x".repeat(250), false);
    for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0"] {
        check(bad, false);
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    let (_directory, catalog) = catalog();
    catalog.create("a", 1, Settings::default()).unwrap();
    let refused = |name, partitions| catalog.create(name, partitions, Settings::default()).err();
    assert_eq!(refused("a", 1), Some(ResponseError::TopicAlreadyExists));
    assert_eq!(refused("b", 0), Some(ResponseError::InvalidPartitions));
    assert_eq!(refused("b", 1_001), Some(ResponseError::InvalidPartitions));
    assert_eq!(refused("../b", 1), Some(ResponseError::InvalidTopicException));
    assert_eq!(catalog.grow("a", 1), Err(ResponseError::InvalidPartitions));
    assert_eq!(catalog.grow("b", 2), Err(ResponseError::UnknownTopicOrPartition));
    assert_eq!(catalog.delete("b"), Err(ResponseError::UnknownTopicOrPartition));
    assert_eq!(catalog.delete_records("a", 1, 0), Err(ResponseError::UnknownTopicOrPartition));
    assert_eq!(catalog.partition("a", -1).err(), Some(ResponseError::UnknownTopicOrPartition));
}

#[test]
fn a_trial_and_a_refused_change_leave_settings_as_they_were() {
    let (_directory, catalog) = catalog();
    catalog.create("a", 1, Settings::default()).unwrap();
    catalog.alter("a", true, |_| Ok(settings(&[("segment.ms", "7")]))).unwrap();
    let refused = catalog.alter("a", false, |_| Err(ResponseError::InvalidConfig));
    assert_eq!(refused, Err(ResponseError::InvalidConfig));
    assert_eq!(catalog.topic("a").unwrap().settings(), Settings::default());
}

#[test]
fn settings_take_only_what_fits() {
    #[track_caller]
    fn check(name: &str, value: &str, is_good: bool) {
        assert_eq!(Settings::default().set(name, value).is_ok(), is_good, "{name}={value}");
    }
    check("retention.ms", "-1", true);
    check("retention.ms", "-2", false);
    check("retention.ms", "soon", false);
    check("cleanup.policy", "compact,delete", true);
    check("cleanup.policy", "compact,never", false);
    check("min.cleanable.dirty.ratio", "0.01", true);
    check("min.cleanable.dirty.ratio", "1.01", false);
    check("preallocate", "yes", false);
    check("compression.type", "zstd", true);
    check("compression.type", "brotli", false);
    check("no.such.setting", "1", false);
}

#[test]
fn words_are_added_and_taken_away_one_by_one() {
    let mut settings = Settings::default();
    settings.change_words("cleanup.policy", "compact", false).unwrap();
    assert_eq!(settings.value("cleanup.policy"), Some("delete,compact"));
    settings.change_words("cleanup.policy", "delete", true).unwrap();
    assert_eq!(settings.value("cleanup.policy"), Some("compact"));
    assert!(settings.change_words("retention.ms", "1", false).is_err());
    assert!(settings.clear("no.such.setting").is_err());
    settings.clear("cleanup.policy").unwrap();
    assert_eq!(settings, Settings::default());
}

#[test]
fn what_a_topic_says_about_size_and_time_rules_appending() {
    let (_directory, catalog) = catalog();
    let append_time =
        settings(&[("max.message.bytes", "50"), ("message.timestamp.type", "LogAppendTime")]);
    let topic = catalog.create("a", 1, append_time).unwrap();
    let rules = topic.append_rules();
    assert_eq!((rules.batch_bytes_max, rules.is_append_time), (50, true));
    let records: Bytes = Sample::default().bytes();
    let refused = topic.partition(0).unwrap().append(&records, rules, NOW_MS);
    assert_eq!(refused, Err(ResponseError::MessageTooLarge));
    let rules = catalog.create("b", 1, Settings::default()).unwrap().append_rules();
    assert_eq!((rules.batch_bytes_max, rules.is_append_time), (1_048_588, false));
}

#[test]
fn settings_say_what_is_kept() {
    let keeping = |pairs: &[(&str, &str)]| settings(pairs).keeping();
    let default = keeping(&[]);
    assert!(default.is_deleted && !default.is_compacted);
    assert_eq!((default.retention_ms, default.retention_bytes), (None, None));
    assert_eq!(default.segment_bytes, 64 << 20);
    let both = keeping(&[("cleanup.policy", "compact, delete"), ("max.compaction.lag.ms", "5")]);
    assert!(both.is_deleted && both.is_compacted);
    assert_eq!(both.active_ms_max(), 5);
    let bounded = |bytes: &str| keeping(&[("retention.bytes", bytes), ("retention.ms", "-1")]);
    assert_eq!(bounded("80000000").segment_bytes, 10_000_000, "a bound is exceeded by little");
    assert_eq!(bounded("1000").segment_bytes, 1 << 20);
    assert_eq!(bounded("4294967296").segment_bytes, 64 << 20);
    let told = keeping(&[("retention.bytes", "1000"), ("segment.bytes", "5000")]);
    assert_eq!((told.segment_bytes, told.retention_bytes), (5_000, Some(1_000)));
    let compacted = keeping(&[("cleanup.policy", "compact"), ("retention.bytes", "1000")]);
    assert_eq!(compacted.segment_bytes, 64 << 20);
}

#[tokio::test]
async fn deleting_a_topic_wakes_its_readers() {
    let (_directory, catalog) = catalog();
    catalog.create("a", 1, Settings::default()).unwrap();
    let partition = catalog.partition("a", 0).unwrap();
    let woken = Arc::new(tokio::sync::Notify::new());
    partition.wake_on_append(&woken);
    catalog.delete("a").unwrap();
    woken.notified().await;
    // Who still holds the partition reads what was there.
    let ask = Ask { from: 0, bytes_max: 1, committed_only: false };
    assert!(partition.fetch(ask).unwrap().records.is_empty());
}
