//! What every request reaches: the parts of the daemon, made once at start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use upnext_common::clock::Clock;
use upnext_common::metrics::Metrics;
use upnext_contract::Checks;

use crate::admission::AdmissionRules;
use crate::barrier::Barrier;
use crate::compute::ComputePool;
use crate::decisions::DecisionLog;
use crate::hydrate::Hydrator;
use crate::outlet::Outlet;
use crate::worlds::Worlds;

/// Shared by all requests.
pub(crate) struct App {
    pub(crate) rules: AdmissionRules,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) worlds: Arc<Worlds>,
    pub(crate) pool: ComputePool,
    pub(crate) hydrator: Hydrator,
    pub(crate) checks: Checks,
    pub(crate) outlet: Outlet,
    pub(crate) decisions: DecisionLog,
    /// Share of decisions logged with all their candidates.
    pub(crate) full_rows_share: f64,
    pub(crate) barrier: Barrier,
    pub(crate) readiness: Arc<Readiness>,
}

/// Whether answers may be given: once the catalogue, the model and the item states have been looked at.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    pub(crate) catalogue: AtomicBool,
    pub(crate) models: AtomicBool,
    pub(crate) states: AtomicBool,
    is_open: AtomicBool,
}

impl Readiness {
    pub(crate) fn has_read_everything(&self) -> bool {
        let parts = [&self.catalogue, &self.models, &self.states];
        parts.iter().all(|part| part.load(Ordering::Acquire))
    }

    /// From now on answers are given.
    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_read_everything_when_every_part_has() {
        let readiness = Readiness::default();
        readiness.catalogue.store(true, Ordering::Release);
        readiness.models.store(true, Ordering::Release);
        assert!(!readiness.has_read_everything());
        readiness.states.store(true, Ordering::Release);
        assert!(readiness.has_read_everything());
        assert!(!readiness.is_ready());
        readiness.open();
        assert!(readiness.is_ready());
    }
}
