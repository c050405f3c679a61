//! Offsets that groups have committed, kept in a journal.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::journal::Journal;

/// What a group committed on one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Fact {
    Committed { group: String, offsets: Vec<Committed> },
    Removed { group: String, partitions: Vec<(String, i32)> },
    Forgotten { group: String },
}

type ByPartition = BTreeMap<(String, i32), Committed>;

pub(crate) struct Offsets {
    groups: BTreeMap<String, ByPartition>,
    journal: Journal<Fact>,
}

impl Offsets {
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let mut groups = BTreeMap::new();
        let path = data_dir.join("offsets.journal");
        let mut journal = Journal::open(&path, |fact| apply(&mut groups, fact))?;
        journal.rewrite(facts(&groups))?;
        Ok(Self { groups, journal })
    }

    pub(crate) fn commit(&mut self, group: &str, offsets: Vec<Committed>) -> io::Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.note(Fact::Committed { group: group.to_owned(), offsets })
    }

    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(&(topic.to_owned(), partition))
    }

    /// Everything the group has committed, by topic and partition.
    pub(crate) fn all_of(&self, group: &str) -> impl Iterator<Item = &Committed> {
        self.groups.get(group).into_iter().flat_map(BTreeMap::values)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    pub(crate) fn knows(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    pub(crate) fn remove(&mut self, group: &str, partitions: Vec<(String, i32)>) -> io::Result<()> {
        self.note(Fact::Removed { group: group.to_owned(), partitions })
    }

    pub(crate) fn forget(&mut self, group: &str) -> io::Result<()> {
        self.note(Fact::Forgotten { group: group.to_owned() })
    }

    /// Forgets a deleted topic, so that one of the same name starts afresh.
    pub(crate) fn forget_topic(&mut self, topic: &str) -> io::Result<()> {
        let of_topic = |offsets: &ByPartition| -> Vec<(String, i32)> {
            offsets.keys().filter(|(name, _)| name == topic).cloned().collect()
        };
        let stale: Vec<_> =
            self.groups.iter().map(|(group, offsets)| (group.clone(), of_topic(offsets))).collect();
        for (group, partitions) in stale {
            if !partitions.is_empty() {
                self.remove(&group, partitions)?;
            }
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.journal.sync()
    }

    fn note(&mut self, fact: Fact) -> io::Result<()> {
        self.journal.append(std::slice::from_ref(&fact))?;
        apply(&mut self.groups, fact);
        if self.journal.is_overgrown() {
            self.journal.rewrite(facts(&self.groups))?;
        }
        Ok(())
    }
}

fn apply(groups: &mut BTreeMap<String, ByPartition>, fact: Fact) {
    match fact {
        Fact::Committed { group, offsets } => {
            let key = |committed: &Committed| (committed.topic.clone(), committed.partition);
            let offsets = offsets.into_iter().map(|committed| (key(&committed), committed));
            groups.entry(group).or_default().extend(offsets);
        }
        Fact::Removed { group, partitions } => {
            if let Some(offsets) = groups.get_mut(&group) {
                offsets.retain(|key, _| !partitions.contains(key));
            }
        }
        Fact::Forgotten { group } => {
            groups.remove(&group);
        }
    }
}

fn facts(groups: &BTreeMap<String, ByPartition>) -> impl Iterator<Item = Fact> {
    groups.iter().map(|(group, offsets)| Fact::Committed {
        group: group.clone(),
        offsets: offsets.values().cloned().collect(),
    })
}

#[cfg(test)]
pub(crate) mod tests;
