//! The single pass agrees with its parts.

use proptest::prelude::*;

use super::*;
use crate::header;
use crate::sample::{NOON_MS, body, cases, event, events, view};
use crate::signal::SignalEntry;

fn entries(offset: i64, signals: &[Signal]) -> Vec<SignalEntry> {
    let numbered = signals.iter().zip(0..);
    numbered.map(|(signal, index)| SignalEntry { offset, index, signal: signal.clone() }).collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn through_batches_items_come_out_the_same(events in events(30), repeated in 0..30_usize) {
        let mut replay = Replay::new();
        let mut batches = Vec::new();
        for (event, offset) in events.iter().zip(0..) {
            let signals = replay.apply(event, i64::MAX).signals;
            batches.push(SignalBatch { source_partition: 1, entries: entries(offset, &signals), source_epoch: 0 });
        }
        let mut items = SignalReplay::default();
        let again = repeated.min(batches.len());
        // The users stage crashed and sent its last batches twice.
        let sent = batches.iter().chain(&batches[batches.len() - again..]);
        for (batch, offset) in sent.zip(0..) {
            items.apply(batch, offset);
        }
        prop_assert_eq!(items.items.len(), replay.items.len());
        for (hash, item) in &replay.items {
            let found = items.items[hash].encode();
            prop_assert_eq!(&found[header::LEN..], &item.encode()[header::LEN..]);
        }
    }
}

#[test]
fn users_are_told_apart() {
    let mut replay = Replay::new();
    let known = view(1, NOON_MS, 1);
    let mut anonymous = view(2, NOON_MS, 2);
    anonymous.user_id = None;
    anonymous.anonymous_id = Some("u1".to_owned());
    let mut nobody = anonymous.clone();
    nobody.anonymous_id = None;
    assert_eq!(replay.apply(&known, NOON_MS).applied, Applied::Counted);
    assert_eq!(replay.apply(&anonymous, NOON_MS).applied, Applied::Counted);
    assert_eq!(replay.apply(&nobody, NOON_MS).applied, Applied::Duplicate);
    assert_eq!((replay.users.len(), replay.items.len()), (2, 2));
    for subject in replay.users.keys() {
        assert_eq!(&OwnedSubject::from(subject.as_subject()), subject);
    }
}

#[test]
fn what_an_event_touched_is_named_once() {
    let mut replay = Replay::new();
    let click = |number, item| {
        event(number, NOON_MS, 0, body(upnext_common::event::EventType::ItemClicked, item))
    };
    replay.apply(&click(1, 1), NOON_MS);
    let replayed = replay.apply(&click(2, 2), NOON_MS);
    assert_eq!(replayed.touched(), [ItemHash::of("m2"), ItemHash::of("m1")]);
    assert_eq!(replayed.signals.len(), 3);
}

#[test]
fn source_positions_are_counted_once_per_partition() {
    let mut state = UserState::new();
    let mut signals = Vec::new();
    state.apply(&view(1, NOON_MS, 1), NOON_MS, 0, &mut signals);
    let batch = |source_partition| SignalBatch {
        source_partition,
        entries: entries(4, &signals),
        source_epoch: 0,
    };
    let mut items = SignalReplay::default();
    assert_eq!(items.apply(&batch(0), 0), 1);
    assert_eq!(items.apply(&batch(0), 1), 0, "the same position again");
    assert_eq!(items.apply(&batch(1), 2), 1, "another partition's position");
}
