//! Generations of state: each made from the whole log, each under names of its own.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::topic::Topic;

/// Which of the states that stand beside each other. The first has the plain names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// The text is not a generation's number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a generation")]
pub struct NotAGeneration(String);

impl Generation {
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// What its keys in the store begin with, given what all keys begin with.
    #[must_use]
    pub fn key_prefix(self, prefix: &str) -> String {
        if self.0 == 0 { prefix.to_owned() } else { format!("{prefix}{}:", self.0) }
    }

    /// The topic of its signals.
    #[must_use]
    pub fn signals(self, topic_prefix: &str) -> String {
        match self.0 {
            0 => Topic::Signals.name(topic_prefix),
            number => format!("{topic_prefix}signals.g{number}.v1"),
        }
    }

    /// The name of a consumer group that works for it.
    #[must_use]
    pub fn group(self, group: &str) -> String {
        if self.0 == 0 { group.to_owned() } else { format!("{group}-g{}", self.0) }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for Generation {
    type Err = NotAGeneration;

    fn from_str(text: &str) -> Result<Self, NotAGeneration> {
        text.parse().map(Self).map_err(|_| NotAGeneration(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_has_the_plain_names_and_no_other_meets_them() {
        let named = |number| {
            let generation = Generation(number);
            [generation.key_prefix("up:"), generation.signals("up."), generation.group("f-items")]
        };
        assert_eq!(named(0), ["up:", "up.signals.v1", "f-items"]);
        assert_eq!(named(12), ["up:12:", "up.signals.g12.v1", "f-items-g12"]);
    }

    #[test]
    fn the_text_comes_back() {
        assert_eq!(Generation(7).to_string().parse(), Ok(Generation(7)));
        assert_eq!("x".parse::<Generation>(), Err(NotAGeneration("x".to_owned())));
        assert!(Generation(1).next() > Generation(1));
    }
}
