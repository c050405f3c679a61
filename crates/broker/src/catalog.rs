//! The topics there are, their settings and partitions; made, changed and deleted under one journal.

mod disk;
mod fact;
pub(crate) mod setting;
mod topic;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use crate::journal::Journal;
use crate::partition::Partition;

use disk::Disk;
use fact::{Fact, Recalled};
pub(crate) use setting::Settings;
pub(crate) use topic::{Topic, check_name};

/// Partitions of one topic.
const PARTITIONS_MAX: i32 = 1_000;

pub(crate) struct Catalog {
    disk: Disk,
    cluster_id: Uuid,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Held through every change, so that changes come one after the other.
    journal: Mutex<Journal<Fact>>,
}

impl Catalog {
    /// Reads back what stands in `data_dir`, and opens every log.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let mut recalled = Recalled::default();
        let mut journal =
            Journal::open(&data_dir.join("topics.journal"), |fact| recalled.apply(fact))?;
        let cluster_id = *recalled.cluster_id.get_or_insert_with(Uuid::new_v4);
        journal.rewrite(recalled.facts())?;
        let disk = Disk::open(data_dir)?;
        let mut topics = BTreeMap::new();
        for (name, topic) in recalled.topics {
            let topic = Topic::open(&disk.directory(&name), topic)?;
            topics.insert(name, Arc::new(topic));
        }
        let (topics, journal) = (RwLock::new(topics), Mutex::new(journal));
        Ok(Self { disk, cluster_id, topics, journal })
    }

    pub(crate) fn cluster_id(&self) -> Uuid {
        self.cluster_id
    }

    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>, ResponseError> {
        let topics = self.topics.read();
        topics.get(name).map(Arc::clone).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    pub(crate) fn partition(
        &self,
        name: &str,
        index: i32,
    ) -> Result<Arc<Partition>, ResponseError> {
        self.topic(name)?.partition(index)
    }

    /// All topics as they are now, by name.
    pub(crate) fn all(&self) -> Vec<(String, Arc<Topic>)> {
        let topics = self.topics.read();
        topics.iter().map(|(name, topic)| (name.clone(), Arc::clone(topic))).collect()
    }

    /// Whether a topic of that name and shape could be made.
    pub(crate) fn check_new(&self, name: &str, partitions: i32) -> Result<(), ResponseError> {
        check_name(name)?;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(ResponseError::InvalidPartitions);
        }
        if self.topics.read().contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        Ok(())
    }

    /// Makes a topic; it stands on disk before it is seen.
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        settings: Settings,
    ) -> Result<Arc<Topic>, ResponseError> {
        let mut journal = self.journal.lock();
        self.check_new(name, partitions)?;
        let topic = fact::Topic::new(partitions, settings);
        let made = self
            .disk
            .discard(name)
            .and_then(|()| Topic::open(&self.disk.directory(name), topic.clone()))
            .and_then(|made| {
                journal.append(&[Fact::Created { name: name.to_owned(), topic }])?;
                Ok(Arc::new(made))
            })
            .map_err(|error| refused_by_disk(&error))?;
        self.topics.write().insert(name.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    /// Deletes a topic with its records.
    pub(crate) fn delete(&self, name: &str) -> Result<(), ResponseError> {
        let mut journal = self.journal.lock();
        let topic = self.topic(name)?;
        note(&mut journal, Fact::Deleted { name: name.to_owned() })?;
        self.topics.write().remove(name);
        topic.close();
        if let Err(error) = self.disk.discard(name) {
            tracing::warn!(topic = name, %error, "a deleted topic left files");
        }
        Ok(())
    }

    /// Whether a topic could grow to `partitions`.
    pub(crate) fn check_growth(&self, name: &str, partitions: i32) -> Result<(), ResponseError> {
        let present = self.topic(name)?.partition_count();
        let may_grow = partitions > present && partitions <= PARTITIONS_MAX;
        may_grow.then_some(()).ok_or(ResponseError::InvalidPartitions)
    }

    pub(crate) fn grow(&self, name: &str, partitions: i32) -> Result<(), ResponseError> {
        let mut journal = self.journal.lock();
        self.check_growth(name, partitions)?;
        let topic = self.topic(name)?;
        let more = topic
            .open_more(&self.disk.directory(name), partitions)
            .map_err(|error| refused_by_disk(&error))?;
        note(&mut journal, Fact::Grown { name: name.to_owned(), partitions })?;
        topic.add(more);
        Ok(())
    }

    /// Replaces a topic's settings by what `change` makes of them.
    pub(crate) fn alter(
        &self,
        name: &str,
        is_trial: bool,
        change: impl FnOnce(Settings) -> Result<Settings, ResponseError>,
    ) -> Result<(), ResponseError> {
        let mut journal = self.journal.lock();
        let topic = self.topic(name)?;
        let settings = change(topic.settings())?;
        if is_trial {
            return Ok(());
        }
        note(&mut journal, Fact::Set { name: name.to_owned(), settings: settings.clone() })?;
        topic.set(settings);
        Ok(())
    }

    /// Deletes the records before `offset` (-1: all) and says where the partition now starts.
    pub(crate) fn delete_records(
        &self,
        name: &str,
        index: i32,
        offset: i64,
    ) -> Result<i64, ResponseError> {
        let mut journal = self.journal.lock();
        if !self.topic(name)?.keeping().is_deleted {
            return Err(ResponseError::PolicyViolation);
        }
        let start_offset = self.partition(name, index)?.delete_before(offset)?;
        let name = name.to_owned();
        note(&mut journal, Fact::Started { name, partition: index, offset: start_offset })?;
        Ok(start_offset)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        for (_, topic) in self.all() {
            topic.sync()?;
        }
        self.journal.lock().sync()
    }
}

fn note(journal: &mut Journal<Fact>, fact: Fact) -> Result<(), ResponseError> {
    journal.append(&[fact]).map_err(|error| refused_by_disk(&error))
}

fn refused_by_disk(error: &io::Error) -> ResponseError {
    tracing::error!(%error, "cannot change the catalogue of topics");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
mod tests;
