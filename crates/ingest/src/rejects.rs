//! The share of records rejected lately: when it is an alarm, and when a partition had better stop.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Records and rejections over a sliding time, second by second.
#[derive(Debug)]
pub(crate) struct Share {
    span: Duration,
    seconds: VecDeque<Second>,
}

#[derive(Debug)]
struct Second {
    begun: Instant,
    records: u64,
    rejected: u64,
}

impl Share {
    pub(crate) fn over(span: Duration) -> Self {
        Self { span, seconds: VecDeque::new() }
    }

    pub(crate) fn note(&mut self, records: u64, rejected: u64, now: Instant) {
        self.forget(now);
        match self.seconds.back_mut() {
            Some(last) if now.duration_since(last.begun) < Duration::from_secs(1) => {
                last.records += records;
                last.rejected += rejected;
            }
            Some(_) | None => self.seconds.push_back(Second { begun: now, records, rejected }),
        }
    }

    /// Records, and the share of them that was rejected: 0 to 1.
    pub(crate) fn now(&mut self, now: Instant) -> (u64, f64) {
        self.forget(now);
        let records: u64 = self.seconds.iter().map(|second| second.records).sum();
        let rejected: u64 = self.seconds.iter().map(|second| second.rejected).sum();
        (records, rejected as f64 / records.max(1) as f64)
    }

    pub(crate) fn clear(&mut self) {
        self.seconds.clear();
    }

    fn forget(&mut self, now: Instant) {
        while self.seconds.front().is_some_and(|first| now >= first.begun + self.span) {
            self.seconds.pop_front();
        }
    }
}

/// Over which time a partition's rejections are looked at.
const SPAN: Duration = Duration::from_secs(10);
/// So many records must pass in a row before a held partition flows again.
const PASSES: u32 = 3;

/// When a partition is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateSettings {
    /// Share of rejections above which it is; 1 or more: never.
    pub(crate) share_max: f64,
    /// Fewer records than this say nothing.
    pub(crate) records_min: u64,
    /// How often one record is let through to see.
    pub(crate) probe: Duration,
}

/// Lets a partition's records through, or holds them while nearly all are bad.
#[derive(Debug)]
pub(crate) struct Gate {
    settings: GateSettings,
    share: Share,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    next_probe: Instant,
    passes: u32,
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Turn {
    Nothing,
    Closed { share: f64, records: u64 },
    Opened,
}

impl Gate {
    pub(crate) fn new(settings: GateSettings) -> Self {
        Self { settings, share: Share::over(SPAN), held: None }
    }

    /// When the next record may be judged, if not now.
    pub(crate) fn opens_at(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.next_probe)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    pub(crate) fn note(&mut self, is_rejected: bool, now: Instant) -> Turn {
        if let Some(held) = &mut self.held {
            if is_rejected {
                *held = Held { next_probe: now + self.settings.probe, passes: 0 };
                return Turn::Nothing;
            }
            held.passes += 1;
            if held.passes < PASSES {
                return Turn::Nothing;
            }
            self.held = None;
            self.share.clear();
            return Turn::Opened;
        }
        self.share.note(1, u64::from(is_rejected), now);
        if !is_rejected || self.settings.share_max >= 1.0 {
            return Turn::Nothing;
        }
        let (records, share) = self.share.now(now);
        if records < self.settings.records_min || share <= self.settings.share_max {
            return Turn::Nothing;
        }
        self.held = Some(Held { next_probe: now + self.settings.probe, passes: 0 });
        Turn::Closed { share, records }
    }
}

#[cfg(test)]
mod tests {
    use upnext_common::clock::Clock;

    use super::*;

    fn gate(share_max: f64) -> Gate {
        let probe = Duration::from_secs(5);
        Gate::new(GateSettings { share_max, records_min: 100, probe })
    }

    #[test]
    fn a_partition_is_held_when_more_than_half_are_bad_and_enough_are_seen() {
        let (mut gate, now) = (gate(0.5), Clock::manual(0).instant());
        for number in 0..198 {
            assert_eq!(gate.note(number % 2 == 1, now), Turn::Nothing, "half is not more");
        }
        assert_eq!(gate.note(true, now), Turn::Closed { share: 100.0 / 199.0, records: 199 });
        assert_eq!(gate.opens_at(), Some(now + Duration::from_secs(5)));
    }

    #[test]
    fn few_records_and_old_ones_say_nothing_and_it_can_be_switched_off() {
        let clock = Clock::manual(0);
        let (mut few, mut off) = (gate(0.5), gate(1.0));
        for _ in 0..99 {
            assert_eq!(few.note(true, clock.instant()), Turn::Nothing);
        }
        clock.advance(Duration::from_secs(10));
        assert_eq!(few.note(true, clock.instant()), Turn::Nothing);
        for _ in 0..1_000 {
            assert_eq!(off.note(true, clock.instant()), Turn::Nothing);
        }
    }

    #[test]
    fn a_held_partition_tries_one_record_at_a_time_until_some_pass() {
        let clock = Clock::manual(0);
        let mut gate = gate(0.5);
        while !gate.is_held() {
            gate.note(true, clock.instant());
        }
        clock.advance(Duration::from_secs(5));
        assert_eq!(gate.note(true, clock.instant()), Turn::Nothing);
        assert_eq!(gate.opens_at(), Some(clock.instant() + Duration::from_secs(5)));
        for _ in 0..2 {
            clock.advance(Duration::from_secs(5));
            assert_eq!(gate.note(false, clock.instant()), Turn::Nothing);
            assert!(gate.opens_at().unwrap() <= clock.instant(), "a good one calls for the next");
        }
        assert_eq!(gate.note(false, clock.instant()), Turn::Opened);
        assert_eq!(gate.opens_at(), None);
        assert_eq!(gate.note(true, clock.instant()), Turn::Nothing, "what was before is forgotten");
    }

    #[test]
    fn a_share_is_of_the_last_seconds_only() {
        let clock = Clock::manual(0);
        let mut share = Share::over(Duration::from_secs(60));
        assert_eq!(share.now(clock.instant()), (0, 0.0));
        share.note(50, 50, clock.instant());
        clock.advance(Duration::from_secs(30));
        share.note(150, 0, clock.instant());
        assert_eq!(share.now(clock.instant()), (200, 0.25));
        clock.advance(Duration::from_secs(30));
        assert_eq!(share.now(clock.instant()), (150, 0.0));
    }
}
