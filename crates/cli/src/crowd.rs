//! A seeded crowd: a catalogue, people with tastes, and what they do. The same seed gives the same events.
//!
//! Popularity within a category follows Zipf's law; each person prefers a few categories and one style in each, and
//! a session mostly stays within one category and style. So there is something to learn, and a known truth.

pub(crate) mod catalogue;
mod walk;

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use upnext_common::event::Event;
use upnext_common::item::Item;

use catalogue::{CATEGORIES, Catalogue};
pub(crate) use walk::Walk;

const HOUR_MS: i64 = 3_600_000;
/// Mean number of events in a session, from which the number of sessions is derived.
const SESSION_EVENTS_MEAN: usize = 9;

/// How large a crowd is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) items: usize,
    pub(crate) people: usize,
}

impl Sizes {
    pub(crate) const DEMO: Self = Self { items: 5_000, people: 20_000 };
}

/// The catalogue and the people; immutable once made.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) catalogue: Catalogue,
    people: Vec<Person>,
    /// Running sum of how active each person is, for drawing one.
    activity: Vec<f64>,
}

/// One person: what they like and how often they come.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user_id: Arc<str>,
    /// Category and the share of sessions that go there; the shares sum to 1.
    tastes: Vec<(usize, f64)>,
    /// The preferred style in each category.
    styles: Vec<usize>,
}

impl Crowd {
    pub(crate) fn new(seed: u64, sizes: Sizes) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let catalogue = Catalogue::new(&mut rng, sizes.items);
        let people: Vec<Person> =
            (0..sizes.people).map(|number| Person::new(&mut rng, number)).collect();
        let mut sum = 0.0;
        let activity = people
            .iter()
            .map(|_| {
                // A few come often, most seldom: Pareto with a bounded tail.
                sum += rng.random_range(0.02_f64..1.0).powf(-0.8);
                sum
            })
            .collect();
        Self { catalogue, people, activity }
    }

    pub(crate) fn items(&self) -> &[Item] {
        &self.catalogue.items
    }

    /// One person, the active ones more often.
    pub(crate) fn person(&self, rng: &mut StdRng) -> &Person {
        let total = self.activity.last().copied().unwrap_or_default();
        let drawn = rng.random_range(0.0..total);
        let at = self.activity.partition_point(|sum| *sum <= drawn);
        &self.people[at.min(self.people.len() - 1)]
    }

    /// About `count` events in `[from_ms, to_ms)`, by event time.
    pub(crate) fn history(
        &self,
        seed: u64,
        (from_ms, to_ms): (i64, i64),
        count: usize,
    ) -> Vec<Event> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut events = Vec::with_capacity(count + count / 8);
        for _ in 0..count.div_ceil(SESSION_EVENTS_MEAN) {
            let start_ms = moment(&mut rng, from_ms, to_ms);
            let person = self.person(&mut rng).clone();
            let mut walk = Walk::new(&mut rng, &person, start_ms);
            while let Some(step) = walk.next(&mut rng, &self.catalogue) {
                events
                    .extend((step.time_ms < to_ms).then(|| step.event(&mut rng, &self.catalogue)));
            }
        }
        events.sort_by(|a, b| (a.event_time_ms, &a.event_id).cmp(&(b.event_time_ms, &b.event_id)));
        events
    }
}

impl Person {
    fn new(rng: &mut StdRng, number: usize) -> Self {
        let first = rng.random_range(0..CATEGORIES.len());
        let second = rng.random_range(0..CATEGORIES.len());
        let third = rng.random_range(0..CATEGORIES.len());
        let styles =
            (0..CATEGORIES.len()).map(|_| rng.random_range(0..catalogue::STYLES)).collect();
        let user_id = format!("u{number:05}").into();
        Self { user_id, tastes: vec![(first, 0.6), (second, 0.3), (third, 0.1)], styles }
    }

    /// The category of a session.
    fn category(&self, rng: &mut StdRng) -> usize {
        let mut left = rng.random_range(0.0..1.0);
        for (category, share) in &self.tastes {
            left -= share;
            if left < 0.0 {
                return *category;
            }
        }
        self.tastes[0].0
    }

    /// How much this person likes an item of `category` and `style`: 0 is indifference, 1 the favourite.
    pub(crate) fn likes(&self, category: usize, style: usize) -> f64 {
        let share: f64 = self
            .tastes
            .iter()
            .filter(|(liked, _)| *liked == category)
            .map(|(_, share)| share)
            .sum();
        if self.styles[category] == style { share } else { share / 4.0 }
    }
}

/// A time of day: the evening is busier than the night.
fn moment(rng: &mut StdRng, from_ms: i64, to_ms: i64) -> i64 {
    loop {
        let drawn = rng.random_range(from_ms..to_ms.max(from_ms + 1));
        let hour = drawn.rem_euclid(24 * HOUR_MS) / HOUR_MS;
        let busy = if (8..23).contains(&hour) { 1.0 } else { 0.3 };
        if rng.random_bool(busy) {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests;
