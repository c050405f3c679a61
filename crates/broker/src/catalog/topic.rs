//! One topic: its settings and its partitions.

use std::io;
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use parking_lot::RwLock;
use uuid::Uuid;

use super::{Settings, fact};
use crate::keeping::Keeping;
use crate::partition::{AppendRules, Partition};

/// Of a topic's name; what fits a file name.
const NAME_BYTES_MAX: usize = 249;

pub(crate) struct Topic {
    id: Uuid,
    settings: RwLock<Settings>,
    /// What the settings say about appending, read out once.
    append_rules: RwLock<AppendRules>,
    partitions: RwLock<Vec<Arc<Partition>>>,
}

/// Refuses names that are no file names: letters, digits, `.`, `_` and `-` only.
pub(crate) fn check_name(name: &str) -> Result<(), ResponseError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(is_plain)
        && !matches!(name, "." | "..");
    is_name.then_some(()).ok_or(ResponseError::InvalidTopicException)
}

impl Topic {
    /// Opens or makes the topic's partitions in `directory`.
    pub(super) fn open(directory: &Path, topic: fact::Topic) -> io::Result<Self> {
        let partitions = (0..topic.partitions)
            .map(|index| {
                let start_offset = topic.start_offsets.get(&index).copied().unwrap_or(0);
                Partition::open(&directory.join(index.to_string()), start_offset).map(Arc::new)
            })
            .collect::<io::Result<Vec<_>>>()?;
        let append_rules = RwLock::new(topic.settings.append_rules());
        let (settings, partitions) = (RwLock::new(topic.settings), RwLock::new(partitions));
        Ok(Self { id: topic.id, settings, append_rules, partitions })
    }

    /// Opens the partitions that are missing to `count`.
    pub(super) fn open_more(
        &self,
        directory: &Path,
        count: i32,
    ) -> io::Result<Vec<Arc<Partition>>> {
        (self.partition_count()..count)
            .map(|index| Partition::open(&directory.join(index.to_string()), 0).map(Arc::new))
            .collect()
    }

    pub(super) fn add(&self, partitions: Vec<Arc<Partition>>) {
        self.partitions.write().extend(partitions);
    }

    pub(super) fn set(&self, settings: Settings) {
        *self.append_rules.write() = settings.append_rules();
        *self.settings.write() = settings;
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    pub(crate) fn append_rules(&self) -> AppendRules {
        *self.append_rules.read()
    }

    pub(crate) fn keeping(&self) -> Keeping {
        self.settings.read().keeping()
    }

    pub(crate) fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.read().len()).unwrap_or(i32::MAX)
    }

    pub(crate) fn partition(&self, index: i32) -> Result<Arc<Partition>, ResponseError> {
        let partitions = self.partitions.read();
        let partition = usize::try_from(index).ok().and_then(|index| partitions.get(index));
        partition.map(Arc::clone).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }

    /// Ends all work on a topic that is deleted, and lets waiting fetches find out.
    pub(super) fn close(&self) {
        self.partitions().iter().for_each(|partition| partition.close());
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.partitions().iter().try_for_each(|partition| partition.sync())
    }
}
