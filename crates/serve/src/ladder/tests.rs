//! The ladder as a table.

use super::*;

const HEALTHY: Known =
    Known { features: Features::Known, has_model: true, has_seeds: false, forced: None };

#[track_caller]
fn check(known: Known, tier: Tier, reasons: &[Reason]) {
    let plan = plan(known);
    assert_eq!((plan.tier, plan.reasons.as_slice()), (tier, reasons));
    assert_eq!(plan.is_degraded(), tier != Tier::Full);
}

#[test]
fn a_healthy_system_answers_full_and_also_to_strangers() {
    check(HEALTHY, Tier::Full, &[]);
    check(Known { features: Features::Cold, ..HEALTHY }, Tier::Full, &[]);
}

#[test]
fn without_features_the_seeds_carry_the_answer_or_nothing_does() {
    let frozen = Known { features: Features::Missing(Reason::FeaturesTimeout), ..HEALTHY };
    check(frozen, Tier::Trending, &[Reason::FeaturesTimeout]);
    check(Known { has_seeds: true, ..frozen }, Tier::Session, &[Reason::FeaturesTimeout]);
    let open = Known { features: Features::Missing(Reason::BreakerOpen), ..HEALTHY };
    check(open, Tier::Trending, &[Reason::BreakerOpen]);
}

#[test]
fn without_a_model_counts_answer() {
    let bare = Known { has_model: false, ..HEALTHY };
    check(bare, Tier::Session, &[Reason::ModelUnavailable]);
    let cold = Known { features: Features::Cold, ..bare };
    check(cold, Tier::Trending, &[Reason::ModelUnavailable, Reason::ColdUser]);
    check(Known { has_seeds: true, ..cold }, Tier::Session, &[Reason::ModelUnavailable]);
    let both = Known { features: Features::Missing(Reason::FeaturesUnavailable), ..bare };
    let reasons = [Reason::FeaturesUnavailable, Reason::ModelUnavailable];
    check(both, Tier::Trending, &reasons);
}

#[test]
fn a_forced_rung_is_taken_and_said() {
    check(Known { forced: Some(Tier::Session), ..HEALTHY }, Tier::Session, &[Reason::Forced]);
    check(Known { forced: Some(Tier::Static), ..HEALTHY }, Tier::Static, &[Reason::Forced]);
    check(Known { forced: Some(Tier::Full), ..HEALTHY }, Tier::Full, &[Reason::Forced]);
}

#[test]
fn coming_down_never_leads_up_and_names_each_reason_once() {
    let mut plan = plan(Known { forced: Some(Tier::Static), ..HEALTHY });
    plan.descend(Tier::Trending, Reason::Deadline);
    plan.descend(Tier::Trending, Reason::Deadline);
    assert_eq!(plan.tier, Tier::Static);
    assert_eq!(plan.reasons, [Reason::Forced, Reason::Deadline]);
}
