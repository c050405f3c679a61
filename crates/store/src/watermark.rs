//! How far a partition has been applied, and what of the hop before it contains.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The text is not a watermark.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a watermark")]
pub struct MalformedWatermark(String);

/// Progress of one partition of one stage. Stored as text: `epoch next_offset partition:offset:index …`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Which incarnation of the topic the offsets count in.
    pub epoch: u32,
    /// Everything before it is in the stored state.
    pub next_offset: i64,
    /// Per source partition, the last position applied: offset, and index within that record.
    pub sources: BTreeMap<i32, (i64, u32)>,
}

impl Watermark {
    /// Whether that source position is in the stored state.
    #[must_use]
    pub fn contains(&self, partition: i32, position: (i64, u32)) -> bool {
        self.sources.get(&partition).is_some_and(|last| *last >= position)
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.epoch, self.next_offset)?;
        for (partition, (offset, index)) in &self.sources {
            write!(out, " {partition}:{offset}:{index}")?;
        }
        Ok(())
    }
}

impl FromStr for Watermark {
    type Err = MalformedWatermark;

    fn from_str(text: &str) -> Result<Self, MalformedWatermark> {
        parse(text).ok_or_else(|| MalformedWatermark(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Watermark> {
    let mut words = text.split(' ');
    let epoch = words.next()?.parse().ok()?;
    let next_offset = words.next()?.parse().ok()?;
    let mut sources = BTreeMap::new();
    for word in words {
        let mut parts = word.split(':');
        let partition = parts.next()?.parse().ok()?;
        let position = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        if parts.next().is_some() || sources.insert(partition, position).is_some() {
            return None;
        }
    }
    Some(Watermark { epoch, next_offset, sources })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_back() {
        let mut watermark = Watermark { epoch: 2, next_offset: 77, ..Watermark::default() };
        assert_eq!(watermark.to_string(), "2 77");
        watermark.sources.extend([(3, (40, 1)), (-1, (0, 0))]);
        assert_eq!(watermark.to_string(), "2 77 -1:0:0 3:40:1");
        assert_eq!(watermark.to_string().parse(), Ok(watermark));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "1", "1 x", "1 2 3", "1 2 3:4", "1 2 3:4:5:6", "1 2 3:4:-5", "1 2 3:4:5 3:4:5"]
        {
            let expected = Err(MalformedWatermark(text.to_owned()));
            assert_eq!(text.parse::<Watermark>(), expected);
        }
    }

    #[test]
    fn it_contains_what_is_not_after_the_last_position() {
        let watermark: Watermark = "0 9 4:40:1".parse().unwrap();
        assert!(watermark.contains(4, (40, 1)) && watermark.contains(4, (39, 9)));
        assert!(!watermark.contains(4, (40, 2)) && !watermark.contains(5, (0, 0)));
    }
}
