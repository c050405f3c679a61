//! A partition in the hands of its owner: one watermark per key group, and where they allow work to begin.
//!
//! Groups may stand apart: a flush that broke off moved some of them on, or a node lost its newest writes and with them
//! the watermarks of its groups. Work resumes at the lowest of them, with that one's source positions. This is sound:
//!
//! * *The lowest is a prefix of the log for every group.* Each watermark was written after all blobs of its flush, of all
//!   groups, were confirmed, and each node keeps a prefix of its own writes. So every group holds at least what the
//!   lowest says.
//! * *Its source positions belong to it.* They are a function of the log before it (the greatest position seen per source
//!   partition), whatever group it was stored for; repeats behind it are told from news as in a single pass. Those of a
//!   group further on would already contain what the lowest has yet to see.
//! * *A group further on loses and doubles nothing.* What stands before its own watermark is in its blobs: it is passed
//!   over ([`Owned::is_ahead`]). Between there and a blob that is ahead of its watermark, the blob's position says so.
//! * *What is passed over has nothing left to say.* All signals of a flush, of all groups, are durable before its first blob
//!   is written. So signals of an event before any group's watermark, or before any blob's position, stand in the log.
//!   Those told again, for a group that fell behind, are repeats; everything that is said for the first time lies
//!   after them and is said in order, without gaps. So dropping what is not above the last source position drops only
//!   repeats.

use crate::{Stage, Watermark};

/// A partition and its watermarks as its owner last saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub stage: Stage,
    pub partition: i32,
    /// One per key group; `None`: there was none.
    pub watermarks: Vec<Option<Watermark>>,
}

impl Owned {
    /// Where the groups allow work to begin: the lowest watermark. A group that has none, or one of a topic that is
    /// gone, begins at the start of the topic as the others know it.
    #[must_use]
    pub fn resume(&self) -> Watermark {
        let epoch = self.watermarks.iter().flatten().map(|known| known.epoch).max().unwrap_or(0);
        let begin = |known: &Option<Watermark>| match known {
            Some(known) if known.epoch == epoch => known.clone(),
            Some(gone) => {
                Watermark { epoch, sources: gone.sources.clone(), ..Watermark::default() }
            }
            None => Watermark { epoch, ..Watermark::default() },
        };
        let lowest = self.watermarks.iter().map(begin).min_by_key(Watermark::position);
        Watermark { claim: None, ..lowest.unwrap_or_default() }
    }

    /// What all groups hold, as far as it is stored.
    #[must_use]
    pub fn lowest(&self) -> Option<&Watermark> {
        let known: Option<Vec<&Watermark>> = self.watermarks.iter().map(Option::as_ref).collect();
        known?.into_iter().min_by_key(|known| known.position())
    }

    /// Whether the group's own watermark contains what stands at that epoch and offset.
    #[must_use]
    pub fn is_ahead(&self, group: u32, at: (u32, i64)) -> bool {
        let known = self.watermarks.get(group as usize).and_then(Option::as_ref);
        known.is_some_and(|known| known.position() > at)
    }

    /// The watermarks while a flush stores its blobs: where they are, and whose flush it is.
    #[must_use]
    pub fn claimed(&self, claim: u64) -> Self {
        let claimed = |known: &Option<Watermark>| {
            Some(Watermark { claim: Some(claim), ..known.clone().unwrap_or_default() })
        };
        Self { watermarks: self.watermarks.iter().map(claimed).collect(), ..*self }
    }

    /// The watermarks once the flush up to `to` is stored: none of them less than it was.
    #[must_use]
    pub fn advanced(&self, to: &Watermark) -> Self {
        let advanced = |known: &Option<Watermark>| match known {
            Some(known) if known.position() > to.position() => {
                Some(Watermark { claim: None, ..known.clone() })
            }
            Some(_) | None => Some(to.clone()),
        };
        Self { watermarks: self.watermarks.iter().map(advanced).collect(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(texts: &[&str]) -> Owned {
        let parsed = |text: &&str| (!text.is_empty()).then(|| text.parse().unwrap());
        let watermarks = texts.iter().map(parsed).collect();
        Owned { stage: Stage::Items, partition: 0, watermarks }
    }

    #[track_caller]
    fn check(texts: &[&str], resume: &str, lowest: Option<&str>) {
        let owned = owned(texts);
        assert_eq!(owned.resume().to_string(), resume);
        assert_eq!(owned.lowest().map(ToString::to_string).as_deref(), lowest);
    }

    #[test]
    fn work_begins_at_the_lowest_with_its_sources() {
        check(&[""], "0 0", None);
        check(&["0 7 1:3:0"], "0 7 1:3:0", Some("0 7 1:3:0"));
        check(&["0 7 1:3:0 ~5"], "0 7 1:3:0", Some("0 7 1:3:0 ~5"));
        check(&["0 9 1:8:0", "0 7 1:3:0", "0 8 1:4:0"], "0 7 1:3:0", Some("0 7 1:3:0"));
        check(&["0 9 1:8:0", "", "0 8 1:4:0"], "0 0", None);
        // The topic was made anew after the second group's watermark.
        check(&["1 4 1:8:0", "0 99 1:3:0"], "1 0 1:3:0", Some("0 99 1:3:0"));
        check(&["1 4 1:8:0", ""], "1 0", None);
    }

    #[test]
    fn a_group_further_on_is_passed_over_and_never_set_back() {
        let owned = owned(&["0 9", "0 7", ""]);
        assert!(owned.is_ahead(0, (0, 8)) && !owned.is_ahead(0, (0, 9)));
        assert!(!owned.is_ahead(1, (0, 7)) && !owned.is_ahead(2, (0, 0)));
        assert!(!owned.is_ahead(0, (1, 0)) && !owned.is_ahead(3, (0, 0)));
        let to: Watermark = "0 8".parse().unwrap();
        assert_eq!(owned.claimed(10), self::owned(&["0 9 ~a", "0 7 ~a", "0 0 ~a"]));
        assert_eq!(owned.claimed(10).advanced(&to), self::owned(&["0 9", "0 8", "0 8"]));
        let anew = owned.advanced(&"1 0".parse().unwrap());
        assert_eq!(anew, self::owned(&["1 0", "1 0", "1 0"]));
    }
}
