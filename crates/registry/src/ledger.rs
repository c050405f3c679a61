//! What is known together with where it is kept: a change counts once it is on disk.

use std::path::Path;

use crate::journal::{Journal, JournalError};
use crate::schemas::{BadChange, Change, Schemas};

pub(crate) struct Ledger {
    schemas: Schemas,
    journal: Journal,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Change(#[from] BadChange),
}

impl Ledger {
    /// Reads the journal and plays it again.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, JournalError> {
        let (journal, changes) = Journal::open(data_dir)?;
        let mut schemas = Schemas::default();
        for (index, change) in changes.into_iter().enumerate() {
            schemas.apply(change).map_err(|error| journal.damaged(index + 1, &error))?;
        }
        Ok(Self { schemas, journal })
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Writes the change, then takes it in. Callers made sure that it can be taken in.
    pub(crate) fn commit(&mut self, change: Change) -> Result<(), CommitError> {
        self.journal.append(&change)?;
        self.schemas.apply(change)?;
        self.shorten();
        Ok(())
    }

    /// Writes an overgrown journal anew. What is acknowledged stands either way, so a failure is only told.
    fn shorten(&mut self) {
        if !self.journal.is_overgrown() {
            return;
        }
        let Some(history) = self.schemas.history() else {
            tracing::debug!("the journal is left as it is: its history cannot be shortened");
            return;
        };
        if let Err(error) = self.journal.rewrite(&history) {
            tracing::warn!(%error, "cannot write the journal anew, will retry");
        }
    }
}
