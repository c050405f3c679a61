//! One user's state: properties over random histories, and the rules one by one.

use proptest::prelude::*;

use super::*;
use crate::sample::{Logged, NOON_MS, body, cases, delayed, event, events, histories, logs, view};
use crate::top::TOP_MAX;
use crate::{DecodeError, USER_BYTES_MAX};

mod bytes;
mod log;
mod merging;
mod order;
mod rules;
mod size;
mod versions;

/// Applies events at offsets 0, 1, …; returns the state and all signals.
fn run(events: &[Event]) -> (UserState, Vec<Signal>) {
    let mut state = UserState::new();
    let mut signals = Vec::new();
    for (event, offset) in events.iter().zip(0..) {
        state.apply(event, i64::MAX, offset, &mut signals);
    }
    (state, signals)
}

/// Applies a part of a log that begins at `from`; returns all signals.
fn follow(state: &mut UserState, log: &[Logged], from: usize) -> Vec<Signal> {
    let mut signals = Vec::new();
    for ((event, record_ms), offset) in log.iter().zip(0..).skip(from) {
        state.apply(event, *record_ms, offset, &mut signals);
    }
    signals
}
