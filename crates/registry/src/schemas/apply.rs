//! How a change changes what is known.

use std::sync::Arc;

use upnext_contract::compat::Level;

use crate::guid::guid;

use super::{Change, Schemas, Scope, Stored, Unusable, Version, Written, identity};

/// A change that does not follow from the ones before it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadChange {
    #[error("a schema cannot be read: {0}")]
    Schema(String),
    #[error("there is no schema {0}")]
    NoSchema(u32),
    #[error("there is no version {version} of `{subject}`")]
    NoVersion { subject: String, version: u32 },
    #[error("version {version} of `{subject}` does not follow")]
    Order { subject: String, version: u32 },
    #[error("`{0}` is not a level")]
    Level(String),
}

impl Schemas {
    /// Takes a change in. On an error nothing has changed.
    pub(crate) fn apply(&mut self, change: Change) -> Result<(), BadChange> {
        match change {
            Change::Register { subject, version, id, schema } => {
                self.register(subject, version, id, schema)
            }
            Change::SoftDelete { subject, version } => {
                self.version_mut(&subject, version)?.is_deleted = true;
                Ok(())
            }
            Change::HardDelete { subject, version } => self.hard_delete(&subject, version),
            Change::SetLevel { subject, level } => self.set_level(subject, level),
            Change::Given { id } => {
                self.highest_id = self.highest_id.max(id);
                Ok(())
            }
            Change::SetMode { subject, mode } => {
                match (subject, mode) {
                    (None, mode) => self.mode = mode,
                    (Some(subject), Some(mode)) => drop(self.modes.insert(subject, mode)),
                    (Some(subject), None) => drop(self.modes.remove(&subject)),
                }
                Ok(())
            }
        }
    }

    fn register(
        &mut self,
        subject: String,
        version: u32,
        id: u32,
        schema: Option<Written>,
    ) -> Result<(), BadChange> {
        if version < self.next_version(&subject) {
            return Err(BadChange::Order { subject, version });
        }
        if let Some(written) = schema {
            self.store(id, written)?;
        } else if !self.by_id.contains_key(&id) {
            return Err(BadChange::NoSchema(id));
        }
        let versions = self.subjects.entry(subject).or_default();
        let sequence = self.registered;
        self.registered += 1;
        versions.push(Version { version, id, is_deleted: false, sequence });
        Ok(())
    }

    fn store(&mut self, id: u32, written: Written) -> Result<(), BadChange> {
        let types = self.parse(&written).map_err(|error| match error {
            Unusable::Invalid(detail) => BadChange::Schema(detail),
            Unusable::MissingReference(reference) => {
                BadChange::NoVersion { subject: reference.subject, version: reference.version }
            }
        })?;
        let guid = guid(&written);
        self.ids.insert(identity(&written), id);
        self.by_id.insert(id, Stored { written, types: Arc::new(types), guid });
        self.highest_id = self.highest_id.max(id);
        Ok(())
    }

    fn hard_delete(&mut self, subject: &str, version: u32) -> Result<(), BadChange> {
        let id = self.version_mut(subject, version)?.id;
        if let Some(versions) = self.subjects.get_mut(subject) {
            versions.retain(|one| one.version != version);
            if versions.is_empty() {
                self.subjects.remove(subject);
            }
        }
        if self.uses(id, Scope::All).is_empty()
            && let Some(stored) = self.by_id.remove(&id)
        {
            self.ids.remove(&identity(&stored.written));
        }
        Ok(())
    }

    fn set_level(
        &mut self,
        subject: Option<String>,
        name: Option<String>,
    ) -> Result<(), BadChange> {
        let level = match name {
            None => None,
            Some(name) => Some(Level::from_name(&name).ok_or(BadChange::Level(name))?),
        };
        match (subject, level) {
            (None, level) => self.level = level,
            (Some(subject), Some(level)) => drop(self.levels.insert(subject, level)),
            (Some(subject), None) => drop(self.levels.remove(&subject)),
        }
        Ok(())
    }

    fn version_mut(&mut self, subject: &str, version: u32) -> Result<&mut Version, BadChange> {
        let versions = self.subjects.get_mut(subject).map_or(&mut [][..], Vec::as_mut_slice);
        versions
            .iter_mut()
            .find(|one| one.version == version)
            .ok_or_else(|| BadChange::NoVersion { subject: subject.to_owned(), version })
    }
}
