//! Rows held against values computed by hand.

use std::collections::BTreeMap;

use upnext_common::event::{Device, Event, EventBody};
use upnext_common::item::{Item, ItemHash, stable_hash};
use upnext_state::{Replay, UserState};

use super::*;
use crate::live::LiveItems;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

struct World {
    replay: Replay,
    live: LiveItems,
}

impl World {
    fn new(events: &[(&str, &str, i64)]) -> Self {
        let mut live = LiveItems::new();
        for (id, category, price) in [("a", "tea", 10.0), ("b", "tea", 20.0), ("c", "mug", 10.0)] {
            let category = Some(category.to_owned());
            let (item_id, price) = (id.to_owned(), Some(price));
            live.put_item(&Item { item_id, category, price, ..Item::default() }).unwrap();
        }
        let mut replay = Replay::new();
        for (session, item, time_ms) in events {
            let event = view(session, item, *time_ms);
            for hash in replay.apply(&event, *time_ms).touched() {
                live.put_state(hash, &replay.items[&hash]).unwrap();
            }
        }
        Self { replay, live }
    }

    fn user(&self) -> Option<&UserState> {
        self.replay.users.values().next()
    }

    fn context(&self, session: Option<&str>, seeds: &[&str], now_ms: i64) -> Context {
        let seeds = seeds.iter().map(|id| ItemHash::of(id)).collect::<Vec<_>>();
        let session = session.map(|session| stable_hash(session.as_bytes()));
        Context::new(&self.live, self.user(), &Ask { now_ms, session, seeds: &seeds })
    }

    #[track_caller]
    fn check(&self, context: &Context, now_ms: i64, (item, column): (&str, Column), expected: f64) {
        let moment = self.live.at(now_ms);
        let rows = build(&moment, context, &[self.live.find(item).unwrap()], None);
        assert_eq!(rows.len(), WIDTH);
        let found = f64::from(rows[column.at()]);
        assert!((found - expected).abs() < 1e-5, "{}: {found} {expected}", column.name());
    }
}

fn view(session: &str, item: &str, time_ms: i64) -> Event {
    Event {
        event_id: format!("{session}-{item}-{time_ms}"),
        event_time_ms: time_ms,
        user_id: Some("u".to_owned()),
        anonymous_id: None,
        session_id: session.to_owned(),
        surface: "home".to_owned(),
        decision_id: None,
        device: Device::Unknown,
        props: BTreeMap::new(),
        body: EventBody::ItemViewed { item_id: item.to_owned() },
    }
}

#[test]
fn session_columns_speak_of_this_session() {
    let world = World::new(&[("s", "a", 0), ("s", "b", 10), ("s", "a", 20), ("s", "c", 30)]);
    let context = world.context(Some("s"), &[], 40);
    assert_eq!(context.items, [2, 0, 1, 0]);
    assert_eq!((context.is_session, context.in_view()), (true, Some(2)));
    let check = |item, column, expected| world.check(&context, 40, (item, column), expected);
    check("a", Column::TimesInSession, 2.0);
    check("a", Column::Recency, 1.0);
    check("b", Column::Recency, 0.5);
    check("c", Column::Recency, 0.0);
    check("a", Column::SameCategory, 0.0);
    check("a", Column::CategoryShare, 0.75);
    check("b", Column::PriceDistance, 2.0_f64.ln());
    check("b", Column::SessionLength, 4.0_f64.ln());
    check("b", Column::Distinct, 0.75);
    check("b", Column::WithoutContext, 0.0);
    check("b", Column::OlderContext, 0.0);
    check("a", Column::RepeatCount, 3.0_f64.ln());
    check("a", Column::RepeatSessions, 2.0_f64.ln());
    check("a", Column::RepeatShare, 0.5);
}

#[test]
fn pair_columns_are_the_chances_of_live_items() {
    let world = World::new(&[("s", "a", 0), ("s", "b", 10), ("s", "c", 20)]);
    let context = world.context(Some("s"), &[], 30);
    let moment = world.live.at(30);
    let check = |column, expected: f64| world.check(&context, 30, ("a", column), expected.ln());
    check(Column::NextLast, moment.chance(0, 2));
    check(Column::NextSecond, moment.chance(0, 1));
    check(Column::NextThird, moment.chance(0, 0));
    check(Column::Back, moment.chance(2, 0));
    let (one, two, three) = (moment.chance(0, 2), moment.chance(0, 1), moment.chance(0, 0));
    check(Column::NextSession, (one + 0.5 * two + 0.25 * three) / 1.75);
    check(Column::Share7d, 1.0 / 3.0 + 1e-4);
    check(Column::ShareEver, 1.5 / 4.0);
}

#[test]
fn a_new_session_goes_on_from_older_items_and_says_so() {
    let world = World::new(&[("s", "a", 0), ("s", "b", 10)]);
    let context = world.context(Some("t"), &[], 2 * DAY_MS);
    assert_eq!(context.items, [1, 0]);
    assert_eq!((context.is_session, context.in_view()), (false, None));
    let check = |column, expected| world.check(&context, 2 * DAY_MS, ("a", column), expected);
    check(Column::OlderContext, 1.0);
    check(Column::InPreviousSession, 1.0);
    check(Column::RepeatDays, 3.0_f64.ln());
    check(Column::Age, 3.0_f64.ln());
}

#[test]
fn without_a_session_the_newest_events_one_goes_on_while_it_is_fresh() {
    let world = World::new(&[("s", "a", 0), ("s", "b", 10)]);
    assert!(world.context(None, &[], 20 * 60_000).is_session);
    assert!(!world.context(None, &[], 2 * HOUR_MS).is_session);
}

#[test]
fn seeds_are_the_newest_events_of_the_session() {
    let world = World::new(&[("s", "a", 0)]);
    let context = world.context(Some("s"), &["b", "c", "unknown", "c"], 10);
    assert_eq!(context.items, [2, 1, 0]);
    let alone = world.context(Some("t"), &["b"], 10);
    assert_eq!((alone.items.as_slice(), alone.is_session), (&[1][..], true));
}

#[test]
fn nobody_known_falls_back_to_trending() {
    let world = World::new(&[("s", "a", 0)]);
    let ask = Ask { now_ms: 10, session: None, seeds: &[] };
    let context = Context::new(&world.live, None, &ask);
    let trend = world.live.at(10).trend()[0].ln();
    for column in [Column::NextLast, Column::NextSecond, Column::NextSession, Column::Back] {
        world.check(&context, 10, ("a", column), trend);
    }
    world.check(&context, 10, ("a", Column::WithoutContext), 1.0);
    world.check(&context, 10, ("a", Column::RepeatDays), 7.0);
    world.check(&context, 10, ("b", Column::ShareEver), (0.5_f64 / 2.0).ln());
}

#[test]
fn compared_columns_hold_rank_and_distance_within_the_slate() {
    let world = World::new(&[("s", "a", 0), ("t", "a", 5), ("t", "b", 10)]);
    let context = Context::default();
    let moment = world.live.at(20);
    let rows = build(&moment, &context, &[1, 0, 2], Some(&[1.0, 3.0, 2.0]));
    let names = names();
    let value = |row: usize, name: &str| {
        rows[row * WIDTH + names.iter().position(|known| known == name).unwrap()]
    };
    let bits = |name: &str| [0, 1, 2].map(|row| value(row, name).to_bits());
    let last = 3.0_f32.log2();
    assert_eq!(bits("share_7d_rank"), [1.0, 0.0, last].map(f32::to_bits));
    assert_eq!(bits("tower_rank"), [last, 0.0, 1.0].map(f32::to_bits));
    assert_eq!(value(1, "tower_behind").to_bits(), 0.0_f32.to_bits());
    assert!((value(0, "tower_behind") + 2.0).abs() < 1e-6);
    let all: f32 = [0, 1, 2].map(|row| value(row, "tower").exp()).iter().sum();
    assert!((all - 1.0).abs() < 1e-5);
}

#[test]
fn a_batch_of_rows_equals_single_rows_but_for_the_comparison() {
    let world = World::new(&[("s", "a", 0), ("s", "b", 10), ("s", "c", 20)]);
    let context = world.context(Some("s"), &[], 30);
    let moment = world.live.at(30);
    let all = build(&moment, &context, &[0, 1, 2], None);
    for item in 0..3_u32 {
        let one = build(&moment, &context, &[item], None);
        let start = usize::try_from(item).unwrap() * WIDTH;
        let plain = Column::ALL.len();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&all[start..start + plain]), bits(&one[..plain]));
    }
    assert!(build(&moment, &context, &[], None).is_empty());
}

#[test]
fn the_spec_names_every_value_once() {
    let mut names = names();
    assert_eq!(names.len(), WIDTH);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), WIDTH);
    for (at, column) in Column::ALL.into_iter().enumerate() {
        assert_eq!(column.at(), at);
    }
    assert_eq!(spec_hash().len(), 16);
}
