//! Both stages over stored key groups, simulated: whatever crashes, wakes up late or loses its newest writes, state
//! equals a single pass. And the same with one rule broken, which must be found wrong.

#![expect(clippy::unwrap_used, reason = "a test may end")]

#[path = "groups/events.rs"]
mod events;
#[path = "groups/nodes.rs"]
mod nodes;
#[path = "groups/worker.rs"]
mod worker;
#[path = "groups/world.rs"]
mod world;

use world::{Rules, World};

const RUNS: u64 = 300;

fn is_right(seed: u64, rules: Rules) -> bool {
    World::new(seed, rules).run().is_right()
}

/// One of the runs must end with wrong state.
#[track_caller]
fn check_broken(rules: Rules) {
    let found = (0..RUNS).find(|seed| !is_right(*seed, rules));
    assert!(found.is_some(), "{rules:?} is not found wrong");
}

#[test]
fn state_equals_a_single_pass_whatever_happens() {
    let wrong: Vec<u64> = (0..RUNS).filter(|seed| !is_right(*seed, Rules::AsBuilt)).collect();
    assert!(wrong.is_empty(), "{} of {RUNS} runs are wrong: {wrong:?}", wrong.len());
}

#[test]
fn resuming_at_the_highest_group_loses() {
    check_broken(Rules::ResumeAtHighest);
}

#[test]
fn the_source_positions_of_a_group_further_on_lose() {
    check_broken(Rules::SourcesOfHighest);
}

#[test]
fn blobs_before_signals_lose() {
    check_broken(Rules::BlobsBeforeSignals);
}

#[test]
fn one_watermark_for_all_groups_loses() {
    check_broken(Rules::OneWatermark);
}

#[test]
fn a_flush_without_claims_does_not_see_what_was_emptied_meanwhile() {
    check_broken(Rules::NoClaims);
}
