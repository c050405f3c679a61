//! Hydration: the user's state from the online store, within a few milliseconds or not at all.

use std::time::Duration;

use tracing::{debug, warn};
use upnext_common::clock::Clock;
use upnext_common::deadline::Deadline;
use upnext_common::event::Subject;
use upnext_common::tier::Reason;
use upnext_state::UserState;
use upnext_store::{Reader, StoreError};

use crate::ladder::Features;

/// Reads user states under a deadline. The breaker stands in the reader.
pub(crate) struct Hydrator {
    read_timeout: Duration,
    clock: Clock,
}

/// What is known of the asker. `state` merges the known and the anonymous one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hydrated {
    pub(crate) state: Option<UserState>,
    /// Why nothing is known although somebody was named.
    pub(crate) missing: Option<Reason>,
}

impl Hydrated {
    pub(crate) fn missing(reason: Reason) -> Self {
        Self { state: None, missing: Some(reason) }
    }

    pub(crate) fn features(&self) -> Features {
        match (&self.state, self.missing) {
            (_, Some(reason)) => Features::Missing(reason),
            (Some(state), None) if state.recent().iter().any(|e| e.interaction().is_some()) => {
                Features::Known
            }
            (Some(_) | None, None) => Features::Cold,
        }
    }

    /// Time of the newest event known.
    pub(crate) fn as_of_ms(&self) -> Option<i64> {
        self.state.as_ref().filter(|state| !state.is_empty()).map(UserState::newest_ms)
    }
}

impl Hydrator {
    pub(crate) fn new(read_timeout: Duration, clock: Clock) -> Self {
        Self { read_timeout, clock }
    }

    /// The state of whoever is named; nobody named costs nothing. Never fails: says why instead.
    pub(crate) async fn hydrate(
        &self,
        reader: &Reader,
        subjects: &[Subject<'_>],
        deadline: Deadline,
    ) -> Hydrated {
        if subjects.is_empty() {
            return Hydrated::default();
        }
        let deadline = deadline.within(self.clock.instant(), self.read_timeout);
        match reader.users(subjects, deadline).await {
            Ok(blobs) => merge(blobs.iter().flatten().map(AsRef::as_ref)),
            Err(error) => {
                debug!(%error, "no features");
                Hydrated::missing(reason_of(&error))
            }
        }
    }
}

fn merge<'a>(blobs: impl Iterator<Item = &'a [u8]>) -> Hydrated {
    let mut merged: Option<UserState> = None;
    for blob in blobs {
        let state = match UserState::decode(blob) {
            Ok(state) => state,
            Err(error) => {
                warn!(%error, "a stored user state is not understood");
                return Hydrated::missing(Reason::FeaturesUnavailable);
            }
        };
        merged = Some(match merged {
            None => state,
            Some(other) => other.merge(&state),
        });
    }
    Hydrated { state: merged, missing: None }
}

fn reason_of(error: &StoreError) -> Reason {
    match error {
        StoreError::Timeout => Reason::FeaturesTimeout,
        StoreError::BreakerOpen => Reason::BreakerOpen,
        StoreError::Unavailable { .. }
        | StoreError::Conflict
        | StoreError::Refused { .. }
        | StoreError::Malformed { .. }
        | StoreError::Settings { .. }
        | StoreError::Layout { .. }
        | StoreError::Url { .. } => Reason::FeaturesUnavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(item_id: &str, offset: i64) -> Vec<u8> {
        let event = crate::users::click("u", item_id, 1_760_000_000_000 + offset);
        let mut state = UserState::new();
        state.apply(&event, event.event_time_ms, offset, &mut Vec::new());
        state.encode()
    }

    #[test]
    fn the_known_and_the_anonymous_state_are_merged() {
        let (known, anonymous) = (encoded("a", 1), encoded("b", 2));
        let hydrated = merge([known.as_slice(), anonymous.as_slice()].into_iter());
        assert_eq!(hydrated.features(), Features::Known);
        assert_eq!(hydrated.as_of_ms(), Some(1_760_000_000_002));
        assert_eq!(hydrated.state.map(|state| state.recent().len()), Some(2));
    }

    #[test]
    fn nobody_stored_is_a_cold_user() {
        let hydrated = merge(std::iter::empty());
        assert_eq!((hydrated.features(), hydrated.as_of_ms()), (Features::Cold, None));
    }

    #[test]
    fn a_blob_that_is_not_understood_is_no_state_and_no_panic() {
        let hydrated = merge([b"garbage".as_slice()].into_iter());
        assert_eq!(hydrated.features(), Features::Missing(Reason::FeaturesUnavailable));
    }

    #[test]
    fn every_error_of_the_store_has_its_reason() {
        assert_eq!(reason_of(&StoreError::Timeout), Reason::FeaturesTimeout);
        assert_eq!(reason_of(&StoreError::BreakerOpen), Reason::BreakerOpen);
        let away = StoreError::Unavailable { cause: "refused".to_owned() };
        assert_eq!(reason_of(&away), Reason::FeaturesUnavailable);
        assert_eq!(reason_of(&StoreError::Conflict), Reason::FeaturesUnavailable);
    }
}
