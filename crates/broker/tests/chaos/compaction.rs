//! Many writes of few keys: what is left is little, and right, also when the broker is killed while it compacts.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::{BrokerProcess, LIMIT, client, create, read_all, size, until};

/// Of one record of a key that is live, in the log: its value, key, and what a record and its share of a batch cost.
const VALUE_BYTES: usize = 100;

/// What the last writer said of each key; `None` is a tombstone.
type Expected = BTreeMap<String, Option<String>>;

/// Writes and compacts, with a kill every `kill_every` writes.
async fn compact(writes: u64, keys: u64, kill_every: u64) {
    let mut broker = BrokerProcess::start();
    let settings =
        [("cleanup.policy", "compact"), ("segment.bytes", "4194304"), ("delete.retention.ms", "0")];
    create(&broker, "items", 1, &settings).await;
    let mut expected = Expected::new();
    let mut at = 0;
    while at < writes {
        let until = writes.min(at + kill_every);
        write(&broker, at..until, keys, &mut expected);
        at = until;
        broker.kill_and_restart();
    }
    let live = live_bytes(&expected);
    let bound = Duration::from_secs(120);
    let bytes = until(bound, || broker.log_bytes("items"), |bytes| *bytes <= 2 * live).await;
    check_state(&broker, &expected);
    broker.kill_and_restart();
    check_state(&broker, &expected);
    let ratio = (bytes * 100 / live) as f64 / 100.0;
    eprintln!(
        "{writes} writes over {keys} keys: {live} live bytes, {bytes} on disk, {ratio} times"
    );
}

fn write(broker: &BrokerProcess, range: std::ops::Range<u64>, keys: u64, expected: &mut Expected) {
    let settings = [
        ("enable.idempotence", "true"),
        ("message.timeout.ms", "0"),
        ("linger.ms", "5"),
        ("queue.buffering.max.messages", "50000"),
        ("compression.type", if range.start.is_multiple_of(2) { "none" } else { "lz4" }),
    ];
    let producer: BaseProducer = client(broker, &settings).create().unwrap();
    for at in range {
        // A walk over the keys that meets each as often, in no simple order; one in 50 writes is a tombstone.
        let key = format!("item-{}", at.wrapping_mul(7_919) % keys);
        let value = (at % 50 != 49).then(|| format!("{at:0>VALUE_BYTES$}"));
        loop {
            let record = BaseRecord::<str, str>::to("items").key(&key);
            let record = match &value {
                Some(value) => record.payload(value),
                None => record,
            };
            if producer.send(record).is_ok() {
                break;
            }
            producer.poll(Duration::from_millis(5));
        }
        expected.insert(key, value);
    }
    producer.flush(LIMIT).unwrap();
}

/// What the newest records of all keys take at least, uncompressed: keys and values.
fn live_bytes(expected: &Expected) -> u64 {
    let live = expected.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    live.map(|(key, value)| (key.len() + value.len()) as u64).sum()
}

#[track_caller]
fn check_state(broker: &BrokerProcess, expected: &Expected) {
    let mut state = BTreeMap::new();
    let mut last_offset = -1;
    for found in read_all(broker, "items", 1) {
        assert!(found.offset > last_offset, "offsets ascend");
        last_offset = found.offset;
        state.insert(found.key, found.value);
    }
    state.retain(|_, value| value.is_some());
    let mut live = expected.clone();
    live.retain(|_, value| value.is_some());
    let differing = live.iter().filter(|(key, value)| state.get(*key) != Some(value)).count();
    assert_eq!((differing, state.len()), (0, live.len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writes_the_newest_stay_and_little_else() {
    compact(50_000, 2_000, 20_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: scripts/chaos-broker"]
async fn long_of_many_writes_the_newest_stay_and_little_else() {
    compact(size("BROKER_CHAOS_WRITES", 1_000_000), 10_000, 100_000).await;
}
