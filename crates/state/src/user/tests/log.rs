//! A state and the log: what was seen is not counted again, wherever a crash lets it begin.

use super::*;

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn replaying_any_suffix_changes_nothing(log in logs(), cut in 0..240_usize) {
        let mut state = UserState::new();
        follow(&mut state, &log, 0);
        let before = state.encode();
        let signals = follow(&mut state, &log, cut.min(log.len()));
        prop_assert_eq!(state.encode(), before);
        prop_assert!(signals.is_empty());
    }

    /// Each crash loses what was not stored and begins again from a watermark that is at most as far as what was.
    #[test]
    fn a_crash_anywhere_equals_no_crash(
        log in logs(), crashes in proptest::collection::vec((0..240_usize, 0..60_usize), 1..4),
    ) {
        let mut whole = UserState::new();
        let signals = follow(&mut whole, &log, 0);
        let mut state = UserState::new();
        let mut seen = Vec::new();
        let mut from = 0;
        for (stored, back) in crashes {
            let stored = stored.min(log.len()).max(from);
            seen.extend(follow(&mut state, &log[..stored], from));
            state = UserState::decode(&state.encode()).unwrap();
            from = stored.saturating_sub(back);
        }
        seen.extend(follow(&mut state, &log, from));
        prop_assert_eq!(state.encode(), whole.encode());
        // What it says of items is said once, unless it was said after the last stored state.
        prop_assert_eq!(seen, signals);
    }
}

/// The guard taken out: without offsets a replayed suffix counts again.
#[test]
fn without_offsets_a_replay_counts_twice() {
    let log: Vec<Logged> = (0..100).map(|at| (view(at, NOON_MS, at), NOON_MS)).collect();
    let mut state = UserState::new();
    follow(&mut state, &log, 0);
    state.position.next_offset = 0;
    follow(&mut state, &log, 0);
    assert_eq!(state.lifetime(EventType::ItemViewed), 200, "event ids recall 64 events alone");
}
