//! How far a partition has been applied, and what of the hop before it contains.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The text is not a watermark.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a watermark")]
pub struct MalformedWatermark(String);

/// Where something stands in a partition of the hop before; ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourcePosition {
    /// Which incarnation of the hop's topic the offset counts in; 0 where nobody keeps count.
    pub epoch: u32,
    pub offset: i64,
    /// Place among what that record gave.
    pub index: u32,
}

/// By what a log is known again: timestamps of records that were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Offset and timestamp of the first record that was applied in this epoch.
    pub first: (i64, i64),
    /// Timestamp of the record before `next_offset`.
    pub last_ms: i64,
}

/// Progress of one partition of one stage. Stored as text:
/// `epoch next_offset [#offset@first_ms@last_ms] partition:offset:index[:epoch] … [~claim]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// Which incarnation of the topic the offsets count in.
    pub epoch: u32,
    /// Everything before it is in the stored state.
    pub next_offset: i64,
    /// `None` before the first record, and where nobody noted them.
    pub marks: Option<Marks>,
    /// Per source partition, the last position applied.
    pub sources: BTreeMap<i32, SourcePosition>,
    /// Set while a flush stores what lies behind it; whose flush that is.
    pub claim: Option<u64>,
}

impl Watermark {
    /// Whether that source position is in the stored state.
    #[must_use]
    pub fn contains(&self, partition: i32, position: SourcePosition) -> bool {
        self.sources.get(&partition).is_some_and(|last| *last >= position)
    }

    /// Epoch and next offset: what watermarks are ordered by.
    #[must_use]
    pub fn position(&self) -> (u32, i64) {
        (self.epoch, self.next_offset)
    }

    /// Notes that the record at `offset` is applied as well.
    pub fn pass(&mut self, offset: i64, record_ms: i64) {
        self.next_offset = offset + 1;
        let first = self.marks.map_or((offset, record_ms), |marks| marks.first);
        self.marks = Some(Marks { first, last_ms: record_ms });
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.epoch, self.next_offset)?;
        if let Some(Marks { first: (offset, first_ms), last_ms }) = self.marks {
            write!(out, " #{offset}@{first_ms}@{last_ms}")?;
        }
        for (partition, SourcePosition { epoch, offset, index }) in &self.sources {
            write!(out, " {partition}:{offset}:{index}")?;
            if *epoch > 0 {
                write!(out, ":{epoch}")?;
            }
        }
        self.claim.map_or(Ok(()), |claim| write!(out, " ~{claim:x}"))
    }
}

impl FromStr for Watermark {
    type Err = MalformedWatermark;

    fn from_str(text: &str) -> Result<Self, MalformedWatermark> {
        parse(text).ok_or_else(|| MalformedWatermark(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Watermark> {
    let mut words = text.split(' ').peekable();
    let epoch = words.next()?.parse().ok()?;
    let next_offset = words.next()?.parse().ok()?;
    let marks = match words.next_if(|word| word.starts_with('#')) {
        Some(word) => Some(parse_marks(word.strip_prefix('#')?)?),
        None => None,
    };
    let (mut sources, mut claim) = (BTreeMap::new(), None);
    while let Some(word) = words.next() {
        if let (Some(hex), None) = (word.strip_prefix('~'), words.peek()) {
            claim = Some(u64::from_str_radix(hex, 16).ok()?);
            break;
        }
        let mut parts = word.split(':');
        let partition = parts.next()?.parse().ok()?;
        let (offset, index) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let epoch = parts.next().map_or(Some(0), |epoch| epoch.parse().ok())?;
        let position = SourcePosition { epoch, offset, index };
        if parts.next().is_some() || sources.insert(partition, position).is_some() {
            return None;
        }
    }
    Some(Watermark { epoch, next_offset, marks, sources, claim })
}

fn parse_marks(text: &str) -> Option<Marks> {
    let mut parts = text.split('@');
    let first = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let last_ms = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(Marks { first, last_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, offset: i64, index: u32) -> SourcePosition {
        SourcePosition { epoch, offset, index }
    }

    #[test]
    fn the_text_comes_back() {
        let mut watermark = Watermark { epoch: 2, next_offset: 77, ..Watermark::default() };
        assert_eq!(watermark.to_string(), "2 77");
        watermark.sources.extend([(3, at(0, 40, 1)), (-1, at(2, 0, 0))]);
        assert_eq!(watermark.to_string(), "2 77 -1:0:0:2 3:40:1");
        assert_eq!(watermark.to_string().parse(), Ok(watermark.clone()));
        watermark.pass(80, -5);
        watermark.pass(82, 9);
        assert_eq!(watermark.to_string(), "2 83 #80@-5@9 -1:0:0:2 3:40:1");
        assert_eq!(watermark.to_string().parse(), Ok(watermark.clone()));
        watermark.claim = Some(0xbeef);
        assert_eq!(watermark.to_string(), "2 83 #80@-5@9 -1:0:0:2 3:40:1 ~beef");
        assert_eq!(watermark.to_string().parse(), Ok(watermark));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "1",
            "1 x",
            "1 2 3",
            "1 2 3:4",
            "1 2 3:4:5:x",
            "1 2 3:4:5:6:7",
            "1 2 3:4:-5",
            "1 2 3:4:5 3:4:5",
            "1 2 #",
            "1 2 #1@2",
            "1 2 #1@2@3@4",
            "1 2 3:4:5 #1@2@3",
            "1 2 ~x",
            "1 2 ~1 3:4:5",
            "1 2 ~1 ~2",
        ] {
            let expected = Err(MalformedWatermark(text.to_owned()));
            assert_eq!(text.parse::<Watermark>(), expected);
        }
    }

    #[test]
    fn it_contains_what_is_not_after_the_last_position() {
        let watermark: Watermark = "0 9 4:40:1 6:3:0:2".parse().unwrap();
        assert!(watermark.contains(4, at(0, 40, 1)) && watermark.contains(4, at(0, 39, 9)));
        assert!(!watermark.contains(4, at(0, 40, 2)) && !watermark.contains(5, at(0, 0, 0)));
        // A topic that was made anew begins after everything of the one before.
        assert!(!watermark.contains(4, at(1, 0, 0)));
        assert!(watermark.contains(6, at(1, 99, 0)) && !watermark.contains(6, at(2, 4, 0)));
    }
}
