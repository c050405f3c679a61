//! A registry that answers 500, 429, 401, hangs, and is gone, while a new schema id arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use upnext_common::clock::Clock;
use upnext_common::metrics::EventLabels;
use upnext_common::topic::Topic;
use upnext_contract::subject_of;
use upnext_kafka::{Outgoing, Producer};

use crate::front::{Fault, Front};
use crate::ground::{Ground, click, registry, source, within};

const FAULTS: [Fault; 5] =
    [Fault::Status(500), Fault::Status(429), Fault::Status(401), Fault::Hanging, Fault::Gone];
const TICK: Duration = Duration::from_millis(10);
const RECORDS_PER_TICK: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_registry_holds_back_only_what_needs_it_and_no_longer_than_it_fails() {
    through_all_faults(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes seven minutes; scripts/registry-faults runs it"]
async fn a_minute_of_each_fault() {
    through_all_faults(Duration::from_secs(60)).await;
}

/// Each fault for so long, with as long before it; prints the rates of what is known and the time to resume.
async fn through_all_faults(length: Duration) {
    let mut ground = Ground::start().await;
    let front = Front::before(&ground.registry_url).await;
    let direct = std::mem::replace(&mut ground.registry_url, front.url.clone());
    ground.config.registry.timeout_ms = 2_000;
    ground.config.registry.unknown_grace_ms = 30_000;
    let running = ground.ingest();
    let mut valid = ground.follow(Topic::Valid);
    ground.write(&ground.raw(&click("u1", "first"), 1)).await;
    valid.next().await;
    // Read all the while, so that what is told of the resuming is not how long the reading takes.
    let (arrived, mut arrivals) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let position = source(&valid.next_or_wait().await);
            if position.0 == 0 {
                arrived.send(position).await.ok();
            }
        }
    });
    let load = Load::start(&ground);
    let clock = Clock::system();
    for (number, fault) in (0..).zip(FAULTS) {
        let before = ground.rate_over(length / 4).await;
        let newer = newer_click(&ground, &direct, number).await;
        front.fail(fault);
        let mut needing = ground.raw(&click("needing", "i"), 0);
        needing.value = Some(newer);
        let needing = ground.write(&needing).await;
        let during = ground.rate_over(length).await;
        front.fail(Fault::None);
        let lifted = clock.instant();
        while within(arrivals.recv()).await != Some(needing) {}
        let resumed = clock.instant().duration_since(lifted);
        eprintln!(
            "{fault:?}: {during:.0} known/s during, {before:.0} before ({:.0} %); resumed after {:.1} s",
            100.0 * during / before,
            resumed.as_secs_f64(),
        );
        assert!(during > 0.0, "what is known flows on");
    }
    assert!(front.failed.load(Ordering::Acquire) >= 5, "each fault was met");
    load.finish().await;
    assert_eq!(running.stop().await.rejected, 0, "trouble is never a verdict");
    assert!(ground.follow(Topic::DeadLetters).all().await.is_empty());
}

/// Registers one more version of a click at the registry itself, and gives a record written with it.
async fn newer_click(ground: &Ground, registry_url: &str, number: u32) -> Bytes {
    let path = "../../schemas/events/ItemClicked.avsc";
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let ours = std::fs::read_to_string(path).unwrap();
    let field = |number: u32| format!(r#",{{"name":"l{number}","type":"string","default":""}}"#);
    let added = (0..=number).map(field).collect::<String>();
    let text = format!("{}{added}]}}", ours.trim_end().strip_suffix("]\n}").unwrap().trim_end());
    let subject = subject_of(&ground.topic(Topic::Events), "upnext.events.v1.ItemClicked");
    let id = registry(registry_url).register(&subject, &text).await.unwrap();
    let ours = ground.encoder.event(&click("needing", "i")).unwrap();
    let added = b"\x02x".repeat(usize::try_from(number).unwrap() + 1);
    Bytes::from([&[0], &id.to_be_bytes()[..], &ours[5..], &added[..]].concat())
}

impl Ground {
    /// Records accepted per second, over so long.
    async fn rate_over(&self, length: Duration) -> f64 {
        let accepted = EventLabels { verdict: "accepted", reason: "none" };
        let count = || self.metrics.events.get_or_create(&accepted).get();
        let clock = Clock::system();
        let (begun, before) = (clock.instant(), count());
        tokio::time::sleep(length).await;
        (count() - before) as f64 / clock.instant().duration_since(begun).as_secs_f64()
    }
}

/// Records of a known schema into the other partition, at a steady rate.
struct Load {
    stop: Arc<AtomicBool>,
    running: JoinHandle<()>,
}

impl Load {
    fn start(ground: &Ground) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let record = ground.raw(&click("known", "i"), 1);
        let running = tokio::spawn(produce(ground.producer.clone(), record, Arc::clone(&stop)));
        Self { stop, running }
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Release);
        within(self.running).await.unwrap();
    }
}

async fn produce(producer: Producer, record: Outgoing, stop: Arc<AtomicBool>) {
    let mut ticks = tokio::time::interval(TICK);
    while !stop.load(Ordering::Acquire) {
        ticks.tick().await;
        for _ in 0..RECORDS_PER_TICK {
            drop(producer.send_when_room(&record).await.unwrap());
        }
    }
}
