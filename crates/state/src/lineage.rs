//! Which fields of events everything in here is made of: one table, held against the code by the model's tests.
//!
//! A fact reads the fields by which an event of its types is told apart (`event_id`), placed in time (`event_time`)
//! and given to somebody (`user_id`, `anonymous_id`), and those that say what happened. Of erasures it reads whom they
//! are about. What only pushes something out of a bounded memory (64 events, 64 event ids) is not counted as read.

use upnext_common::event::EventType;

/// A field of one event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventField {
    pub kind: EventType,
    pub field: &'static str,
}

/// Something that state knows of a user or of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Of a user: counts by type in sliding windows.
    Windows,
    /// Of a user: the last events.
    Recent,
    /// Of a user: whether anything was of interest yet.
    Known,
    /// Of a user: whether anything was of interest in a session.
    InSession,
    /// Of a user: items of interest in order, by session.
    Sequence,
    /// Of a user: items they come back to.
    TopItems,
    /// Of a user: in how many sessions they came back to an item.
    TopSessions,
    /// Of a user: items they want no more.
    Hidden,
    /// Of an item: interactions that are not repeats.
    Interest,
    /// Of an item: sessions opened with it.
    Openings,
    /// Of an item: impressions.
    Shown,
    /// Of an item: clicks.
    Clicked,
    /// Of an item: what else its sessions met.
    Pairs,
    /// Of an item: when the log first spoke of it.
    FirstSeen,
}

const IDENTITY: [&str; 4] = ["event_id", "event_time", "user_id", "anonymous_id"];
const ERASURE: [&str; 3] = ["event_id", "user_id", "anonymous_id"];

impl Fact {
    pub const ALL: [Self; 14] = [
        Self::Windows,
        Self::Recent,
        Self::Known,
        Self::InSession,
        Self::Sequence,
        Self::TopItems,
        Self::TopSessions,
        Self::Hidden,
        Self::Interest,
        Self::Openings,
        Self::Shown,
        Self::Clicked,
        Self::Pairs,
        Self::FirstSeen,
    ];

    /// Every field that the fact depends on.
    #[must_use]
    pub fn reads(self) -> Vec<EventField> {
        let mut reads: Vec<EventField> = ERASURE
            .into_iter()
            .map(|field| EventField { kind: EventType::UserErased, field })
            .collect();
        for kind in EventType::ALL.into_iter().filter(|kind| self.takes(*kind)) {
            let said = self.said_by(kind).iter().copied();
            let fields = IDENTITY.into_iter().chain(said);
            reads.extend(fields.map(|field| EventField { kind, field }));
        }
        reads
    }

    /// Whether events of the type count for it.
    fn takes(self, kind: EventType) -> bool {
        match self {
            Self::Windows => kind != EventType::UserErased,
            Self::Recent => !matches!(kind, EventType::UserErased | EventType::ItemsShown),
            Self::Known
            | Self::InSession
            | Self::Sequence
            | Self::TopItems
            | Self::TopSessions
            | Self::Interest
            | Self::Openings
            | Self::Pairs => kind.is_interaction(),
            Self::Hidden => kind == EventType::ItemHidden,
            Self::Shown => kind == EventType::ItemsShown,
            Self::Clicked => kind == EventType::ItemClicked,
            Self::FirstSeen => {
                kind.is_interaction()
                    || matches!(kind, EventType::ItemHidden | EventType::ItemsShown)
            }
        }
    }

    /// What it takes from an event beside its identity.
    fn said_by(self, kind: EventType) -> &'static [&'static str] {
        match self {
            Self::Windows | Self::Known => &[],
            Self::InSession => &["session_id"],
            Self::Recent if kind == EventType::Searched => &[],
            Self::Shown | Self::FirstSeen if kind == EventType::ItemsShown => &["item_ids"],
            Self::Recent
            | Self::TopItems
            | Self::Hidden
            | Self::Shown
            | Self::Clicked
            | Self::FirstSeen => &["item_id"],
            Self::Sequence | Self::TopSessions | Self::Interest | Self::Openings | Self::Pairs => {
                &["session_id", "item_id"]
            }
        }
    }
}
