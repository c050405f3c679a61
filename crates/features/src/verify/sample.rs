//! Who is looked at: everyone, or a share that is the same in every run.

/// A share of all subjects and items, chosen by the hash of their ids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample(f64);

impl Sample {
    pub const EVERYONE: Self = Self(1.0);

    /// `None` unless `share` is above 0 and at most 1.
    #[must_use]
    pub fn of(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    #[must_use]
    pub fn is_everyone(self) -> bool {
        self.0 >= 1.0
    }

    pub(crate) fn takes(self, hash: u64) -> bool {
        // The upper half: ids of items are hashes whose remainder decides their partition.
        let place = (hash >> 32) as f64 / f64::from(u32::MAX);
        self.is_everyone() || place < self.0
    }
}

#[cfg(test)]
mod tests {
    use upnext_common::item::stable_hash;

    use super::*;

    #[test]
    fn only_shares_of_something_are_samples() {
        for share in [0.0, -0.1, 1.1, f64::NAN] {
            assert_eq!(Sample::of(share), None, "{share}");
        }
        assert!(Sample::of(1.0).is_some_and(Sample::is_everyone));
    }

    #[test]
    fn a_share_is_about_that_share_and_always_the_same() {
        let sample = Sample::of(0.1).unwrap();
        let takes = |id: u32| sample.takes(stable_hash(&id.to_le_bytes()));
        let taken = (0..10_000).filter(|id| takes(*id)).count();
        assert!((800..1_200).contains(&taken), "{taken}");
        assert!((0..10_000).all(|id: u32| Sample::EVERYONE.takes(u64::from(id) << 40)));
        let wider = Sample::of(0.2).unwrap();
        let hashes = (0..1_000_u32).map(|id| stable_hash(&id.to_le_bytes()));
        assert!(hashes.filter(|hash| sample.takes(*hash)).all(|hash| wider.takes(hash)));
    }
}
