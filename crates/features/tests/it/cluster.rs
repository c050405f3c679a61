//! State in key groups on a Redis Cluster whose masters die under load: each takes its newest writes with it, and state
//! equals a single pass all the same.

use upnext_testkit::RedisCluster;

use crate::crowd::Crowd;
use crate::faults::{resets, two_owners_meet};
use crate::verify::verify;
use crate::world::World;

/// Rounds of a master's death; in every second one its replica had fallen behind. `count` events between two steps.
#[expect(clippy::print_stdout, reason = "the script shows it")]
async fn masters_die(crowd: Crowd, rounds: u64, count: u32) {
    let mut world = World::clustered(0).await;
    world.crowd = crowd;
    let daemon = world.start();
    world.write(count.into()).await;
    world.advanced(i64::from(count / 2)).await;
    for round in 0..rounds {
        let roll = usize::try_from(world.crowd.die.roll(3)).expect("below three");
        let lags = round % 2 == 0;
        let master = blocking(&mut world, |cluster| cluster.masters()[roll]);
        if lags {
            blocking(&mut world, |cluster| cluster.cut_off(cluster.partner(master)));
            world.write(count.into()).await;
            world.advanced(i64::from(count / 2)).await;
        }
        world.write(count.into()).await;
        blocking(&mut world, |cluster| cluster.fail_over(master));
        world.write(count.into()).await;
        blocking(&mut world, |cluster| {
            cluster.let_in(cluster.partner(master));
            cluster.bring_back(master);
            cluster.healed();
        });
    }
    world.settled().await;
    daemon.drained().await;
    assert!(resets(&world) > 0);
    let verified = verify(&world).await;
    println!(
        "{rounds} masters died, {} times the sessions began again: {verified:?} all as in a single pass",
        resets(&world)
    );
}

/// What waits for servers, without holding up the daemon.
fn blocking<T>(world: &mut World, work: impl FnOnce(&mut RedisCluster) -> T) -> T {
    tokio::task::block_in_place(|| work(world.cluster.as_mut().expect("a world on a cluster")))
}

#[tokio::test(flavor = "multi_thread")]
async fn masters_that_die_under_load_lose_and_double_nothing() {
    masters_die(Crowd::new(41), 2, 150).await;
}

/// The long form: `scripts/chaos-cluster`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; scripts/chaos-cluster runs it"]
async fn masters_die_again_and_again() {
    masters_die(Crowd::of(42, 5_000, 1_000), 12, 3_200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_on_one_server_stand_losses_and_crashes() {
    let mut world = World::grouped(43, 5).await;
    for _ in 0..4 {
        world.write(150).await;
        let daemon = world.start();
        let records = 1 + world.crowd.die.roll(60);
        world.advanced(i64::try_from(records).unwrap()).await;
        let lost_bytes = world.crowd.die.roll(1 << 14);
        world.stack.redis.restart_losing(lost_bytes);
        daemon.killed().await;
    }
    let daemon = world.start();
    world.settled().await;
    daemon.drained().await;
    verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_of_all_groups_do_no_harm() {
    two_owners_meet(World::grouped(44, 5).await).await;
}
