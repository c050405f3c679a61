//! What the catalogue's journal says, and what it amounts to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Settings;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Fact {
    Cluster {
        #[serde(with = "as_text")]
        id: Uuid,
    },
    Created {
        name: String,
        topic: Topic,
    },
    Grown {
        name: String,
        partitions: i32,
    },
    Set {
        name: String,
        settings: Settings,
    },
    Started {
        name: String,
        partition: i32,
        offset: i64,
    },
    Deleted {
        name: String,
    },
}

/// All there is to know of a topic but its records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Topic {
    #[serde(with = "as_text")]
    pub id: Uuid,
    pub partitions: i32,
    pub settings: Settings,
    /// Start of the partitions of which records were deleted.
    pub start_offsets: BTreeMap<i32, i64>,
}

impl Topic {
    pub(super) fn new(partitions: i32, settings: Settings) -> Self {
        Self { id: Uuid::new_v4(), partitions, settings, start_offsets: BTreeMap::new() }
    }
}

/// The journal's facts taken together.
#[derive(Default)]
pub(super) struct Recalled {
    pub cluster_id: Option<Uuid>,
    pub topics: BTreeMap<String, Topic>,
}

impl Recalled {
    pub(super) fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Cluster { id } => self.cluster_id = Some(id),
            Fact::Created { name, topic } => {
                self.topics.insert(name, topic);
            }
            Fact::Grown { name, partitions } => {
                self.change(&name, |topic| topic.partitions = partitions);
            }
            Fact::Set { name, settings } => self.change(&name, |topic| topic.settings = settings),
            Fact::Started { name, partition, offset } => self.change(&name, |topic| {
                topic.start_offsets.insert(partition, offset);
            }),
            Fact::Deleted { name } => {
                self.topics.remove(&name);
            }
        }
    }

    /// The fewest facts that say the same.
    pub(super) fn facts(&self) -> impl Iterator<Item = Fact> {
        let cluster = self.cluster_id.map(|id| Fact::Cluster { id });
        let topics = self
            .topics
            .iter()
            .map(|(name, topic)| Fact::Created { name: name.clone(), topic: topic.clone() });
        cluster.into_iter().chain(topics)
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Topic)) {
        if let Some(topic) = self.topics.get_mut(name) {
            change(topic);
        }
    }
}

/// Ids as text, as people know them.
mod as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        id.to_string().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Uuid, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
