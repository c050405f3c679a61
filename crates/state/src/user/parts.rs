//! A user's state by feature.

use super::UserState;
use crate::part::{Part, part};

pub(super) fn parts(state: &UserState) -> Vec<Part> {
    let UserState { position, newest_ms, lifetime, sessions, panes, ring, top, hidden, seen } =
        state;
    vec![
        part("position", position),
        part("newest", newest_ms),
        part("lifetime", lifetime),
        part("sessions", sessions),
        part("windows", panes),
        part("recent", ring),
        part("top_items", top),
        part("hidden", hidden),
        part("seen", seen),
    ]
}
