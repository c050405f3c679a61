//! What can be recommended: the catalogue record and the hash that stands for its id in state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One catalogue item, as it stands on the items topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub item_id: String,
    pub title: Option<String>,
    pub category: Option<String>,
    pub price: Option<f64>,
    /// Free attributes, values as text ("navy blue", "true", "4").
    pub attributes: BTreeMap<String, String>,
    /// Kept in the catalogue and shown to nobody, until undone.
    pub hidden: bool,
    /// Withdrawn. Kept as a record so that compaction cannot bring it back.
    pub deleted: bool,
}

/// The 64-bit hash by which state speaks of an item.
///
/// FNV-1a over the id's bytes, finished with the `fmix64` of MurmurHash3: stable for ever, since it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemHash(pub u64);

impl ItemHash {
    #[must_use]
    pub fn of(item_id: &str) -> Self {
        Self(stable_hash(item_id.as_bytes()))
    }
}

/// The stable 64-bit hash behind [`ItemHash`], for other ids too (sessions, event ids).
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_an_id_never_changes() {
        assert_eq!(ItemHash::of("m001"), ItemHash::of("m001"));
        assert_ne!(ItemHash::of("m001"), ItemHash::of("m002"));
        assert_eq!(stable_hash(b""), 0xefd0_1f60_ba99_2926);
    }
}
