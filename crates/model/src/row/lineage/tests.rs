//! Every field of every event and item is changed, and the table says truly what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use upnext_common::event::{Device, Event, EventBody, EventType};
use upnext_common::item::{Item, stable_hash};
use upnext_state::replay::OwnedSubject;
use upnext_state::{Replay, UserState};

use super::super::{Ask, Context, WIDTH, build};
use super::*;
use crate::live::{LiveItems, attribute_texts};

const DAY_MS: i64 = 86_400_000;
const NOW_MS: i64 = 40 * DAY_MS;
const FIRST_MS: i64 = NOW_MS - 1_500_000;
/// More than any memory of events holds, so that what comes too late is dropped.
const SEARCHES: i64 = 66;

/// The log of one subject, and whether it is known by name.
#[derive(Clone)]
struct World {
    is_known: bool,
    events: Vec<(Event, i64)>,
}

impl World {
    fn new(is_known: bool) -> Self {
        Self { is_known, events: Vec::new() }
    }

    fn add(&mut self, kind: EventType, item: &str, session: &str) {
        let at = i64::try_from(self.events.len()).unwrap();
        let time_ms = FIRST_MS + 10_000 * at;
        let name = Some("me".to_owned());
        let (user_id, anonymous_id) = if self.is_known { (name, None) } else { (None, name) };
        let event = Event {
            event_id: format!("e{at}"),
            event_time_ms: time_ms,
            user_id,
            anonymous_id,
            session_id: session.to_owned(),
            surface: "home".to_owned(),
            decision_id: None,
            device: Device::Unknown,
            props: BTreeMap::new(),
            body: body(kind, item),
        };
        self.events.push((event, time_ms));
    }

    /// The same event once more, said to have happened a little earlier.
    fn repeat(&mut self, at: usize) {
        let (mut event, _) = self.events[at].clone();
        event.event_time_ms -= 15_000;
        let record_ms = self.events.last().map_or(FIRST_MS, |(_, ms)| *ms) + 10_000;
        self.events.push((event, record_ms));
    }
}

fn body(kind: EventType, item: &str) -> EventBody {
    let item_id = item.to_owned();
    match kind {
        EventType::ItemViewed => EventBody::ItemViewed { item_id },
        EventType::ItemClicked => EventBody::ItemClicked { item_id },
        EventType::ItemDwelled => EventBody::ItemDwelled { item_id, dwell_ms: 5 },
        EventType::ItemLiked => EventBody::ItemLiked { item_id },
        EventType::ItemAddedToCart => EventBody::ItemAddedToCart { item_id },
        EventType::ItemPurchased => EventBody::ItemPurchased {
            item_id,
            price_minor: 100,
            currency: "EUR".to_owned(),
            quantity: 1,
        },
        EventType::ItemHidden => EventBody::ItemHidden { item_id },
        EventType::ItemsShown => EventBody::ItemsShown { item_ids: vec![item_id] },
        EventType::Searched => EventBody::Searched { query: "tea".to_owned() },
        EventType::UserErased => EventBody::UserErased,
    }
}

/// Logs in which an event of each type decides something, of known and of anonymous subjects.
fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for is_known in [true, false] {
        for kind in EventType::ALL.into_iter().filter(|kind| *kind != EventType::UserErased) {
            let alone = full(is_known, &[(kind, "x", "s2")]);
            let mut twice = alone.clone();
            twice.repeat(twice.events.len() - 1);
            let mut mixed = full(
                is_known,
                &[
                    (EventType::ItemViewed, "b", "s1"),
                    (kind, "x", "s1"),
                    (EventType::ItemViewed, "a", "s2"),
                    (EventType::ItemViewed, "b", "s2"),
                    (kind, "x", "s2"),
                    (EventType::ItemViewed, "a", "s2"),
                    (kind, "y", "s2"),
                ],
            );
            let plain = mixed.clone();
            mixed.repeat(mixed.events.len() - 1);
            let second = full(is_known, &[(EventType::ItemViewed, "b", "s1"), (kind, "x", "s2")]);
            worlds.extend([alone, twice, plain, mixed, second]);
            worlds.extend(erased(is_known, kind));
        }
    }
    worlds
}

/// A memory full of searches, then what matters.
fn full(is_known: bool, events: &[(EventType, &str, &str)]) -> World {
    let mut world = World::new(is_known);
    (0..SEARCHES).for_each(|_| world.add(EventType::Searched, "", "s0"));
    events.iter().for_each(|(kind, item, session)| world.add(*kind, item, session));
    world
}

/// Events before an erasure; and the id of one of them again after it.
fn erased(is_known: bool, kind: EventType) -> [World; 3] {
    let mut once = World::new(is_known);
    once.add(kind, "x", "s1");
    once.add(EventType::UserErased, "", "s2");
    let mut forgotten = World::new(is_known);
    let before = [
        (kind, "x", "s1"),
        (kind, "x", "s2"),
        (EventType::ItemViewed, "a", "s2"),
        (kind, "x", "s2"),
    ];
    before.iter().for_each(|(kind, item, session)| forgotten.add(*kind, item, session));
    forgotten.add(EventType::UserErased, "", "s2");
    let mut again = forgotten.clone();
    again.repeat(0);
    again.add(EventType::ItemViewed, "b", "s2");
    again.add(kind, "y", "s2");
    again.add(EventType::ItemViewed, "a", "s2");
    [once, forgotten, again]
}

fn catalogue() -> Vec<Item> {
    let item = |id: &str, category: &str, price| Item {
        item_id: id.to_owned(),
        title: Some(format!("Title {id}")),
        category: Some(category.to_owned()),
        price: Some(price),
        attributes: BTreeMap::from([("colour".to_owned(), "blue".to_owned())]),
        ..Item::default()
    };
    vec![
        item("a", "tea", 10.0),
        item("b", "tea", 20.0),
        item("c", "mug", 10.0),
        item("d", "mug", 40.0),
        item("x", "tea", 15.0),
        item("y", "pot", 30.0),
    ]
}

/// What every feature reads as: numbers, or texts written out.
fn values(
    events: &[(Event, i64)],
    items: &[Item],
    is_known: bool,
) -> BTreeMap<&'static str, String> {
    let mut live = LiveItems::new();
    for item in items {
        live.put_item(item).unwrap();
    }
    let mut replay = Replay::new();
    for (event, record_ms) in events {
        for hash in replay.apply(event, *record_ms).touched() {
            live.put_state(hash, &replay.items[&hash]).unwrap();
        }
    }
    let name = "me".to_owned();
    let subject = if is_known { OwnedSubject::User(name) } else { OwnedSubject::Anonymous(name) };
    let user = replay.users.get(&subject).filter(|user| !user.is_empty());
    let mut found = of_columns(&live, user);
    found.extend(of_served(&live, user, items));
    found
}

fn of_columns(live: &LiveItems, user: Option<&UserState>) -> BTreeMap<&'static str, String> {
    let moment = live.at(NOW_MS);
    let slate: Vec<u32> =
        ["a", "b", "c", "d", "x", "y"].iter().filter_map(|id| live.find(id)).collect();
    let mut found: BTreeMap<&'static str, String> = BTreeMap::new();
    for session in [Some(stable_hash(b"s2")), None] {
        let ask = Ask { now_ms: NOW_MS, session, seeds: &[] };
        let context = Context::new(live, user, &ask);
        let rows = build(&moment, &context, &slate, None);
        for column in Column::ALL.into_iter().filter(|column| *column != Column::Tower) {
            let values = rows.chunks_exact(WIDTH).map(|row| format!("{:.4}", row[column.at()]));
            let values: Vec<String> = values.collect();
            found.entry(column.name()).or_default().push_str(&values.join(" "));
        }
        // The tower sees the items of the context, and every item as the texts that describe it.
        let items = context.items.iter().map(|item| live.id(*item)).collect::<Vec<_>>();
        found.entry(Column::Tower.name()).or_default().push_str(&format!("{items:?}"));
    }
    let texts = slate.iter().filter_map(|item| live.item(*item).record());
    let texts: Vec<_> = texts.map(|item| (item.item_id.clone(), attribute_texts(item))).collect();
    found.entry(Column::Tower.name()).or_default().push_str(&format!("{texts:?}"));
    found
}

fn of_served(
    live: &LiveItems,
    user: Option<&UserState>,
    items: &[Item],
) -> BTreeMap<&'static str, String> {
    let nobody = UserState::new();
    let read = |of: &dyn Fn(&UserState) -> String| of(user.unwrap_or(&nobody));
    let top = |user: &UserState| {
        let of = |top: upnext_state::TopItem| (top.item, format!("{:.4}", top.weight), top.last_ms);
        user.top_items(NOW_MS).into_iter().map(of).collect::<Vec<_>>()
    };
    let category = |item| {
        live.index_of(item)
            .and_then(|index| live.item(index).record().and_then(|record| record.category.clone()))
    };
    let tastes = |user: &UserState| {
        top(user).into_iter().map(|(item, weight, _)| (category(item), weight)).collect::<Vec<_>>()
    };
    let recent = |user: &UserState| {
        let seen = user.recent().iter().map(|event| (event.kind, event.item, event.time_ms));
        seen.collect::<Vec<_>>()
    };
    let eligible = live.iter().map(|(_, item)| (item.id().to_owned(), item.is_servable()));
    let eligible: BTreeSet<_> =
        eligible.filter(|(id, _)| items.iter().any(|item| item.item_id == *id)).collect();
    BTreeMap::from([
        ("windows", read(&|user| format!("{:?}", user.windows(NOW_MS)))),
        ("recent", read(&|user| format!("{:?}", recent(user)))),
        ("top_items", read(&|user| format!("{:?}", top(user)))),
        ("tastes", read(&|user| format!("{:?}", tastes(user)))),
        ("hidden_items", read(&|user| format!("{:?}", user.hidden()))),
        ("eligible", format!("{eligible:?}")),
    ])
}

/// Other values of one field of an event; none where it has no such field.
fn changed(events: &[(Event, i64)], at: usize, field: &str) -> Vec<Event> {
    let event = &events[at].0;
    let earlier = events[..at].iter().rev().map(|(event, _)| event.event_id.clone());
    let earlier = earlier.into_iter().find(|id| *id != event.event_id);
    let with = |change: &dyn Fn(&mut Event)| {
        let mut other = event.clone();
        change(&mut other);
        vec![other]
    };
    match field {
        "event_id" => {
            earlier.map_or_else(Vec::new, |id| with(&|event| event.event_id.clone_from(&id)))
        }
        "event_time" => [3 * DAY_MS, 45_000]
            .into_iter()
            .flat_map(|back| with(&move |event| event.event_time_ms -= back))
            .collect(),
        "user_id" => with(&|event| event.user_id = Some("another".to_owned())),
        "anonymous_id" => with(&|event| event.anonymous_id = Some("another".to_owned())),
        "session_id" => ["s1", "s9"]
            .into_iter()
            .flat_map(|session| with(&move |event| session.clone_into(&mut event.session_id)))
            .collect(),
        "surface" => with(&|event| "item".clone_into(&mut event.surface)),
        "decision_id" => with(&|event| event.decision_id = Some("d".to_owned())),
        "device" => with(&|event| event.device = Device::Tv),
        "props" => with(&|event| event.props = BTreeMap::from([("k".to_owned(), "v".to_owned())])),
        _ => ["d", "a"]
            .into_iter()
            .filter_map(|item| changed_body(&event.body, field, item))
            .map(|body| Event { body, ..event.clone() })
            .collect(),
    }
}

fn changed_body(body: &EventBody, field: &str, other: &str) -> Option<EventBody> {
    let mut body = body.clone();
    match (field, &mut body) {
        (
            "item_id",
            EventBody::ItemViewed { item_id }
            | EventBody::ItemClicked { item_id }
            | EventBody::ItemDwelled { item_id, .. }
            | EventBody::ItemLiked { item_id }
            | EventBody::ItemAddedToCart { item_id }
            | EventBody::ItemPurchased { item_id, .. }
            | EventBody::ItemHidden { item_id },
        ) => other.clone_into(item_id),
        ("item_ids", EventBody::ItemsShown { item_ids }) => *item_ids = vec![other.to_owned()],
        ("dwell_ms", EventBody::ItemDwelled { dwell_ms, .. }) => *dwell_ms *= 1_000,
        ("price_minor", EventBody::ItemPurchased { price_minor, .. }) => *price_minor *= 100,
        ("currency", EventBody::ItemPurchased { currency, .. }) => "USD".clone_into(currency),
        ("quantity", EventBody::ItemPurchased { quantity, .. }) => *quantity += 1,
        ("query", EventBody::Searched { query }) => "mug".clone_into(query),
        _ => return None,
    }
    Some(body)
}

const EVENT_FIELDS: [&str; 16] = [
    "event_id",
    "event_time",
    "user_id",
    "anonymous_id",
    "session_id",
    "surface",
    "decision_id",
    "device",
    "props",
    "item_id",
    "item_ids",
    "dwell_ms",
    "price_minor",
    "currency",
    "quantity",
    "query",
];

/// What really follows: the features that each field changes, somewhere.
fn observed() -> BTreeSet<(&'static str, Read)> {
    let mut found = BTreeSet::new();
    let items = catalogue();
    for world in worlds() {
        let before = values(&world.events, &items, world.is_known);
        // Of the searches that only fill the memory, the last one stands for all.
        let first = usize::try_from(SEARCHES).unwrap() - 1;
        let first = if world.events.len() > first { first } else { 0 };
        for at in first..world.events.len() {
            for field in EVENT_FIELDS {
                for event in changed(&world.events, at, field) {
                    let mut events = world.events.clone();
                    let read = (event.event_type().name(), field);
                    events[at].0 = event;
                    let after = values(&events, &items, world.is_known);
                    let differs = before.keys().filter(|name| before[*name] != after[*name]);
                    found.extend(differs.map(|name| (*name, read)));
                }
            }
        }
    }
    found.extend(observed_of_items());
    found
}

type Change = fn(&mut Item);

fn observed_of_items() -> BTreeSet<(&'static str, Read)> {
    let changes: [(&'static str, Change); 7] = [
        ("item_id", |item| "z".clone_into(&mut item.item_id)),
        ("title", |item| item.title = Some("Another".to_owned())),
        ("category", |item| item.category = Some("cup".to_owned())),
        ("price", |item| item.price = Some(99.0)),
        ("attributes", |item| item.attributes.clear()),
        ("hidden", |item| item.hidden = true),
        ("deleted", |item| item.deleted = true),
    ];
    let mut found = BTreeSet::new();
    for world in worlds() {
        let before = values(&world.events, &catalogue(), world.is_known);
        for (field, change) in changes {
            for at in 0..catalogue().len() {
                let mut items = catalogue();
                change(&mut items[at]);
                let after = values(&world.events, &items, world.is_known);
                let differs = before.keys().filter(|name| before[*name] != after[*name]);
                found.extend(differs.map(|name| (*name, ("Item", field))));
            }
        }
    }
    found
}

#[test]
fn features_change_with_the_fields_they_declare_and_with_no_others() {
    let observed = observed();
    let declared: BTreeSet<(&'static str, Read)> = features()
        .into_iter()
        .flat_map(|feature| feature.reads().into_iter().map(move |read| (feature.name, read)))
        .collect();
    let unused: Vec<_> = declared.difference(&observed).collect();
    let unsaid: Vec<_> = observed.difference(&declared).collect();
    assert!(
        unused.is_empty() && unsaid.is_empty(),
        "declared and without effect: {unused:?}\nwith an effect and not declared: {unsaid:?}"
    );
}

#[test]
fn every_feature_has_its_own_name_and_the_columns_are_all_there() {
    let features = features();
    let names: BTreeSet<&str> = features.iter().map(|feature| feature.name).collect();
    assert_eq!(names.len(), features.len());
    let columns: Vec<Column> = features.iter().filter_map(|feature| feature.column).collect();
    assert_eq!(columns, Column::ALL);
}
