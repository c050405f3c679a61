//! Which rung an answer is to be made on, from what is known about the request and about our dependencies.
//!
//! ```text
//! full      needs the user's state (or a request that names no user) and a model
//! session   needs a sequence: the user's, or the seeds of the request
//! trending  needs nothing but the live columns
//! static    needs nothing at all
//! ```
//! A healthy system answers `full`: also a user it has never met, whom the model ranks without context.

use upnext_common::tier::{Reason, Tier};

/// What is known before anything is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) features: Features,
    pub(crate) has_model: bool,
    /// Whether the request brings items of this session itself.
    pub(crate) has_seeds: bool,
    pub(crate) forced: Option<Tier>,
}

/// What hydration gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Features {
    /// A user with a sequence.
    Known,
    /// The store answered and knows nothing of this user, or no user was named.
    Cold,
    /// The store did not answer, and why.
    Missing(Reason),
}

/// The rung to try, why it is not a higher one, and the rung of a healthy system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) tier: Tier,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) healthy: Tier,
}

impl Plan {
    /// Comes down to `tier` because of `reason`.
    pub(crate) fn descend(&mut self, tier: Tier, reason: Reason) {
        self.tier = self.tier.max(tier);
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    pub(crate) fn is_degraded(&self) -> bool {
        self.tier != self.healthy
    }
}

/// Decides on the rung. Pure.
pub(crate) fn plan(known: Known) -> Plan {
    let mut plan = Plan { tier: Tier::Full, reasons: Vec::new(), healthy: Tier::Full };
    let has_sequence = known.has_seeds || known.features == Features::Known;
    let without_model = if has_sequence { Tier::Session } else { Tier::Trending };
    if let Features::Missing(reason) = known.features {
        plan.descend(without_model, reason);
    }
    if !known.has_model {
        plan.descend(without_model, Reason::ModelUnavailable);
        if known.features == Features::Cold && !known.has_seeds {
            plan.descend(Tier::Trending, Reason::ColdUser);
        }
    }
    if let Some(tier) = known.forced {
        plan.tier = tier;
        plan.reasons = vec![Reason::Forced];
    }
    plan
}

#[cfg(test)]
mod tests;
