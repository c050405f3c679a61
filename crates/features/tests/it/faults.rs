//! Whatever is killed, frozen, emptied or doubled: state equals a single pass.

use upnext_common::metrics::StageLabels;
use upnext_testkit::eventually_async;

use crate::verify::verify;
use crate::world::{BOUND, World};

pub(crate) fn resets(world: &World) -> u64 {
    let count = |stage| world.metrics.state_resets.get_or_create(&StageLabels { stage }).get();
    count("users") + count("items")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_moment_loses_and_doubles_nothing() {
    let mut world = World::new(11).await;
    for _ in 0..8 {
        world.write(150).await;
        let daemon = world.start();
        let records = 1 + world.crowd.die.roll(100);
        world.advanced(i64::try_from(records).unwrap()).await;
        daemon.killed().await;
    }
    let daemon = world.start();
    world.settled().await;
    daemon.drained().await;
    verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_and_loses_its_newest_writes_is_told_again() {
    let mut world = World::new(12).await;
    let daemon = world.start();
    for round in 0..6 {
        world.write(150).await;
        let records = 1 + world.crowd.die.roll(60);
        world.advanced(i64::try_from(records).unwrap()).await;
        // Losing nothing, a few flushes, or nearly everything.
        let lost_bytes = world.crowd.die.roll(1 << (12 + round));
        world.stack.redis.restart_losing(lost_bytes);
    }
    world.write(50).await;
    world.settled().await;
    daemon.drained().await;
    assert!(resets(&world) > 0);
    verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_filled_again_from_the_log() {
    let mut world = World::new(13).await;
    let daemon = world.start();
    world.write(300).await;
    world.advanced(100).await;
    for _ in 0..3 {
        // The connection lives on: only the watermark tells.
        let before = resets(&world);
        assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
        world.write(100).await;
        // And again while there is no watermark yet, but perhaps blobs that are ahead of it.
        eventually_async(BOUND, async || resets(&world) > before).await;
        assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
        world.advanced(50).await;
    }
    assert!(world.stack.redis.command("FUNCTION FLUSH").starts_with("+OK"));
    world.write(100).await;
    world.settled().await;
    // Emptied while nothing flows: the idle check finds out.
    assert!(world.stack.redis.command("FLUSHALL").starts_with("+OK"));
    world.settled().await;
    daemon.drained().await;
    assert!(resets(&world) > 0);
    verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_is_waited_for() {
    let mut world = World::new(14).await;
    world.config.redis.write_timeout_ms = 200;
    let daemon = world.start();
    world.write(100).await;
    world.advanced(20).await;
    world.stack.redis.stop_signal();
    let before = resets(&world);
    world.write(100).await;
    eventually_async(BOUND, async || resets(&world) > before).await;
    world.stack.redis.cont_signal();
    world.settled().await;
    daemon.drained().await;
    verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_share_the_partitions_and_one_may_die() {
    let mut world = World::new(15).await;
    let first = world.start();
    world.write(200).await;
    world.advanced(50).await;
    let second = world.start();
    for _ in 0..3 {
        world.write(100).await;
        world.advanced(60).await;
    }
    first.killed().await;
    world.write(200).await;
    world.settled().await;
    second.drained().await;
    verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_and_comes_back_is_waited_for() {
    let mut world = World::new(16).await;
    let daemon = world.start();
    world.write(200).await;
    world.advanced(30).await;
    let address = world.stack.stop_broker().await;
    world.stack.resume_broker(address).await;
    world.write(200).await;
    world.settled().await;
    daemon.drained().await;
    verify(&world).await;
}

/// Two daemons that both believe to own the partitions: groups of different names do not know of each other.
#[tokio::test(flavor = "multi_thread")]
async fn two_owners_of_everything_do_no_harm() {
    two_owners_meet(World::new(17).await).await;
}

/// Two daemons of groups that do not know of each other: each believes to own everything, and is a zombie to the other.
pub(crate) async fn two_owners_meet(mut world: World) {
    let group = world.config.features.group.clone();
    let first = world.start();
    eventually_async(BOUND, async || rebalances(&world) > 0).await;
    let alone = rebalances(&world);
    world.config.features.group = format!("{group}-zombie");
    let second = world.start();
    eventually_async(BOUND, async || rebalances(&world) > alone).await;
    // Until they have met: one of them found its watermark taken.
    let mut rounds = 0;
    while rounds < 4 || resets(&world) == 0 {
        world.write(50).await;
        world.advanced(25).await;
        rounds += 1;
        assert!(rounds < 200, "they never met");
    }
    second.killed().await;
    world.settled().await;
    first.drained().await;
    verify(&world).await;
}

/// How often a group gave partitions to the stage where it was done less often.
fn rebalances(world: &World) -> u64 {
    let count = |stage| world.metrics.state.rebalances.get_or_create(&StageLabels { stage }).get();
    count("users").min(count("items"))
}
