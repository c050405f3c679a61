//! The calls this broker takes, in which versions.
//!
//! Capped where a later version brings nothing here: fetching by topic id, groups without rounds, batched
//! coordinators of brokers among themselves.

use kafka_protocol::messages::ApiKey;

macro_rules! calls {
    ($($name:ident $min:literal..=$max:literal,)*) => {
        /// A kind of request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Call { $($name,)* }

        impl Call {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(crate) fn key(self) -> ApiKey {
                match self { $(Self::$name => ApiKey::$name,)* }
            }

            /// The oldest and the newest version offered.
            pub(crate) fn versions(self) -> (i16, i16) {
                match self { $(Self::$name => ($min, $max),)* }
            }
        }
    };
}

calls! {
    Produce 3..=9,
    Fetch 4..=12,
    ListOffsets 1..=7,
    Metadata 0..=12,
    OffsetCommit 2..=8,
    OffsetFetch 1..=8,
    FindCoordinator 0..=4,
    JoinGroup 0..=9,
    Heartbeat 0..=4,
    LeaveGroup 0..=5,
    SyncGroup 0..=5,
    DescribeGroups 0..=5,
    ListGroups 0..=4,
    ApiVersions 0..=3,
    CreateTopics 2..=7,
    DeleteTopics 1..=5,
    DeleteRecords 0..=2,
    InitProducerId 0..=4,
    AddPartitionsToTxn 0..=3,
    AddOffsetsToTxn 0..=3,
    EndTxn 0..=3,
    TxnOffsetCommit 0..=3,
    DescribeConfigs 1..=4,
    AlterConfigs 0..=2,
    IncrementalAlterConfigs 0..=1,
    CreatePartitions 0..=3,
    DeleteGroups 0..=2,
    OffsetDelete 0..=0,
    DescribeCluster 0..=1,
}

impl Call {
    pub(crate) fn from_key(key: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|call| call.code() == key)
    }

    /// The number of the call on the wire.
    pub(crate) fn code(self) -> i16 {
        self.key() as i16
    }

    pub(crate) fn offers(self, version: i16) -> bool {
        let (min, max) = self.versions();
        (min..=max).contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_version_is_one_the_codec_knows() {
        for call in Call::ALL {
            let known = call.key().valid_versions();
            let (min, max) = call.versions();
            assert!(known.min <= min && max <= known.max, "{call:?}: {known:?}");
            assert_eq!(Call::from_key(call.code()), Some(*call));
            assert!(call.offers(min) && call.offers(max) && !call.offers(max + 1));
        }
        assert_eq!(Call::from_key(-1), None);
    }
}
