//! How state is laid out, recorded at its first use: whoever lays it out otherwise would count twice or lose.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The text is not a layout.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a layout")]
pub struct MalformedLayout(String);

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

impl FromStr for Layout {
    type Err = MalformedLayout;

    fn from_str(text: &str) -> Result<Self, MalformedLayout> {
        parse(text).ok_or_else(|| MalformedLayout(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Layout> {
    let mut words = text.split(' ');
    let mut number = |name| words.next()?.strip_prefix(name)?.strip_prefix('=');
    let groups = number("groups")?.parse().ok()?;
    let (valid, signals) = (number("valid")?.parse().ok()?, number("signals")?.parse().ok()?);
    words.next().is_none().then_some(Layout { groups, valid, signals })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_back_and_nothing_else_passes_for_one() {
        let layout = Layout { groups: 16, valid: 4, signals: 3 };
        assert_eq!(layout.to_string().parse(), Ok(layout));
        for text in
            ["", "groups=1", "groups=1 valid=2 signals=x", "groups=1 valid=2 signals=3 more=4"]
        {
            assert_eq!(text.parse::<Layout>(), Err(MalformedLayout(text.to_owned())));
        }
    }
}
