//! The names and order of a feature row's columns, and the hash by which an artifact names them.

use upnext_common::item::stable_hash;

/// The columns of a row, in order. `docs` of each stand with the code that writes it, in `columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Column {
    NextLast,
    NextSecond,
    NextThird,
    NextSession,
    Back,
    Share1h,
    Share24h,
    Share7d,
    Trend,
    ShareEver,
    OpeningShare,
    Age,
    TimesInSession,
    Recency,
    SameCategory,
    CategoryShare,
    PriceDistance,
    SessionLength,
    Distinct,
    WithoutContext,
    OlderContext,
    RepeatCount,
    RepeatSessions,
    RepeatShare,
    RepeatDays,
    InPreviousSession,
    ClickOdds,
    Shown,
    Tower,
}

impl Column {
    pub const ALL: [Self; 29] = [
        Self::NextLast,
        Self::NextSecond,
        Self::NextThird,
        Self::NextSession,
        Self::Back,
        Self::Share1h,
        Self::Share24h,
        Self::Share7d,
        Self::Trend,
        Self::ShareEver,
        Self::OpeningShare,
        Self::Age,
        Self::TimesInSession,
        Self::Recency,
        Self::SameCategory,
        Self::CategoryShare,
        Self::PriceDistance,
        Self::SessionLength,
        Self::Distinct,
        Self::WithoutContext,
        Self::OlderContext,
        Self::RepeatCount,
        Self::RepeatSessions,
        Self::RepeatShare,
        Self::RepeatDays,
        Self::InPreviousSession,
        Self::ClickOdds,
        Self::Shown,
        Self::Tower,
    ];

    /// Columns that are also given as a rank within the slate and as a difference to the slate's best.
    pub const COMPARED: [Self; 5] =
        [Self::NextLast, Self::NextSession, Self::Share7d, Self::Back, Self::Tower];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NextLast => "next_last",
            Self::NextSecond => "next_second",
            Self::NextThird => "next_third",
            Self::NextSession => "next_session",
            Self::Back => "back",
            Self::Share1h => "share_1h",
            Self::Share24h => "share_24h",
            Self::Share7d => "share_7d",
            Self::Trend => "trend",
            Self::ShareEver => "share_ever",
            Self::OpeningShare => "opening_share",
            Self::Age => "age",
            Self::TimesInSession => "times_in_session",
            Self::Recency => "recency",
            Self::SameCategory => "same_category",
            Self::CategoryShare => "category_share",
            Self::PriceDistance => "price_distance",
            Self::SessionLength => "session_length",
            Self::Distinct => "distinct",
            Self::WithoutContext => "without_context",
            Self::OlderContext => "older_context",
            Self::RepeatCount => "repeat_count",
            Self::RepeatSessions => "repeat_sessions",
            Self::RepeatShare => "repeat_share",
            Self::RepeatDays => "repeat_days",
            Self::InPreviousSession => "in_previous_session",
            Self::ClickOdds => "click_odds",
            Self::Shown => "shown",
            Self::Tower => "tower",
        }
    }

    /// Its place in a row.
    #[must_use]
    pub fn at(self) -> usize {
        self as usize
    }
}

/// Values of one row: every column, then rank and difference of the compared ones.
pub const WIDTH: usize = Column::ALL.len() + 2 * Column::COMPARED.len();

/// Changed whenever the meaning of a column changes while its name stays.
const REVISION: u32 = 1;

/// The names of all values of a row, in order.
#[must_use]
pub fn names() -> Vec<String> {
    let plain = Column::ALL.iter().map(|column| column.name().to_owned());
    let compared = Column::COMPARED.iter().flat_map(|column| {
        [format!("{}_rank", column.name()), format!("{}_behind", column.name())]
    });
    plain.chain(compared).collect()
}

/// What an artifact must have been trained on to be served with these rows: 16 hex digits.
#[must_use]
pub fn spec_hash() -> String {
    let text = format!("{REVISION}:{}", names().join(","));
    format!("{:016x}", stable_hash(text.as_bytes()))
}
