//! How state is laid out, recorded at its first use: whoever lays it out otherwise would count twice or lose.

use std::fmt;

/// What must not change under stored state. Written as `groups=16 valid=4 signals=4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Key groups.
    pub groups: u32,
    /// Partitions of valid events: who is in which.
    pub valid: i32,
    /// Partitions of signals: what is in which.
    pub signals: i32,
}

impl fmt::Display for Layout {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { groups, valid, signals } = self;
        write!(out, "groups={groups} valid={valid} signals={signals}")
    }
}
