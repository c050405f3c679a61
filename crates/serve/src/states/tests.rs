//! Following states of a store that does not answer.

use upnext_testkit::eventually_async;

use super::*;
use crate::world::World;
use crate::worlds::Served;

const BOUND: Duration = Duration::from_secs(30);
/// Nobody listens there.
const NOBODY: &str = "redis://127.0.0.1:9";

fn follower(readiness: &Arc<Readiness>) -> StateFollower {
    let (redis, metrics) = (config::Redis::default(), Metrics::new());
    let store = Store { url: NOBODY.to_owned(), redis, clock: Clock::system(), metrics };
    let generation = Generation::default();
    let world = Arc::new(World::new(store.metrics.clone()));
    let reader = store.reader(generation).unwrap();
    let worlds = Arc::new(Worlds::new(Served { generation, world, reader }));
    let generations = Arc::new(Generations::connect(NOBODY, &store.redis).unwrap());
    let reporter =
        Reporter::new(Arc::clone(&worlds), Arc::clone(&generations), "reader".to_owned());
    StateFollower {
        worlds,
        generations,
        reporter: Arc::new(reporter),
        log: Log { brokers: "127.0.0.1:9".to_owned(), topic_prefix: String::new() },
        store,
        readiness: Arc::clone(readiness),
        health: Health::new(&[PART]),
        applied: watch::channel(Place::default()).0,
    }
}

#[tokio::test]
async fn who_has_just_started_waits_a_moment_for_the_store_and_then_goes_without() {
    let readiness = Arc::new(Readiness::default());
    let follower = follower(&readiness);
    let (health, drain) = (follower.health.clone(), Drain::new());
    let began = Instant::now();
    let running = tokio::spawn(follower.run(drain.clone()));
    let is_waiting = || !readiness.states.load(Ordering::Acquire);
    eventually_async(BOUND, async || health.is_ready() || !is_waiting()).await;
    assert!(!is_waiting(), "ready before it went without the store");
    assert!(began.elapsed() >= AWAY_AFTER, "{:?}", began.elapsed());
    eventually_async(BOUND, async || health.is_ready()).await;
    drain.start();
    running.await.unwrap();
}
