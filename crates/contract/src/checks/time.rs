//! The time contract: an event lies near its record's timestamp, in milliseconds.
//!
//! The reference is the record's timestamp and never the wall clock, so that a replay gives the same verdicts.
//! What lies outside is looked at again in other units, since a wrong unit is the usual cause.

use super::Limits;
use crate::verdict::{Reason, Rejection};

/// How near another reading must come to the reference to be believed: ten years.
const SUSPICION_MS: i64 = 10 * 365 * 86_400_000;

const POINTER: &str = "/event_time";

pub(super) fn check(event_ms: i64, reference_ms: i64, limits: Limits) -> Option<Rejection> {
    let ahead_ms = i128::from(event_ms) - i128::from(reference_ms);
    if (-i128::from(limits.event_age_max_ms)..=i128::from(limits.event_ahead_max_ms))
        .contains(&ahead_ms)
    {
        return None;
    }
    if let Some((reason, unit)) = suspect(event_ms, reference_ms) {
        let detail = format!("{event_ms} looks like {unit}; the contract is milliseconds");
        return Some(Rejection::new(reason, POINTER, detail));
    }
    let (reason, detail) = if ahead_ms > 0 {
        let max = limits.event_ahead_max_ms;
        (Reason::TsFuture, format!("{ahead_ms} ms after the record's timestamp, allowed are {max}"))
    } else {
        let (age_ms, max) = (-ahead_ms, limits.event_age_max_ms);
        (Reason::TsTooOld, format!("{age_ms} ms before the record's timestamp, allowed are {max}"))
    };
    Some(Rejection::new(reason, POINTER, detail))
}

/// The verdict on a time that the writer's schema declares as a bare number. Nobody can tell from it what the next
/// one will mean, so it is refused also where it looks right; the unit it looks like is named.
pub(crate) fn without_unit(event_ms: i64, reference_ms: i64) -> Rejection {
    let ahead_ms = (i128::from(event_ms) - i128::from(reference_ms)).abs();
    let (reason, unit) = match suspect(event_ms, reference_ms) {
        Some(found) => found,
        None if ahead_ms <= i128::from(SUSPICION_MS) => (Reason::SchemaLint, "milliseconds"),
        None => (Reason::SchemaLint, "no time near the record's timestamp"),
    };
    let detail = format!(
        "the writer's schema declares no unit; {event_ms} looks like {unit}; the contract is \
         milliseconds, declared by the logicalType timestamp-millis"
    );
    Rejection::new(reason, POINTER, detail)
}

/// The unit in which the number would be a plausible time.
fn suspect(event_ms: i64, reference_ms: i64) -> Option<(Reason, &'static str)> {
    let (event, reference) = (i128::from(event_ms), i128::from(reference_ms));
    let tolerance = i128::from(SUSPICION_MS).min(reference.abs() / 2);
    let is_near = |reading_ms: i128| (reading_ms - reference).abs() <= tolerance;
    if is_near(event * 1_000) {
        Some((Reason::TsUnitSuspectS, "seconds"))
    } else if is_near(event / 1_000) {
        Some((Reason::TsUnitSuspectUs, "microseconds"))
    } else if is_near(event / 1_000_000) {
        Some((Reason::TsUnitSuspectNs, "nanoseconds"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    #[track_caller]
    fn check_at(event_ms: i64, expected: Option<Reason>) {
        let found = check(event_ms, NOW_MS, Limits::default());
        assert_eq!(found.as_ref().map(|rejection| rejection.reason), expected, "{found:?}");
        assert!(found.is_none_or(|rejection| rejection.pointer == "/event_time"));
    }

    #[test]
    fn the_window_is_closed_on_both_sides() {
        check_at(NOW_MS, None);
        check_at(NOW_MS - 24 * HOUR_MS, None);
        check_at(NOW_MS - 24 * HOUR_MS - 1, Some(Reason::TsTooOld));
        check_at(NOW_MS + HOUR_MS / 12, None);
        check_at(NOW_MS + HOUR_MS / 12 + 1, Some(Reason::TsFuture));
    }

    #[test]
    fn the_suspected_unit_is_named() {
        check_at(NOW_MS / 1_000, Some(Reason::TsUnitSuspectS));
        check_at(NOW_MS * 1_000, Some(Reason::TsUnitSuspectUs));
        check_at(NOW_MS * 1_000_000, Some(Reason::TsUnitSuspectNs));
        check_at((NOW_MS - 400 * 24 * HOUR_MS) / 1_000, Some(Reason::TsUnitSuspectS));
    }

    #[test]
    fn a_number_without_a_unit_is_refused_and_its_likely_unit_named() {
        for (event_ms, reason, unit) in [
            (NOW_MS, Reason::SchemaLint, "looks like milliseconds;"),
            (NOW_MS / 1_000, Reason::TsUnitSuspectS, "looks like seconds;"),
            (NOW_MS * 1_000, Reason::TsUnitSuspectUs, "looks like microseconds;"),
            (NOW_MS * 1_000_000, Reason::TsUnitSuspectNs, "looks like nanoseconds;"),
            (7, Reason::SchemaLint, "looks like no time"),
        ] {
            let rejection = without_unit(event_ms, NOW_MS);
            assert_eq!((rejection.reason, rejection.pointer.as_str()), (reason, "/event_time"));
            assert!(rejection.detail.contains(unit), "{rejection}");
        }
    }

    #[test]
    fn what_is_plausible_in_no_unit_is_old_or_ahead() {
        check_at(0, Some(Reason::TsTooOld));
        check_at(i64::MIN, Some(Reason::TsTooOld));
        check_at(i64::MAX, Some(Reason::TsFuture));
        check_at(NOW_MS + 400 * 24 * HOUR_MS, Some(Reason::TsFuture));
    }
}
