//! The closed list of topics and their names under the configured prefix.

/// A topic by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// What producers write.
    Events,
    /// What the contract accepted, stamped with its source position.
    Valid,
    /// What the contract rejected, with the reason.
    DeadLetters,
    /// What users' events say about items, keyed by item.
    Signals,
    /// The catalogue; compacted, key = item id.
    Items,
    /// Every answer as it was given.
    Decisions,
    /// Announcements of artifacts; compacted.
    Models,
    /// Which dead letters were sent back; compacted, key = position of the rejected record.
    Redriven,
}

impl Topic {
    pub const ALL: [Self; 8] = [
        Self::Events,
        Self::Valid,
        Self::DeadLetters,
        Self::Signals,
        Self::Items,
        Self::Decisions,
        Self::Models,
        Self::Redriven,
    ];

    /// The name without its prefix.
    #[must_use]
    pub fn base(self) -> &'static str {
        match self {
            Self::Events => "events.v1",
            Self::Valid => "events.valid.v1",
            Self::DeadLetters => "events.dlq.v1",
            Self::Signals => "signals.v1",
            Self::Items => "items.v1",
            Self::Decisions => "decisions.v1",
            Self::Models => "models.v1",
            Self::Redriven => "dlq.redriven.v1",
        }
    }

    /// The full name, for example `upnext.events.v1`.
    #[must_use]
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}{}", self.base())
    }

    /// Whether only the newest record of a key is kept.
    #[must_use]
    pub fn is_compacted(self) -> bool {
        match self {
            Self::Items | Self::Models | Self::Redriven => true,
            Self::Events | Self::Valid | Self::DeadLetters | Self::Signals | Self::Decisions => {
                false
            }
        }
    }
}
