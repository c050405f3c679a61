//! Live items held against values computed by hand, and against updates that came in other steps.

use proptest::prelude::*;
use upnext_common::event::{Device, Event, EventBody};
use upnext_state::Replay;

use super::*;

const DAY_MS: i64 = 86_400_000;

fn view(session: &str, item: &str, time_ms: i64) -> Event {
    Event {
        event_id: format!("{session}-{item}-{time_ms}"),
        event_time_ms: time_ms,
        user_id: None,
        anonymous_id: Some(session.to_owned()),
        session_id: session.to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: std::collections::BTreeMap::new(),
        body: EventBody::ItemViewed { item_id: item.to_owned() },
    }
}

fn live_after(events: &[Event]) -> LiveItems {
    let mut replay = Replay::new();
    for event in events {
        replay.apply(event, event.event_time_ms);
    }
    let mut live = LiveItems::new();
    let mut states = replay.items.iter().collect::<Vec<_>>();
    states.sort_by_key(|(hash, _)| **hash);
    for (hash, state) in states {
        live.put_state(*hash, state).unwrap();
    }
    live
}

#[track_caller]
fn check_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found} {expected}");
}

#[test]
fn the_chance_of_the_next_item_is_the_recipe_formula() {
    let live = live_after(&[view("s", "a", 0), view("s", "b", 0), view("s", "c", 0)]);
    let (a, b, c) = (live.find("a").unwrap(), live.find("b").unwrap(), live.find("c").unwrap());
    let moment = live.at(0);
    let third = 1.0 / 3.0 + 1e-5;
    check_near(moment.trend()[usize_of(a)], third);
    // a was followed by b at distance 1 and by c at distance 2.
    let two = 2.0_f64.powf(-1.5);
    check_near(moment.chance(b, a), (1.0 + 3.0 * third) / (1.0 + two + 3.0));
    check_near(moment.chance(c, a), (two + 3.0 * third) / (1.0 + two + 3.0));
    // b saw c next, and a a tenth backward.
    check_near(moment.chance(c, b), (1.0 + 3.0 * third) / (1.1 + 3.0));
    check_near(moment.chance(a, b), (0.1 + 3.0 * third) / (1.1 + 3.0));
    check_near(moment.chance(b, b), 3.0 * third / (1.1 + 3.0));
}

#[test]
fn counts_fade_with_their_half_lives() {
    let live = live_after(&[view("s", "a", 0), view("t", "b", 7 * DAY_MS)]);
    let (a, b) = (live.find("a").unwrap(), live.find("b").unwrap());
    let moment = live.at(7 * DAY_MS);
    check_near(moment.shares(a).share_7d, 0.5 / 1.5);
    check_near(moment.shares(b).share_7d, 1.0 / 1.5);
    check_near(moment.shares(b).share, 0.5);
    check_near(moment.age_days(a), 7.0);
    check_near(moment.age_days(b), 0.0);
    let share = |half_lives: f64| (-half_lives).exp2() / (1.0 + (-half_lives).exp2());
    check_near(moment.shares(a).share_24h, share(7.0));
    check_near(moment.shares(a).share_1h, share(168.0));
    check_near(moment.shares(a).share_30d, share(7.0 / 30.0));
}

#[test]
fn rows_and_columns_of_chances_agree_with_single_ones() {
    let live = live_after(&[
        view("s", "a", 0),
        view("s", "b", 10),
        view("t", "b", 20),
        view("t", "c", 30),
        view("t", "a", DAY_MS),
    ]);
    let moment = live.at(2 * DAY_MS);
    let (mut after, mut before, mut mixed) = (Vec::new(), Vec::new(), Vec::new());
    for one in 0..3 {
        moment.chances_after(one, &mut after);
        moment.chances_before(one, &mut before);
        for other in 0..3 {
            check_near(after[usize_of(other)], moment.chance(other, one));
            check_near(before[usize_of(other)], moment.chance(one, other));
        }
    }
    moment.session_chances(&[0, 1], &mut mixed);
    for item in 0..3 {
        let expected = (moment.chance(item, 0) + 0.5 * moment.chance(item, 1)) / 1.5;
        check_near(mixed[usize_of(item)], expected);
    }
}

#[test]
fn an_item_known_by_its_pairs_alone_waits_for_its_name() {
    let mut live = LiveItems::new();
    assert_eq!(live.put_state(ItemHash(7), &ItemState::new()), Ok(None));
    assert!(live.is_empty());
}

#[test]
fn of_colliding_ids_the_smaller_one_stays_whoever_came_first() {
    for order in [["x", "y"], ["y", "x"]] {
        let mut live = LiveItems::new();
        let placed = order.map(|id| live.place(ItemHash(1), id));
        assert_eq!((live.len(), live.id(0)), (1, "x"));
        assert_eq!(placed.map(|place| place.is_ok()), [true, order[0] == "y"]);
    }
    let mut live = LiveItems::new();
    live.place(ItemHash(1), "x").unwrap();
    let refused = live.place(ItemHash(1), "y").unwrap_err();
    assert_eq!((refused.kept.as_str(), refused.refused.as_str()), ("x", "y"));
    assert_eq!(refused.fault(), Fault::CALLER);
}

#[test]
fn a_record_that_says_nothing_new_changes_no_shape() {
    let mut live = LiveItems::new();
    let mut item = Item { item_id: "a".to_owned(), price: Some(3.0), ..Item::default() };
    live.put_item(&item).unwrap();
    let shape = live.shape();
    live.put_item(&item).unwrap();
    assert_eq!(live.shape(), shape);
    item.hidden = true;
    live.put_item(&item).unwrap();
    assert_ne!(live.shape(), shape);
    assert!(!live.item(0).is_servable());
}

#[test]
fn content_becomes_texts_each_once() {
    let mut item = Item {
        item_id: "a".to_owned(),
        category: Some("skirts".to_owned()),
        title: Some("Red skirt, a red one".to_owned()),
        price: Some(28.0),
        ..Item::default()
    };
    item.attributes.insert("colour".to_owned(), "navy|red".to_owned());
    let expected = ["category=skirts", "price=13", "colour=navy", "colour=red", "word=red"];
    let texts = attribute_texts(&item);
    assert_eq!(texts[..5], expected);
    assert_eq!(texts[5..], ["word=skirt", "word=one"]);
}

proptest! {
    #[test]
    fn it_does_not_matter_through_how_many_updates_a_value_came(
        steps in prop::collection::vec((0_u8..4, 0_u8..6, 1_i64..DAY_MS), 1..60),
        looks in prop::collection::vec(any::<bool>(), 60),
    ) {
        let (mut replay, mut often, mut time_ms) = (Replay::new(), LiveItems::new(), 0);
        for ((session, item, pause_ms), look) in steps.iter().zip(&looks) {
            time_ms += pause_ms;
            let event = view(&format!("s{session}"), &format!("i{item}"), time_ms);
            let touched = replay.apply(&event, time_ms).touched();
            for hash in touched.iter().filter(|_| *look) {
                often.put_state(*hash, &replay.items[hash]).unwrap();
            }
        }
        let mut once = LiveItems::new();
        let mut hashes = replay.items.keys().copied().collect::<Vec<_>>();
        hashes.sort_unstable();
        for hash in hashes.iter().rev() {
            once.put_state(*hash, &replay.items[hash]).unwrap();
        }
        for hash in &hashes {
            often.put_state(*hash, &replay.items[hash]).unwrap();
        }
        let (one, other) = (once.at(time_ms + 5), often.at(time_ms + 5));
        for a in &hashes {
            for b in &hashes {
                let chance = |live: &LiveItems, moment: &Moment<'_>| {
                    moment.chance(live.index_of(*a).unwrap(), live.index_of(*b).unwrap())
                };
                let (one, other) = (chance(&once, &one), chance(&often, &other));
                prop_assert!((one / other - 1.0).abs() < 1e-12, "{} {}", one, other);
            }
        }
    }
}
