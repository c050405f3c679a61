//! Several states as one.

use super::*;
use crate::half_life::DAY_MS;

/// Everything that can be read of a state, at `now_ms`.
fn reading(state: &UserState, now_ms: i64) -> String {
    let lifetime = EventType::ALL.map(|kind| state.lifetime(kind));
    let (windows, top) = (state.windows(now_ms), state.top_items(now_ms));
    let (recent, hidden) = (state.recent(), state.hidden());
    let own = (state.newest_ms(), state.sessions(), lifetime);
    format!("{own:?} {windows:?} {recent:?} {top:?} {hidden:?}")
}

/// Parts of one history, dealt out at random: a user's devices.
fn parts() -> impl Strategy<Value = [UserState; 3]> {
    (histories(), any::<u64>()).prop_map(|(events, seed)| {
        let mut states = <[UserState; 3]>::default();
        for (event, offset) in events.iter().zip(0..) {
            let part = seed.rotate_left(u32::try_from(offset * 7 % 64).unwrap()) % 3;
            let state = &mut states[usize::try_from(part).unwrap()];
            state.apply(event, i64::MAX, offset, &mut Vec::new());
        }
        states
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn merging_is_commutative_and_associative([a, b, c] in parts(), idle_ms in 0..40 * DAY_MS) {
        let one = a.merge(&b).merge(&c);
        let now_ms = one.newest_ms() + idle_ms;
        let others = [
            a.merge(&b.merge(&c)), c.merge(&b).merge(&a), b.merge(&a).merge(&c), c.merge(&a).merge(&b)
        ];
        for other in others {
            prop_assert_eq!(reading(&one, now_ms), reading(&other, now_ms));
            prop_assert_eq!(one.encode(), other.encode());
        }
        // A merged state is logged with a decision: it is read the same when it comes back.
        let logged = UserState::decode(&one.encode()).unwrap();
        prop_assert_eq!(reading(&one, now_ms), reading(&logged, now_ms));
    }

    #[test]
    fn merging_with_nothing_changes_no_reading([a, b, _] in parts(), idle_ms in 0..40 * DAY_MS) {
        let nothing = UserState::new();
        for state in [a.merge(&b), a] {
            let now_ms = state.newest_ms() + idle_ms;
            let expected = reading(&state, now_ms);
            prop_assert_eq!(reading(&state.merge(&nothing), now_ms), expected.clone());
            prop_assert_eq!(reading(&nothing.merge(&state), now_ms), expected);
        }
    }

    #[test]
    fn a_history_in_parts_reads_as_the_whole(events in histories(), cut in 0..240_usize) {
        let (left, right) = events.split_at(cut.min(events.len()));
        let merged = run(left).0.merge(&run(right).0);
        let (whole, _) = run(&events);
        for kind in EventType::ALL {
            prop_assert_eq!(merged.lifetime(kind), whole.lifetime(kind));
        }
        let now_ms = whole.newest_ms();
        prop_assert_eq!(merged.windows(now_ms), whole.windows(now_ms));
        let times = |state: &UserState| -> Vec<i64> {
            state.recent().iter().map(|event| event.time_ms).collect()
        };
        prop_assert_eq!(times(&merged), times(&whole));
        let distinct = whole.top_items(now_ms).len();
        if distinct < TOP_MAX && merged.top_items(now_ms).len() < TOP_MAX {
            let weights = |state: &UserState| -> Vec<_> {
                let top = state.top_items(now_ms);
                top.iter().map(|top| (top.item, top.weight.to_bits(), top.repeats)).collect()
            };
            prop_assert_eq!(weights(&merged), weights(&whole));
        }
    }
}

#[test]
fn a_session_that_both_parts_end_with_is_one_of_the_items() {
    let (known, _) = run(&[view(1, NOON_MS, 1), view(2, NOON_MS + 9, 1)]);
    let (anonymous, _) = run(&[view(3, NOON_MS + 5, 1)]);
    let top = known.merge(&anonymous).top_items(NOON_MS)[0];
    assert_eq!((top.repeats, top.sessions, top.last_ms), (3, 1, NOON_MS + 9));
}

#[test]
fn every_hide_of_every_part_holds() {
    let hide = |number, item| event(number, NOON_MS, 0, body(EventType::ItemHidden, item));
    let (one, _) = run(&(0..128).map(|at| hide(at, at)).collect::<Vec<_>>());
    let (other, _) = run(&(100..228).map(|at| hide(at, at)).collect::<Vec<_>>());
    let merged = one.merge(&other);
    assert_eq!(merged.hidden().len(), 228);
    assert_eq!(UserState::decode(&merged.encode()).unwrap().hidden(), merged.hidden());
}

/// The trap: a list cut to its bound at every merge makes the order of merges count.
#[test]
fn cut_at_every_merge_the_order_of_merges_counts() {
    let visited = |items: std::ops::Range<u64>, times: u64, number: u64| {
        let made = items.flat_map(|item| (0..times).map(move |_| item)).zip(number..);
        run(&made.map(|(item, at)| view(at, NOON_MS, item)).collect::<Vec<_>>()).0
    };
    // Together, a and c know one item better than b knows any; alone, neither does.
    let (a, b, c) = (visited(99..100, 2, 0), visited(0..32, 3, 100), visited(99..100, 2, 300));
    let cut = |mut state: UserState| {
        let strongest = state.top_items(NOON_MS);
        state.top.0.retain(|kept| strongest.iter().any(|top| top.item == kept.item));
        state
    };
    let naive = [cut(cut(a.merge(&b)).merge(&c)), cut(cut(a.merge(&c)).merge(&b))];
    assert_ne!(reading(&naive[0], NOON_MS), reading(&naive[1], NOON_MS));
    let real = [a.merge(&b).merge(&c), a.merge(&c).merge(&b)];
    assert_eq!(reading(&real[0], NOON_MS), reading(&real[1], NOON_MS));
}
