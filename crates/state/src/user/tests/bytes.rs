//! Bytes come back as the state they were made from, and foreign bytes do no harm.

use super::*;

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn decoding_what_was_encoded_changes_nothing(log in logs(), cut in 0..240_usize) {
        let (before, after) = log.split_at(cut.min(log.len()));
        let mut kept = UserState::new();
        follow(&mut kept, before, 0);
        let mut stored = UserState::decode(&kept.encode()).unwrap();
        prop_assert_eq!(&stored, &kept);
        prop_assert_eq!(stored.encode(), kept.encode());
        // And it goes on as if it had never been written.
        for ((event, record_ms), offset) in after.iter().zip(1_000..) {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            kept.apply(event, *record_ms, offset, &mut one);
            stored.apply(event, *record_ms, offset, &mut other);
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!(stored.encode(), kept.encode());
    }

    #[test]
    fn no_bytes_make_it_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 1..=2_u8, now_ms: i64,
    ) {
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        if let Ok(state) = UserState::decode(&bytes) {
            prop_assert_eq!(state.windows(now_ms).len(), WINDOWS.len());
        }
    }

    #[test]
    fn a_damaged_state_never_passes_for_more_than_it_is(
        log in logs(), at in 0..400_usize, bit in 0..8_u8,
    ) {
        let mut state = UserState::new();
        follow(&mut state, &log, 0);
        let mut bytes = state.encode();
        prop_assert!(UserState::decode(&bytes[..bytes.len() - 1]).is_err());
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(state) = UserState::decode(&bytes) {
            prop_assert!(state.recent().is_sorted_by_key(|event| event.time_ms));
            prop_assert!(state.top_items(NOON_MS).len() <= TOP_MAX);
            prop_assert_eq!(UserState::decode(&state.encode()), Ok(state));
        }
    }
}
