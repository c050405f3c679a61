//! Candidates as columns: written in place by each stage, dropped only by filters and `select`.

/// Where a candidate came from first, in the order in which sources are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Often comes after the newest item.
    Next,
    /// Often comes after the item before that.
    Previous,
    /// The newest item often comes after it.
    Back,
    /// Often comes in sessions like this one.
    Session,
    /// Near the user in the towers' space.
    Tower,
    /// Interacted with by this user before.
    Repeat,
    Trending,
    /// Often opens a session.
    Opening,
    /// Named by the caller.
    Given,
    /// The artifact's own list.
    Static,
    /// Comes last, to fill up the answer.
    Fill,
}

impl Source {
    pub const ALL: [Self; 11] = [
        Self::Next,
        Self::Previous,
        Self::Back,
        Self::Session,
        Self::Tower,
        Self::Repeat,
        Self::Trending,
        Self::Opening,
        Self::Given,
        Self::Static,
        Self::Fill,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Previous => "previous",
            Self::Back => "back",
            Self::Session => "session",
            Self::Tower => "tower",
            Self::Repeat => "repeat",
            Self::Trending => "trending",
            Self::Opening => "opening",
            Self::Given => "given",
            Self::Static => "static",
            Self::Fill => "fill",
        }
    }
}

/// Why a candidate was dropped. The first cause that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    Deleted,
    Hidden,
    /// By the caller's `exclude_items`.
    Excluded,
    /// By the user's own `ItemHidden`.
    Disliked,
    Category,
    Price,
    Attributes,
    /// The newest item of this session.
    InView,
    /// By the rule `seen = exclude`.
    Seen,
}

impl Cause {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Hidden => "hidden",
            Self::Excluded => "excluded",
            Self::Disliked => "disliked",
            Self::Category => "category",
            Self::Price => "price",
            Self::Attributes => "attributes",
            Self::InView => "in_view",
            Self::Seen => "seen",
        }
    }
}

/// A candidate that was not answered, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub index: u32,
    pub source: Source,
    pub cause: Cause,
}

/// All candidates of one answer, column by column: the same position is the same candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slate {
    pub index: Vec<u32>,
    pub source: Vec<Source>,
    pub score: Vec<f32>,
    /// Feature rows, `width` values per candidate; empty where the tier computes none.
    pub rows: Vec<f32>,
    pub width: usize,
    /// Filled when the query asks to explain.
    pub dropped: Vec<Dropped>,
}

impl Slate {
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The feature row of the candidate at `at`; empty where the tier computes none.
    #[must_use]
    pub fn row(&self, at: usize) -> &[f32] {
        self.rows.get(at * self.width..(at + 1) * self.width).unwrap_or_default()
    }

    pub(crate) fn push(&mut self, index: u32, source: Source) {
        self.index.push(index);
        self.source.push(source);
    }
}

/// One answered item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PickedItem {
    /// In [`LiveItems`](upnext_model::live::LiveItems).
    pub index: u32,
    pub score: f32,
    pub source: Source,
}

/// An answer: the items best first, and everything that was considered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picked {
    pub items: Vec<PickedItem>,
    pub slate: Slate,
    /// Whether anything was known of the asker: `false` is the cold user's answer.
    pub has_context: bool,
}
