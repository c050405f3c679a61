//! The learning rate over a fit, and how many steps fit into its time budget.

use std::time::Instant;

use upnext_common::clock::Clock;

/// What the rate comes down to at the end, as a share of the highest.
const FLOOR: f64 = 0.02;
/// The first steps are slower than the rest; the pace is judged from here on.
const STEPS_BEFORE_JUDGING: usize = 16;
const STEPS_BETWEEN_JUDGEMENTS: usize = 32;

/// How far a fit is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all, as planned now: fewer than at first if time is short.
    pub steps: usize,
    /// Loss of the last step, nats per target.
    pub loss: f32,
    pub elapsed_seconds: f64,
}

/// Linear warm-up, then a cosine down to 2 %, over a number of steps that shrinks if the budget demands it. With
/// enough time the plan never depends on the clock, so that a fit can be repeated.
pub(crate) struct Schedule {
    highest: f64,
    warm_up_steps: usize,
    steps: usize,
    done: usize,
    seconds_max: Option<f64>,
    clock: Clock,
    start: Instant,
}

impl Schedule {
    /// A fit much shorter than its warm-up would never learn: the warm-up is at most a ninth of it.
    pub(crate) fn new(highest: f64, warm_up_steps: usize, steps: usize) -> Self {
        let clock = Clock::manual(0);
        let start = clock.instant();
        let warm_up_steps = warm_up_steps.min(steps / 9);
        Self { highest, warm_up_steps, steps, done: 0, seconds_max: None, clock, start }
    }

    /// Keeps the fit within `seconds_max` by `clock`.
    pub(crate) fn within(mut self, seconds_max: Option<f64>, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self.start = clock.instant();
        self.seconds_max = seconds_max;
        self
    }

    pub(crate) fn is_over(&self) -> bool {
        self.done >= self.steps
    }

    pub(crate) fn step(&self) -> usize {
        self.done
    }

    /// The rate of the step about to be taken.
    pub(crate) fn rate(&self) -> f64 {
        let warm = (self.done + 1) as f64 / self.warm_up_steps.max(1) as f64;
        let position = (self.done as f64 / self.steps as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * position).cos());
        self.highest * warm.min(1.0) * (FLOOR + (1.0 - FLOOR) * cosine)
    }

    /// Notes a step done and plans the rest.
    pub(crate) fn advance(&mut self, loss: f32) -> Progress {
        self.done += 1;
        let elapsed = self.clock.instant().saturating_duration_since(self.start);
        let elapsed_seconds = elapsed.as_secs_f64();
        if self.done % STEPS_BETWEEN_JUDGEMENTS == STEPS_BEFORE_JUDGING {
            self.shorten(elapsed_seconds);
        }
        Progress { step: self.done, steps: self.steps, loss, elapsed_seconds }
    }

    fn shorten(&mut self, elapsed_seconds: f64) {
        let Some(seconds_max) = self.seconds_max else { return };
        let seconds_left = (seconds_max - elapsed_seconds).max(0.0);
        let steps_left = seconds_left * self.done as f64 / elapsed_seconds.max(1e-9);
        if steps_left < self.steps.saturating_sub(self.done) as f64 {
            self.steps = self.done + usize::try_from(steps_left.round() as i64).unwrap_or(0);
            self.warm_up_steps = self.warm_up_steps.min(self.steps / 9);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_rate_warms_up_and_comes_down_to_two_percent() {
        let mut schedule = Schedule::new(1.0, 100, 1_000);
        let mut rates = Vec::new();
        while !schedule.is_over() {
            rates.push(schedule.rate());
            schedule.advance(0.0);
        }
        assert_eq!(rates.len(), 1_000);
        assert!((rates[0] - 0.01).abs() < 1e-4, "{}", rates[0]);
        assert!(rates[..100].is_sorted());
        assert!(rates[100..].iter().rev().is_sorted());
        assert!((rates[999] - 0.02).abs() < 1e-4, "{}", rates[999]);
    }

    #[test]
    fn a_short_fit_warms_up_in_a_ninth_of_it() {
        let schedule = Schedule::new(1.0, 100, 18);
        assert!((schedule.rate() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn short_time_means_fewer_steps_and_a_finished_schedule() {
        let clock = Clock::manual(0);
        let mut schedule = Schedule::new(1.0, 10, 1_000).within(Some(20.0), &clock);
        let mut last = 1.0;
        while !schedule.is_over() {
            last = schedule.rate();
            clock.advance(Duration::from_millis(100));
            schedule.advance(0.0);
        }
        assert!((199..=201).contains(&schedule.step()), "{}", schedule.step());
        assert!(last < 0.021, "the last rate was {last}");
    }

    #[test]
    fn enough_time_changes_nothing() {
        let clock = Clock::manual(0);
        let mut schedule = Schedule::new(1.0, 10, 100).within(Some(20.0), &clock);
        while !schedule.is_over() {
            clock.advance(Duration::from_millis(100));
            schedule.advance(0.0);
        }
        assert_eq!(schedule.step(), 100);
    }
}
