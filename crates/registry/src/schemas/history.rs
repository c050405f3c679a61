//! The shortest history that leads to what is known: what a journal is written anew with.

use std::collections::HashSet;

use super::{Change, Schemas, Version};

impl Schemas {
    /// Changes from which, applied to nothing, the same follows; `None` if there are none (a schema refers to a version
    /// that is gone for good).
    pub(crate) fn history(&self) -> Option<Vec<Change>> {
        let changes = self.shortest();
        let mut again = Self::default();
        let is_whole = changes.iter().all(|change| again.apply(change.clone()).is_ok());
        (is_whole && again.shortest() == changes).then_some(changes)
    }

    fn shortest(&self) -> Vec<Change> {
        let mut versions: Vec<(&String, &Version)> = self
            .subjects
            .iter()
            .flat_map(|(subject, versions)| versions.iter().map(move |one| (subject, one)))
            .collect();
        versions.sort_by_key(|(_, version)| version.sequence);
        let mut told = HashSet::new();
        let registered = versions.iter().map(|(subject, version)| Change::Register {
            subject: (*subject).clone(),
            version: version.version,
            id: version.id,
            schema: told.insert(version.id).then(|| self.written(version.id).cloned()).flatten(),
        });
        let mut changes: Vec<Change> = registered.collect();
        let deleted = versions.iter().filter(|(_, version)| version.is_deleted);
        changes.extend(deleted.map(|(subject, version)| Change::SoftDelete {
            subject: (*subject).clone(),
            version: version.version,
        }));
        changes.push(Change::Given { id: self.highest_id });
        self.push_settings(&mut changes);
        changes
    }

    fn push_settings(&self, changes: &mut Vec<Change>) {
        let own = self.levels.iter().map(|(subject, level)| (Some(subject.clone()), *level));
        let levels = self.level.map(|level| (None, level)).into_iter().chain(own);
        changes.extend(levels.map(|(subject, level)| Change::SetLevel {
            subject,
            level: Some(level.name().to_owned()),
        }));
        let own = self.modes.iter().map(|(subject, mode)| (Some(subject.clone()), *mode));
        let modes = self.mode.map(|mode| (None, mode)).into_iter().chain(own);
        changes.extend(modes.map(|(subject, mode)| Change::SetMode { subject, mode: Some(mode) }));
    }
}
