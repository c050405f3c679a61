//! Where a schema stands, asked for and believed.
//!
//! That it stands where it should is final. That it stands under foreign subjects only may change: somebody may register
//! it under its own. So that is believed for as long as any "no", and asked for again then. A registry that has no answer
//! to the question is no hindrance, and asked now and then: something before it may have answered in its place.

use std::time::Duration;

use super::{Lookup, Need, RegistryClient, RegistryError, TROUBLE_TTL};
use crate::writer_schema::{Standing, WriterSchema};

/// How long it is believed that the registry has no answer.
const UNTOLD_TTL: Duration = Duration::from_secs(60);

impl RegistryClient {
    /// Takes care that it is known under which subjects a schema stands, soft-deleted ones too. That it stands under
    /// none of `topic` is believed for a while only; what an earlier process
    /// was told on disk is not enough for that, so that an outage never makes a verdict.
    ///
    /// # Errors
    /// When the registry could not say. A registry that does not know the question answers nothing, which is noted.
    pub async fn find_subjects(
        &self,
        schema: &WriterSchema,
        topic: &str,
        need: Option<Need>,
    ) -> Result<(), RegistryError> {
        if self.is_settled(schema, topic, need) {
            return Ok(());
        }
        let turn = self.turn.lock().await;
        let asked = match self.is_settled(schema, topic, need) {
            true => Ok(()),
            false => self.ask_subjects(schema).await,
        };
        drop(turn);
        match asked {
            // What flowed before goes on, and the question waits for its next time.
            Err(_) if schema.is_told() == Some(false) => {
                let asked_at = Some(self.clock.instant());
                schema.note_standing(Standing { subjects: None, asked_at });
                Ok(())
            }
            asked => asked,
        }
    }

    fn is_settled(&self, schema: &WriterSchema, topic: &str, need: Option<Need>) -> bool {
        let is_fresh = |asked_at| match need {
            Some(need) if need.is_redriven => asked_at >= need.since,
            Some(_) | None => self.clock.instant() < asked_at + self.negative_ttl,
        };
        let is_young = |asked_at| self.clock.instant() < asked_at + UNTOLD_TTL;
        match (schema.stands_under(topic), schema.is_told()) {
            (None, _) | (_, None) => false,
            (Some(_), Some(false)) => schema.asked_at().is_some_and(is_young),
            (Some(stands), Some(true)) => stands || schema.asked_at().is_some_and(is_fresh),
        }
    }

    /// To be called in turn.
    async fn ask_subjects(&self, schema: &WriterSchema) -> Result<(), RegistryError> {
        let (key, asked_at) = (schema.key(), self.clock.instant());
        if let Some((Lookup::Trouble(error), until)) = self.failed.lock().get(&key)
            && asked_at < *until
        {
            return Err(error.clone());
        }
        let subjects = self.call.subjects_of(key).await.inspect_err(|error| {
            self.note_failure(key, &Lookup::Trouble(error.clone()), TROUBLE_TTL);
        })?;
        if let Some(files) = &self.files {
            files.note_subjects(key, subjects.clone());
        }
        schema.note_standing(Standing { subjects, asked_at: Some(asked_at) });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
