//! How large a user's state gets.

use super::*;
use crate::half_life::DAY_MS;
use crate::top::{REPEATS_MAX, SESSIONS_MAX};
use crate::weight::{DEPTH_MAX, UNITS_MAX};

/// Everything full at once: each bound of each part reached, every number as long as it gets.
#[test]
fn the_largest_state_there_can_be_fits() {
    let mut state = UserState::new();
    state.position = Position { epoch: u32::MAX, next_offset: i64::MAX, next_index: u32::MAX };
    state.newest_ms = NOON_MS;
    state.lifetime = [u64::MAX >> 8; 10];
    state.sessions = u64::MAX >> 8;
    for (panes, window) in state.panes.iter_mut().zip(WINDOWS) {
        let oldest_ms = NOON_MS - window.width_ms - SKEW_MS;
        let mut time_ms = oldest_ms;
        while time_ms <= NOON_MS + 2 * window.pane_ms {
            for kind in EventType::ALL {
                for _ in 0..200 {
                    panes.add(window, kind, time_ms, NOON_MS);
                }
            }
            time_ms += window.pane_ms;
        }
    }
    for at in 0..64_u64 {
        let kind = EventType::ItemClicked;
        let item = Some(ItemHash(u64::MAX - at));
        let time_ms = NOON_MS - (64 - at.cast_signed()) * 400 * DAY_MS;
        state.ring.insert(RingEvent { kind, item, time_ms, session: u64::MAX / 3 - at });
        state.seen.push(u32::MAX);
    }
    for at in 0..40 {
        state.top.add(ItemHash(at), NOON_MS - 30_000 * DAY_MS, at);
        state.top.0.iter_mut().for_each(|kept| {
            (kept.repeats, kept.sessions) = (REPEATS_MAX, SESSIONS_MAX);
            (kept.weight.units, kept.weight.depth) = (UNITS_MAX, DEPTH_MAX);
        });
    }
    state.hidden = (0..128).map(|at| ItemHash(u64::MAX / 5 - at)).collect();
    let bytes = state.encode();
    assert!(bytes.len() <= USER_BYTES_MAX, "{} bytes", bytes.len());
    assert!(
        bytes.len() > USER_BYTES_MAX * 9 / 10,
        "the test fills less than it says: {}",
        bytes.len()
    );
    assert_eq!(UserState::decode(&bytes), Ok(state));
}

/// A crowd with the usual skew: most users did little, few did much, in sessions minutes long.
#[test]
fn the_mean_user_is_small() {
    let mut bytes = 0;
    let users = 200;
    for user in 0..users {
        let count = 1 + 600 / (user + 4);
        let session_length = 6;
        let happened = |at: i64| {
            let (session, step) = (at / session_length, at % session_length);
            let time_ms = NOON_MS + session * (DAY_MS + 977_000) + step * 23_000;
            let item = (user * 7 + session * 3 + step * 5).cast_unsigned() % 500;
            let kind = EventType::ALL[usize::try_from(at % 3 / 2).unwrap()];
            event(at.cast_unsigned(), time_ms, session.cast_unsigned(), body(kind, item))
        };
        let events: Vec<Event> = (0..count).map(happened).collect();
        bytes += run(&events).0.encode().len();
    }
    let mean = bytes / usize::try_from(users).unwrap();
    assert!((200..=420).contains(&mean), "{mean} bytes");
}
