//! Which faults strike, and when: made from the seed before anything runs.

use std::time::Duration;

use crate::die::Die;

/// Everything that can go wrong here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// kill -9 of one ingest, which reads again from its last commit.
    IngestKill,
    /// SIGSTOP of one ingest for longer than its session: the other takes over, then it wakes.
    IngestFreeze,
    FeaturesKill,
    /// SIGSTOP of one features worker for longer than its session: a zombie that wakes and writes.
    FeaturesFreeze,
    /// kill -9 of all features workers while the broker answers nobody: whatever waits for signals dies waiting.
    FeaturesKillBrokerMute,
    RedisKill,
    RedisFreeze,
    BrokerKill,
    BrokerFreeze,
    /// kill -9 or SIGSTOP of the registry alone, just when events come under a schema that nobody has asked for yet.
    RegistryAway,
    /// kill -9 of Redis, and the tail of its append-only file is gone: as after a power cut.
    AofCut,
    /// A replica that misses the newest writes becomes the master.
    Failover,
    /// The same, but for a while one worker writes to the old master and another to the new one.
    SplitBrain,
    Flushall,
    /// A connection to Redis is reset in the middle of a pipeline.
    ConnectionCut,
    /// A worker leaves by SIGTERM and comes back, or one more comes and leaves.
    Rebalance,
    /// All state is made anew beside what serves and takes its place; one that goes on is killed and continued.
    Rebuild,
    /// The producer sends its newest events once more, ids and all.
    Repeats,
    /// The producer sends a burst of events from long ago.
    Late,
}

impl Kind {
    pub(crate) const ALL: [Self; 19] = [
        Self::IngestKill,
        Self::IngestFreeze,
        Self::FeaturesKill,
        Self::FeaturesFreeze,
        Self::FeaturesKillBrokerMute,
        Self::RedisKill,
        Self::RedisFreeze,
        Self::BrokerKill,
        Self::BrokerFreeze,
        Self::RegistryAway,
        Self::AofCut,
        Self::Failover,
        Self::SplitBrain,
        Self::Flushall,
        Self::ConnectionCut,
        Self::Rebalance,
        Self::Rebuild,
        Self::Repeats,
        Self::Late,
    ];

    /// What the negative controls are put through: each lacks a guard against one of these at least.
    pub(crate) const OF_CONTROLS: [Self; 7] = [
        Self::IngestKill,
        Self::FeaturesKill,
        Self::FeaturesKillBrokerMute,
        Self::AofCut,
        Self::Failover,
        Self::Flushall,
        Self::ConnectionCut,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IngestKill => "ingest killed",
            Self::IngestFreeze => "ingest frozen, a zombie",
            Self::FeaturesKill => "features killed",
            Self::FeaturesFreeze => "features frozen, a zombie",
            Self::FeaturesKillBrokerMute => "features killed, broker mute",
            Self::RedisKill => "redis killed",
            Self::RedisFreeze => "redis frozen",
            Self::BrokerKill => "broker killed",
            Self::BrokerFreeze => "broker frozen",
            Self::RegistryAway => "registry away",
            Self::AofCut => "aof tail cut",
            Self::Failover => "failover to a lagging replica",
            Self::SplitBrain => "split brain",
            Self::Flushall => "flushall",
            Self::ConnectionCut => "connection cut in a pipeline",
            Self::Rebalance => "rebalance",
            Self::Rebuild => "rebuild",
            Self::Repeats => "producer repeats",
            Self::Late => "late events",
        }
    }
}

/// One fault to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) kind: Kind,
    /// Time of peace before it.
    pub(crate) after: Duration,
    /// What its details are rolled with.
    pub(crate) seed: u64,
}

/// `count` faults, each of `kinds` as often as any other, give or take one, in a seeded order.
pub(crate) fn plan(kinds: &[Kind], count: usize, seed: u64) -> Vec<Planned> {
    let mut die = Die::new(seed);
    let mut planned = Vec::with_capacity(count);
    while planned.len() < count {
        let mut round = kinds.to_vec();
        die.shuffle(&mut round);
        for kind in round.into_iter().take(count - planned.len()) {
            let after = die.wait(200..2_600);
            planned.push(Planned { kind, after, seed: die.roll(u64::MAX) });
        }
    }
    planned
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn the_seed_says_everything() {
        assert_eq!(plan(&Kind::ALL, 60, 7), plan(&Kind::ALL, 60, 7));
        assert_ne!(plan(&Kind::ALL, 60, 7), plan(&Kind::ALL, 60, 8));
        assert_eq!(plan(&Kind::ALL, 60, 7)[..20], plan(&Kind::ALL, 20, 7)[..]);
    }

    #[test]
    fn every_kind_strikes_as_often_as_the_others() {
        for seed in 0..20 {
            let mut counts = BTreeMap::new();
            for planned in plan(&Kind::ALL, 50, seed) {
                *counts.entry(planned.kind).or_insert(0) += 1;
                assert!((200..2_600).contains(&planned.after.as_millis()));
            }
            assert_eq!(counts.len(), Kind::ALL.len());
            assert!(counts.values().all(|count| (2..=3).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn names_tell_kinds_apart() {
        let names: BTreeSet<&str> = Kind::ALL.into_iter().map(Kind::name).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
