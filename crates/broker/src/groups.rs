//! The coordinator of consumer groups: who is in them, and what they have committed.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use parking_lot::Mutex;

use crate::group::{Group, Speaker, State};
use crate::offsets::{Committed, Offsets};

/// What a client may keep with an offset.
const METADATA_BYTES_MAX: usize = 4_096;

pub(crate) struct Groups {
    groups: Mutex<HashMap<String, Group>>,
    offsets: Mutex<Offsets>,
    initial_delay: Duration,
}

impl Groups {
    pub(crate) fn open(data_dir: &Path, initial_delay: Duration) -> io::Result<Self> {
        let offsets = Mutex::new(Offsets::open(data_dir)?);
        Ok(Self { groups: Mutex::default(), offsets, initial_delay })
    }

    /// Works on a group, made if it is new.
    pub(crate) fn with<T>(
        &self,
        id: &str,
        work: impl FnOnce(&mut Group) -> T,
    ) -> Result<T, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let mut groups = self.groups.lock();
        let new = || Group::new(self.initial_delay);
        Ok(work(groups.entry(id.to_owned()).or_insert_with(new)))
    }

    /// Works on a group that has or had members since the start; `None` if there is no such.
    pub(crate) fn look<T>(&self, id: &str, work: impl FnOnce(&Group) -> T) -> Option<T> {
        self.groups.lock().get(id).map(work)
    }

    /// Every group with members or committed offsets.
    pub(crate) fn list(&self) -> Vec<(String, String, State)> {
        let groups = self.groups.lock();
        let live = groups.iter().filter(|(_, group)| !group.is_empty());
        let mut list: Vec<_> = live
            .map(|(id, group)| (id.clone(), group.protocol_type().to_owned(), group.state()))
            .collect();
        let offsets = self.offsets.lock();
        let idle = offsets.groups().filter(|id| groups.get(*id).is_none_or(Group::is_empty));
        list.extend(idle.map(|id| (id.clone(), "consumer".to_owned(), State::Empty)));
        list
    }

    /// Commits if the speaker may.
    pub(crate) fn commit(
        &self,
        id: &str,
        speaker: Speaker<'_>,
        offsets: Vec<Committed>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.with(id, |group| group.may_commit(speaker, now))??;
        self.commit_decided(id, offsets)
    }

    /// Commits what a transaction has decided.
    pub(crate) fn commit_decided(
        &self,
        id: &str,
        offsets: Vec<Committed>,
    ) -> Result<(), ResponseError> {
        self.offsets.lock().commit(id, offsets).map_err(refused_by_disk)
    }

    pub(crate) fn with_offsets<T>(&self, work: impl FnOnce(&Offsets) -> T) -> T {
        work(&self.offsets.lock())
    }

    /// Forgets a group that nobody is in.
    pub(crate) fn delete(&self, id: &str) -> Result<(), ResponseError> {
        let mut groups = self.groups.lock();
        let is_known = match groups.get(id) {
            Some(group) if !group.is_empty() => return Err(ResponseError::NonEmptyGroup),
            Some(_) => groups.remove(id).is_some(),
            None => false,
        };
        let mut offsets = self.offsets.lock();
        if !offsets.knows(id) {
            return if is_known { Ok(()) } else { Err(ResponseError::GroupIdNotFound) };
        }
        offsets.forget(id).map_err(refused_by_disk)
    }

    /// Forgets what an empty group has committed on some partitions.
    pub(crate) fn delete_offsets(
        &self,
        id: &str,
        partitions: Vec<(String, i32)>,
    ) -> Result<(), ResponseError> {
        let groups = self.groups.lock();
        if groups.get(id).is_some_and(|group| !group.is_empty()) {
            return Err(ResponseError::NonEmptyGroup);
        }
        let mut offsets = self.offsets.lock();
        if !offsets.knows(id) {
            return Err(ResponseError::GroupIdNotFound);
        }
        offsets.remove(id, partitions).map_err(refused_by_disk)
    }

    pub(crate) fn forget_topic(&self, topic: &str) {
        if let Err(error) = self.offsets.lock().forget_topic(topic) {
            tracing::error!(topic, %error, "cannot forget the offsets of a deleted topic");
        }
    }

    pub(crate) fn tick(&self, now: Instant) {
        let mut groups = self.groups.lock();
        groups.values_mut().for_each(|group| group.tick(now));
        groups.retain(|_, group| !group.is_forgettable());
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.offsets.lock().sync()
    }
}

/// Whether `metadata` is short enough to be kept.
pub(crate) fn check_metadata(metadata: &str) -> Result<(), ResponseError> {
    let fits = metadata.len() <= METADATA_BYTES_MAX;
    fits.then_some(()).ok_or(ResponseError::OffsetMetadataTooLarge)
}

fn refused_by_disk(error: io::Error) -> ResponseError {
    tracing::error!(%error, "cannot keep committed offsets");
    ResponseError::KafkaStorageError
}
