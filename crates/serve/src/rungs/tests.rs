//! Rungs over a small world: the same filters on each, honest reasons, rows for the log.

use std::time::Duration;

use upnext_common::clock::Clock;
use upnext_common::deadline::Deadline;
use upnext_common::event::{Device, Event, EventBody};
use upnext_common::metrics::Metrics;
use upnext_state::Replay;
use upnext_state::replay::OwnedSubject;

use super::*;
use crate::admission::Admission;
use crate::ask::RecommendationsRequest;

const NOW: i64 = 1_760_000_000_000;

fn click(user: &str, item_id: &str, age_ms: i64) -> Event {
    Event {
        event_id: format!("{user}-{item_id}-{age_ms}"),
        event_time_ms: NOW - age_ms,
        user_id: Some(user.to_owned()),
        anonymous_id: None,
        session_id: format!("s-{user}"),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body: EventBody::ItemClicked { item_id: item_id.to_owned() },
    }
}

/// Items a…f; everybody goes a → b → c, and d is the most clicked.
fn world() -> (World, Replay) {
    let world = World::new(Metrics::new());
    let titled = |id: &str| Item {
        item_id: id.to_owned(),
        title: Some(format!("item {id}")),
        category: Some(if id < "d" { "tea" } else { "mug" }.to_owned()),
        price: Some(2.5),
        ..Item::default()
    };
    let items = ["a", "b", "c", "d", "e", "f"].map(titled);
    world.apply_items(&(0..).zip(items).collect::<Vec<_>>());
    let mut replay = Replay::new();
    for n in 0..6 {
        let user = format!("u{n}");
        for (place, item) in ["a", "b", "c"].iter().enumerate() {
            let age_ms = 60_000 - i64::try_from(place).unwrap() * 1_000;
            let event = click(&user, item, age_ms);
            replay.apply(&event, event.event_time_ms);
        }
    }
    for n in 0..20 {
        let event = click(&format!("d{n}"), "d", 30_000);
        replay.apply(&event, event.event_time_ms);
    }
    let states: Vec<_> = replay.items.iter().map(|(hash, state)| (*hash, state.clone())).collect();
    world.apply_states(&states);
    world.refresh_lists(NOW);
    (world, replay)
}

fn question(request: RecommendationsRequest, want: Want) -> Question {
    let admitted = Clock::manual(NOW).instant();
    let admission = Admission {
        admitted,
        deadline: Deadline::after(admitted, Duration::from_secs(1)),
        now_ms: NOW,
        forced: None,
    };
    Question { request, want, admission }
}

fn asking(user: &str, replay: &Replay) -> Hydrated {
    let state = replay.users.get(&OwnedSubject::User(user.to_owned())).cloned();
    Hydrated { state, missing: None }
}

fn ids(computed: &Computed) -> Vec<&str> {
    computed.items.iter().map(|item| item.item_id.as_str()).collect()
}

#[test]
fn without_a_model_the_session_rung_answers_and_says_why() {
    let (world, replay) = world();
    let mut early = Replay::new();
    let event = click("new", "a", 1_000);
    early.apply(&event, event.event_time_ms);
    let question = question(RecommendationsRequest::default(), Want::Recommend);
    let hydrated = asking("new", &early);
    let computed = compute(&world, &question, &hydrated, (Tier::Full, false));
    assert_eq!(
        (computed.tier, computed.reasons.as_slice()),
        (Tier::Session, [Reason::ModelUnavailable].as_slice())
    );
    assert_eq!(ids(&computed)[0], "b", "b follows a");
    assert!(!ids(&computed).contains(&"a"), "a is in view");
    assert_eq!(computed.items[0].source, "next");
    drop(replay);
}

#[test]
fn hidden_items_are_in_no_rung_at_once() {
    let (world, _) = world();
    let hidden = Item { item_id: "d".to_owned(), hidden: true, ..Item::default() };
    world.apply_items(&[(100, hidden)]);
    let nobody = Hydrated::default();
    for tier in [Tier::Session, Tier::Trending, Tier::Static] {
        let question = question(RecommendationsRequest::default(), Want::Recommend);
        let computed = compute(&world, &question, &nobody, (tier, false));
        assert!(!ids(&computed).contains(&"d"), "{tier:?}");
        let resort = last_resort(&world, &question, &nobody, tier);
        assert!(!ids(&resort).contains(&"d"), "{tier:?}");
    }
}

#[test]
fn the_last_resort_is_the_trending_rung_made_beforehand() {
    let (world, _) = world();
    let request = RecommendationsRequest { k: Some(3), ..RecommendationsRequest::default() };
    let question = question(request, Want::Recommend);
    let nobody = Hydrated::default();
    let computed = compute(&world, &question, &nobody, (Tier::Trending, false));
    let resort = last_resort(&world, &question, &nobody, Tier::Trending);
    assert_eq!(ids(&computed), ids(&resort));
    assert_eq!(ids(&resort)[0], "d");
    assert_eq!(resort.items.iter().map(|item| item.rank).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn the_last_resort_honours_filters_excludes_and_the_callers_candidates() {
    let (world, _) = world();
    let nobody = Hydrated::default();
    let mut request = RecommendationsRequest {
        exclude_items: vec!["a".to_owned()],
        ..RecommendationsRequest::default()
    };
    request.filters.category_in = Some(vec!["tea".to_owned()]);
    let open = question(request.clone(), Want::Recommend);
    assert_eq!(
        ids(&last_resort(&world, &open, &nobody, Tier::Trending)),
        ["c", "b"],
        "c came later"
    );
    let given = ["e", "c", "a", "never"].map(str::to_owned).to_vec();
    let rank = question(request, Want::Rank(given));
    assert_eq!(ids(&last_resort(&world, &rank, &nobody, Tier::Trending)), ["c"]);
    let similar = question(RecommendationsRequest::default(), Want::Similar("d".to_owned()));
    assert!(!ids(&last_resort(&world, &similar, &nobody, Tier::Trending)).contains(&"d"));
}

#[test]
fn meta_has_the_fields_asked_for_and_explain_a_map() {
    let (world, _) = world();
    let request = RecommendationsRequest {
        k: Some(1),
        fields: vec!["title".to_owned(), "price".to_owned(), "colour".to_owned()],
        explain: true,
        ..RecommendationsRequest::default()
    };
    let question = question(request, Want::Trending);
    let computed = compute(&world, &question, &Hydrated::default(), (Tier::Trending, false));
    let meta = computed.items[0].meta.as_ref().unwrap();
    assert_eq!(meta["title"], "item d");
    assert_eq!(meta["price"], 2.5);
    assert!(!meta.contains_key("colour"));
    assert!(computed.items[0].explain.is_some());
}

#[test]
fn all_candidates_are_logged_when_wanted() {
    let (world, _) = world();
    let request = RecommendationsRequest { k: Some(2), ..RecommendationsRequest::default() };
    let question = question(request, Want::Rank(["a", "b", "c", "d"].map(str::to_owned).to_vec()));
    let nobody = Hydrated::default();
    let shown = compute(&world, &question, &nobody, (Tier::Trending, false));
    let all = compute(&world, &question, &nobody, (Tier::Trending, true));
    assert_eq!(shown.candidates.iter().map(|one| one.rank).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(all.candidates.iter().map(|one| one.rank).collect::<Vec<_>>(), [1, 2, 0, 0]);
    assert_eq!(ids(&all), ids(&shown));
}

#[test]
fn the_ladder_below_ends_at_static() {
    let mut tier = Tier::Full;
    let mut passed = vec![tier];
    while tier != Tier::Static {
        tier = below(tier);
        passed.push(tier);
    }
    assert_eq!(passed, [Tier::Full, Tier::Session, Tier::Trending, Tier::Static]);
}
