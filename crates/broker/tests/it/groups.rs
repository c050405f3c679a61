//! Consumers that share the work of a topic.

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{Bench, LIMIT, partitions, poll_until, record, send};

/// Two members share, one leaves, the other takes over.
async fn share_and_take_over(name: &str, settings: &[(&str, &str)]) {
    let bench = Bench::start().await;
    bench.create(name, 4, &[]).await;
    let member = |instance: &str| {
        let consumer = if settings.is_empty() {
            let short = ("session.timeout.ms", "1000");
            bench.consumer(name, &[("group.instance.id", instance), short])
        } else {
            bench.consumer(name, settings)
        };
        consumer.subscribe(&[name]).expect("subscribed");
        consumer
    };
    let (one, two) = (member("one"), member("two"));
    poll_until(&[&one, &two], || {
        let (mut mine, theirs) = (partitions(&one), partitions(&two));
        let is_half = mine.len() == 2 && theirs.len() == 2;
        mine.extend(theirs);
        mine.sort_unstable();
        is_half && mine == [0, 1, 2, 3]
    });
    let groups = one.fetch_group_list(Some(name), LIMIT).expect("a group");
    assert_eq!(groups.groups()[0].state(), "Stable");
    assert_eq!(groups.groups()[0].members().len(), 2);
    drop(two);
    poll_until(&[&one], || partitions(&one).len() == 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_by_range() {
    share_and_take_over("range", &[("partition.assignment.strategy", "range")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_cooperatively() {
    let strategy = [("partition.assignment.strategy", "cooperative-sticky")];
    share_and_take_over("cooperative", &strategy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_members_share() {
    share_and_take_over("static", &[]).await;
}

fn commit(consumer: &BaseConsumer, topic: &str, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("an offset");
    consumer.commit(&list, CommitMode::Sync).expect("committed");
}

fn committed(consumer: &BaseConsumer, topic: &str) -> Offset {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    consumer.committed_offsets(list, LIMIT).expect("offsets").elements()[0].offset()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_on_where_it_committed_also_after_a_restart() {
    let bench = Bench::start().await;
    bench.create("resumed", 1, &[]).await;
    let producer = bench.producer(&[]);
    for at in 0..10 {
        send(&producer, "resumed", &at.to_string()).await;
    }
    let consumer = bench.consumer("g", &[]);
    consumer.subscribe(&["resumed"]).unwrap();
    for at in 0..4 {
        assert_eq!(record(&consumer).offset(), at);
    }
    commit(&consumer, "resumed", 4);
    drop((consumer, producer));

    let bench = bench.restart().await;
    let consumer = bench.consumer("g", &[]);
    consumer.subscribe(&["resumed"]).unwrap();
    assert_eq!(record(&consumer).offset(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_goes_with_the_topic_or_the_group() {
    use rdkafka::admin::AdminOptions;
    let bench = Bench::start().await;
    bench.create("going", 1, &[]).await;
    bench.create("staying", 1, &[]).await;
    let consumer = bench.consumer("g", &[]);
    commit(&consumer, "going", 7);
    commit(&consumer, "staying", 8);
    let options = AdminOptions::new();
    bench.admin().delete_topics(&["going"], &options).await.unwrap().remove(0).unwrap();
    bench.create("going", 1, &[]).await;
    assert_eq!(committed(&consumer, "going"), Offset::Invalid);
    assert_eq!(committed(&consumer, "staying"), Offset::Offset(8));
    let listed = |bench: &Bench| {
        let groups = bench.consumer("looker", &[]).fetch_group_list(None, LIMIT).unwrap();
        groups.groups().iter().map(|group| group.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&bench), ["g"]);
    bench.admin().delete_groups(&["g"], &options).await.unwrap().remove(0).unwrap();
    assert_eq!(committed(&consumer, "staying"), Offset::Invalid);
    assert_eq!(listed(&bench), [""; 0]);
    let gone = bench.admin().delete_groups(&["g"], &options).await.unwrap().remove(0);
    assert!(gone.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_at_work_cannot_be_deleted() {
    use rdkafka::admin::AdminOptions;
    let bench = Bench::start().await;
    bench.create("worked", 1, &[]).await;
    let consumer = bench.consumer("g", &[]);
    consumer.subscribe(&["worked"]).unwrap();
    poll_until(&[&consumer], || partitions(&consumer) == [0]);
    let refused = bench.admin().delete_groups(&["g"], &AdminOptions::new()).await.unwrap();
    assert!(refused[0].is_err());
}
