//! The crowd is the same for the same seed, stays in its window, and has tastes.

use std::collections::HashMap;

use upnext_common::event::{EventBody, EventType};

use super::*;

const DAY_MS: i64 = 24 * HOUR_MS;
const SMALL: Sizes = Sizes { items: 600, people: 200 };

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| Crowd::new(seed, SMALL).history(seed, (0, DAY_MS), 500);
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}

#[test]
fn a_history_is_sorted_and_within_its_window() {
    let events = Crowd::new(3, SMALL).history(3, (1_000, DAY_MS), 2_000);
    assert!((1_500..2_600).contains(&events.len()), "{}", events.len());
    assert!(events.is_sorted_by_key(|event| event.event_time_ms));
    assert!(events.iter().all(|event| (1_000..DAY_MS).contains(&event.event_time_ms)));
}

#[test]
fn people_come_back_to_what_they_like() {
    let crowd = Crowd::new(5, SMALL);
    let mut seen: HashMap<String, HashMap<usize, usize>> = HashMap::new();
    for event in crowd.history(5, (0, DAY_MS), 20_000) {
        let item = crowd.catalogue.find(event.body.item_id().unwrap()).unwrap();
        let (category, _) = crowd.catalogue.places[item];
        *seen.entry(event.user_id.unwrap()).or_default().entry(category).or_default() += 1;
    }
    let (mut favourite, mut all) = (0, 0);
    for counts in seen.values() {
        favourite += counts.values().max().unwrap();
        all += counts.values().sum::<usize>();
    }
    assert!(favourite * 2 > all, "{favourite} of {all}");
}

#[test]
fn few_items_make_most_of_the_events() {
    let crowd = Crowd::new(6, SMALL);
    let mut counts: HashMap<String, usize> = HashMap::new();
    let events = crowd.history(6, (0, DAY_MS), 20_000);
    for event in &events {
        *counts.entry(event.body.item_id().unwrap().to_owned()).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let top: usize = counts.iter().take(SMALL.items / 5).sum();
    assert!(top * 2 > events.len(), "{top} of {}", events.len());
}

#[test]
fn every_kind_of_step_occurs_and_purchases_have_prices() {
    let events = Crowd::new(7, SMALL).history(7, (0, DAY_MS), 20_000);
    for kind in [
        EventType::ItemViewed,
        EventType::ItemClicked,
        EventType::ItemLiked,
        EventType::ItemAddedToCart,
        EventType::ItemPurchased,
    ] {
        assert!(events.iter().any(|event| event.event_type() == kind), "{}", kind.name());
    }
    let is_free = |event: &Event| matches!(&event.body, EventBody::ItemPurchased { price_minor, .. } if *price_minor <= 0);
    assert!(!events.iter().any(is_free));
}

#[test]
fn a_person_clicks_on_what_they_like_among_the_offered() {
    let crowd = Crowd::new(8, SMALL);
    let mut rng = StdRng::seed_from_u64(8);
    let (mut liked, mut chosen) = (0, 0);
    for _ in 0..400 {
        let person = crowd.person(&mut rng).clone();
        let mut walk = Walk::new(&mut rng, &person, 0);
        let (favourite, _) = person.tastes[0];
        let offered: Vec<usize> = (0..20).map(|_| rng.random_range(0..SMALL.items)).collect();
        if let Some(step) = walk.choose(&mut rng, &crowd.catalogue, &offered) {
            chosen += 1;
            liked += usize::from(crowd.catalogue.places[step.item].0 == favourite);
        }
    }
    assert!(chosen > 50 && liked * 4 > chosen, "{liked} of {chosen}");
}

#[test]
fn titles_categories_and_prices_are_there() {
    let crowd = Crowd::new(9, SMALL);
    assert_eq!(crowd.items().len(), SMALL.items);
    for (number, item) in crowd.items().iter().enumerate() {
        assert!(item.title.is_some() && item.category.is_some() && item.price > Some(0.0));
        assert_eq!(crowd.catalogue.find(&item.item_id), Some(number));
    }
    assert_eq!(crowd.catalogue.find("nothing"), None);
}
