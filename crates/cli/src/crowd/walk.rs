//! One session of one person, step by step.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use upnext_common::event::{Device, Event, EventBody, EventType};

use super::Person;
use super::catalogue::{Catalogue, STYLES};

const VIEWS_MAX: usize = 24;
const GOES_ON: f64 = 0.82;
const STAYS_IN_STYLE: f64 = 0.75;
const CLICKS: f64 = 0.35;
const LIKES: f64 = 0.12;
const PUTS_IN_CART: f64 = 0.18;
const BUYS: f64 = 0.4;

/// A session under way.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    person: Person,
    pub(crate) session_id: Arc<str>,
    device: Device,
    category: usize,
    style: usize,
    now_ms: i64,
    views_left: usize,
    /// What follows from the view just made, the next one last.
    pending: Vec<(EventType, usize)>,
}

/// One thing the person does.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) user_id: Arc<str>,
    pub(crate) session_id: Arc<str>,
    pub(crate) device: Device,
    pub(crate) kind: EventType,
    pub(crate) item: usize,
    pub(crate) time_ms: i64,
}

impl Walk {
    pub(crate) fn new(rng: &mut StdRng, person: &Person, start_ms: i64) -> Self {
        let category = person.category(rng);
        let mut views_left = 1;
        while views_left < VIEWS_MAX && rng.random_bool(GOES_ON) {
            views_left += 1;
        }
        Self {
            person: person.clone(),
            session_id: format!("s{:012x}", rng.random_range(0_u64..1 << 48)).into(),
            device: Device::ALL[rng.random_range(1..Device::ALL.len())],
            category,
            style: person.styles[category],
            now_ms: start_ms,
            views_left,
            pending: Vec::new(),
        }
    }

    /// The next step, or `None` once the session is over.
    pub(crate) fn next(&mut self, rng: &mut StdRng, catalogue: &Catalogue) -> Option<Step> {
        let (kind, item) = match self.pending.pop() {
            Some(next) => next,
            None => {
                self.views_left = self.views_left.checked_sub(1)?;
                (EventType::ItemViewed, self.browse(rng, catalogue)?)
            }
        };
        self.now_ms += rng.random_range(2_000..40_000);
        self.consider(rng, kind, item);
        Some(self.step(kind, item))
    }

    /// What the person does with the `offered` items: looks at one they like, or at none.
    pub(crate) fn choose(
        &mut self,
        rng: &mut StdRng,
        catalogue: &Catalogue,
        offered: &[usize],
    ) -> Option<Step> {
        let liked = |item: &usize| {
            let (category, style) = catalogue.places[*item];
            let here = if category == self.category { 0.5 } else { 0.0 };
            self.person.likes(category, style) / 2.0 + here
        };
        // Whoever reads a list starts at its top and soon stops.
        let item = *offered.iter().find(|item| rng.random_bool(liked(item).min(0.9) / 3.0))?;
        (self.category, self.style) = catalogue.places[item];
        self.pending.clear();
        self.consider(rng, EventType::ItemClicked, item);
        Some(self.step(EventType::ItemClicked, item))
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.pending.is_empty() && self.views_left == 0
    }

    pub(crate) fn user_id(&self) -> &str {
        &self.person.user_id
    }

    fn browse(&self, rng: &mut StdRng, catalogue: &Catalogue) -> Option<usize> {
        let stays = rng.random_bool(STAYS_IN_STYLE);
        let style = if stays { self.style } else { rng.random_range(0..STYLES) };
        catalogue.pick(rng, self.category, style)
    }

    fn consider(&mut self, rng: &mut StdRng, kind: EventType, item: usize) {
        if kind == EventType::ItemViewed && rng.random_bool(CLICKS) {
            self.pending.push((EventType::ItemClicked, item));
        } else if kind == EventType::ItemClicked {
            let then = [(EventType::ItemLiked, LIKES), (EventType::ItemAddedToCart, PUTS_IN_CART)];
            let drawn = then.into_iter().filter(|(_, chance)| rng.random_bool(*chance));
            self.pending.extend(drawn.map(|(kind, _)| (kind, item)));
        } else if kind == EventType::ItemAddedToCart && rng.random_bool(BUYS) {
            self.pending.push((EventType::ItemPurchased, item));
        }
    }

    fn step(&self, kind: EventType, item: usize) -> Step {
        Step {
            user_id: Arc::clone(&self.person.user_id),
            session_id: Arc::clone(&self.session_id),
            device: self.device,
            kind,
            item,
            time_ms: self.now_ms,
        }
    }
}

impl Step {
    /// The event as it is written to the topic.
    pub(crate) fn event(&self, rng: &mut StdRng, catalogue: &Catalogue) -> Event {
        Event {
            event_id: uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string(),
            event_time_ms: self.time_ms,
            user_id: Some(self.user_id.to_string()),
            anonymous_id: None,
            session_id: self.session_id.to_string(),
            surface: "home".to_owned(),
            decision_id: None,
            device: self.device,
            props: BTreeMap::new(),
            body: self.body(catalogue),
        }
    }

    fn body(&self, catalogue: &Catalogue) -> EventBody {
        let item_id = catalogue.id(self.item).to_owned();
        match self.kind {
            EventType::ItemClicked => EventBody::ItemClicked { item_id },
            EventType::ItemLiked => EventBody::ItemLiked { item_id },
            EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id },
            EventType::ItemPurchased => {
                let price_minor = self.price_minor(catalogue);
                let currency = "EUR".to_owned();
                EventBody::ItemPurchased { item_id, price_minor, currency, quantity: 1 }
            }
            EventType::ItemViewed
            | EventType::ItemDwelled
            | EventType::ItemHidden
            | EventType::ItemsShown
            | EventType::Searched
            | EventType::UserErased => EventBody::ItemViewed { item_id },
        }
    }

    fn price_minor(&self, catalogue: &Catalogue) -> i64 {
        let price = catalogue.items[self.item].price.unwrap_or_default();
        (price * 100.0).round() as i64
    }
}
