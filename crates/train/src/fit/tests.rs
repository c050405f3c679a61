//! Plans, births, slates and a whole fit on a small world.

use std::collections::HashMap;

use upnext_common::item::ItemHash;

use super::births::Births;
use super::*;
use crate::dataset::{Row, Words, read_events};

const DAY_MS: i64 = 86_400_000;

/// Sessions that walk through rings of items: `i0 → i1 → …`, one a minute of each day.
fn rows(days: i64, sessions_per_day: i64) -> Vec<Row> {
    let mut text = "ts_ms,user_id,session_id,item_id,event_type\n".to_owned();
    for day in 0..days {
        for nth in 0..sessions_per_day {
            let start = day * DAY_MS + nth * 60_000;
            for step in 0..4 {
                let item = (nth * 7 + step) % 20;
                text.push_str(&format!("{},,s{day}-{nth},i{item},view\n", start + step * 1_000));
            }
        }
    }
    read(&text)
}

fn read(text: &str) -> Vec<Row> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.csv");
    std::fs::write(&path, text).unwrap();
    let mut rows =
        read_events(&path, &Words::default()).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    rows.sort_by_key(|row| row.record_ms);
    rows
}

fn items(count: usize) -> Vec<Item> {
    let item = |nth: usize| Item {
        item_id: format!("i{nth}"),
        category: Some(format!("c{}", nth % 4)),
        ..Item::default()
    };
    (0..count).map(item).collect()
}

#[track_caller]
fn check_plan(rows: &[Row], config: &Train, expected_days: &[(i64, i64)]) {
    let plan = Plan::new(rows, config).unwrap();
    let windows = plan.windows.iter().map(|w| (w.start_ms / DAY_MS, w.end_ms / DAY_MS));
    assert_eq!(windows.collect::<Vec<_>>(), expected_days);
    assert_eq!(plan.windows.last().unwrap().end_ms, plan.end_ms);
}

#[test]
fn the_newest_two_windows_of_a_long_history_become_slates() {
    let config = Train { ranker_window_days: 3, ..Train::default() };
    check_plan(&rows(20, 1), &config, &[(13, 16), (16, 19)]);
    check_plan(&rows(8, 1), &config, &[(4, 7)]);
    check_plan(&rows(3, 4), &config, &[(2, 2)]);
    let hurried = Train { seconds_max: 20, ..config };
    check_plan(&rows(20, 1), &hurried, &[(16, 19)]);
    assert!(Plan::new(&[], &config).is_none());
}

#[test]
fn a_short_history_gives_its_newest_third_of_events() {
    let rows = rows(1, 100);
    let plan = Plan::new(&rows, &Train::default()).unwrap();
    let before = rows.iter().filter(|row| row.record_ms < plan.windows[0].start_ms).count();
    assert_eq!(before * 10, rows.len() * 7);
    let inside = rows.iter().filter(|row| plan.window_at(row.record_ms).is_some()).count();
    assert_eq!(before + inside, rows.len());
}

#[test]
fn about_a_fifth_of_the_items_is_born_within_the_windows() {
    let mut text = "ts_ms,user_id,session_id,item_id,event_type\n".to_owned();
    for nth in 0..500 {
        text.push_str(&format!("{},,s,item{nth},view\n", nth * 3_600_000));
    }
    let rows = read(&text);
    let config = Train { ranker_window_days: 5, ..Train::default() };
    let plan = Plan::new(&rows, &config).unwrap();
    let births = Births::simulated(&rows, &plan, 7);
    let start_ms = plan.windows[0].start_ms;
    let unborn = births.unborn(start_ms - 1).collect::<Vec<_>>();
    assert!((60..140).contains(&unborn.len()), "{}", unborn.len());
    assert_eq!(births.unborn(plan.end_ms).count(), 0);
    let second = plan.windows[1];
    for item in unborn {
        assert!(!births.exists(item, start_ms - 1));
        assert!(births.exists(item, plan.end_ms));
        assert!(!births.is_known_to_tower(item, &plan.windows[0]));
        let is_born_before = births.exists(item, second.start_ms - 1);
        assert_eq!(births.is_known_to_tower(item, &second), is_born_before);
    }
    assert!(Births::none().exists(ItemHash::of("item1"), 0));
}

/// Slates of these rows without towers, all moments asked.
fn slates_of(rows: &[Row], items: &[Item]) -> ranker::Slates {
    let input = Input { rows, items };
    let config = Train { ranker_window_days: 2, ..Train::default() };
    let plan = Plan::new(rows, &config).unwrap();
    let corpus = Corpus::new(&input);
    let empty = Arc::new(corpus.artifact(About::default(), None, None, Vec::new()));
    let towers = vec![empty; plan.windows.len()];
    let clock = Clock::manual(0);
    slates::both(
        &Material { input: &input, plan: &plan, towers: &towers, seed: 7, clock: &clock },
        &mut |_| {},
    )
}

#[test]
fn every_interaction_of_the_windows_becomes_a_slate_with_what_was_taken_first() {
    let rows = rows(8, 10);
    let slates = slates_of(&rows, &items(20));
    // 4 days of 10 sessions of 4 events, once as it was and once with births (which lose a few).
    assert!((161..=320).contains(&slates.len()), "{}", slates.len());
    assert!(slates.targets.iter().all(|targets| targets == &[0]));
    assert!(slates.rows.iter().all(|value| value.is_finite()));
    let no_context = row::Column::WithoutContext.at();
    let opening = slates.rows.chunks(row::WIDTH).filter(|row| row[no_context] > 0.5).count();
    assert!(opening > 0, "sessions' first events are learned from too");
}

#[test]
fn the_same_seed_gives_the_same_slates() {
    let rows = rows(8, 5);
    assert_eq!(slates_of(&rows, &items(20)), slates_of(&rows, &items(20)));
}

#[test]
fn a_basket_is_one_slate_for_all_of_it_and_one_for_its_second_half() {
    let mut text = "ts_ms,user_id,session_id,item_id,event_type\n".to_owned();
    for day in 0..8 {
        for user in 0..3 {
            for item in 0..6 {
                let time_ms = day * DAY_MS + user * 1_000;
                text.push_str(&format!("{time_ms},u{user},b{day}-{user},i{item},purchase\n"));
            }
        }
    }
    let slates = slates_of(&read(&text), &items(12));
    let mut sizes = HashMap::<usize, usize>::new();
    for targets in &slates.targets {
        *sizes.entry(targets.len()).or_default() += 1;
    }
    assert!(sizes[&6] >= 12 && sizes[&3] >= 12, "{sizes:?}");
}

#[test]
fn nothing_that_happens_at_the_moment_itself_is_visible_to_its_slate() {
    // One session: what it took at the instant is unknown to everybody before it.
    let mut text = "ts_ms,user_id,session_id,item_id,event_type\n".to_owned();
    for day in 0..8 {
        text.push_str(&format!("{},,s{day},i{day},view\n", day * DAY_MS));
    }
    let slates = slates_of(&read(&text), &items(10));
    let ever = row::Column::ShareEver.at();
    for slate in 0..slates.len() {
        let taken = &slates.rows[slates.starts[slate] * row::WIDTH..][..row::WIDTH];
        let count = f64::from(taken[ever]).exp();
        assert!(count < 0.13, "an item nobody took before has half a count: {count}");
    }
}

#[test]
fn a_whole_fit_gives_an_artifact_that_answers_on_the_full_tier() {
    let rows = rows(10, 20);
    let items = items(20);
    let config = Train {
        ranker_window_days: 3,
        tower_epochs: 1,
        tower_dim: 8,
        ranker_epochs: 1,
        ..Train::default()
    };
    let clock = Clock::manual(1_000);
    let mut stages = Vec::new();
    let input = Input { rows: &rows, items: &items };
    let artifact = fit(&input, &config, &clock, &mut |stage| stages.push(stage)).unwrap();
    assert_eq!(artifact.about.feature_spec_hash, row::spec_hash());
    assert_eq!(artifact.about.data.events, 800);
    assert_eq!(artifact.static_list.len(), 20);
    assert!(artifact.about.metrics["slates"] > 100.0);
    assert!(stages.iter().any(|stage| matches!(stage, Stage::Ranker { .. })));
    let mut replay = LiveReplay::new(&items);
    rows.iter().for_each(|row| replay.apply(&row.event, row.record_ms));
    replay.refresh();
    let prepared = Prepared::new(Arc::new(artifact), replay.live());
    let snapshot = Snapshot { live: replay.live(), prepared: &prepared };
    let seeds = vec![ItemHash::of("i3")];
    let query = Query { seeds, ..Query::new(11 * DAY_MS, 10) };
    let picked = answer(&query, None, &snapshot, Tier::Full).unwrap();
    assert_eq!(picked.items.len(), 10);
    assert!(picked.items.iter().all(|item| snapshot.live.id(item.index) != "i3"));
}

#[test]
fn no_events_are_refused_and_too_few_give_an_artifact_without_models() {
    let input = Input { rows: &[], items: &[] };
    let clock = Clock::manual(0);
    let refused = fit(&input, &Train::default(), &clock, &mut |_| {}).unwrap_err();
    assert!(matches!(refused, FitError::NoEvents));
    assert_eq!(refused.fault(), Fault::CALLER);
    let rows = read("ts_ms,user_id,session_id,item_id,event_type\n1,u,s,a,view\n");
    let input = Input { rows: &rows, items: &[] };
    let artifact = fit(&input, &Train::default(), &clock, &mut |_| {}).unwrap();
    assert!(artifact.tower.is_none() && artifact.ranker.is_none());
    assert_eq!(artifact.static_list, ["a"]);
}
