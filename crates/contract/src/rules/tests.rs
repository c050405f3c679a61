//! Each rule on its own two examples.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upnext_common::event::{Event, EventType};

use super::*;
use crate::json::{Defaults, read_event, read_item, write_event};
use crate::records::tests::sample;

/// An example as JSON; `{repeat, times}` and `{entries}` stand for long texts and large maps.
fn example(value: &toml::Value) -> Value {
    if let Some(table) = value.as_table() {
        if let (Some(text), Some(times)) = (table.get("repeat"), table.get("times")) {
            let times = usize::try_from(times.as_integer().unwrap()).unwrap();
            return text.as_str().unwrap().repeat(times).into();
        }
        if let Some(entries) = table.get("entries") {
            let entries = entries.as_integer().unwrap();
            return (0..entries).map(|index| (format!("k{index}"), json!("v"))).collect();
        }
    }
    serde_json::to_value(value).unwrap()
}

/// Puts an example where the rule looks.
fn place(rule: &Rule, object: &mut Value, example: Value) {
    let name = rule.field.pointer().trim_start_matches('/');
    object[name] = match rule.field {
        Field::Event(EventField::PropsKeys) | Field::Item(ItemField::AttributesKeys) => {
            json!({example.as_str().unwrap(): "v"})
        }
        Field::Event(EventField::PropsValues) | Field::Item(ItemField::AttributesValues) => {
            json!({"k": example})
        }
        Field::Event(EventField::ItemIdsEach) => json!([example]),
        Field::Event(_) | Field::Item(_) => example,
    };
}

/// The rules broken by an event or item that has the example: rejecting and warning ones.
fn broken(rules: &Rules, rule: &Rule, value: &toml::Value) -> Vec<String> {
    let Field::Event(field) = rule.field else {
        let mut object = json!({"item_id": "sku-1"});
        place(rule, &mut object, example(value));
        let found = rules.check_item(&read_item(&object).unwrap());
        return found.into_iter().map(|rejection| rejection.detail).collect();
    };
    let kind = EventType::ALL.into_iter().find(|kind| field.is_of(*kind)).unwrap();
    let mut object = write_event(&sample(kind));
    place(rule, &mut object, example(value));
    let event = read_event(&object, Defaults { now_ms: 0 }).unwrap();
    let mut warned = Vec::new();
    let found = rules.check_event(kind, &Parts::of(&event), |place| warned.push(place));
    let warned = warned.into_iter().map(|place| format!("(rule {})", rules.all[place].id));
    found.into_iter().map(|rejection| rejection.detail).chain(warned).collect()
}

#[test]
fn every_rule_passes_and_fails_on_its_examples() {
    let rules = Rules::embedded();
    for rule in rules.all() {
        assert_eq!(broken(rules, rule, &rule.passes), Vec::<String>::new(), "{}", rule.id);
        let found = broken(rules, rule, &rule.fails);
        let name = format!("(rule {})", rule.id);
        assert!(found.iter().any(|detail| detail.ends_with(&name)), "{}: {found:?}", rule.id);
    }
}

#[test]
fn valid_events_of_all_types_break_nothing() {
    for kind in EventType::ALL {
        let event = sample(kind);
        let parts = Parts::of(&event);
        let rejection = Rules::embedded().check_event(kind, &parts, |place| panic!("{place}"));
        assert_eq!(rejection, None);
    }
}

#[test]
fn a_rejection_points_at_the_entry_and_names_the_rule() {
    let props = BTreeMap::from([("a/b".to_owned(), "v".repeat(1_025))]);
    let event = Event { props, ..sample(EventType::ItemViewed) };
    let parts = Parts::of(&event);
    let rejection = Rules::embedded().check_event(EventType::ItemViewed, &parts, |_| {}).unwrap();
    assert_eq!(rejection.pointer, "/props/a~1b");
    insta::assert_snapshot!(rejection, @"length at `/props/a~1b`: has 1025 bytes, allowed are 0 to 1024 (rule props.values.length)");
}

const WHOLE: &str = r#"
[[rule]]
id = "x"
field = "item_id"
severity = "reject"
length = { min = 1, max = 2 }
passes = "a"
fails = ""
"#;

#[test]
fn a_rule_that_is_not_whole_is_not_taken() {
    #[track_caller]
    fn check(files: &[&str], part: &str) {
        let error = Rules::parse(files).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(Rules::parse(&[WHOLE]).unwrap().all().len(), 1);
    for (line, part) in [
        ("id = \"x\"", "missing field `id`"),
        ("field = \"item_id\"", "missing field `field`"),
        ("severity = \"reject\"", "missing field `severity`"),
        ("passes = \"a\"", "missing field `passes`"),
        ("fails = \"\"", "missing field `fails`"),
        ("length = { min = 1, max = 2 }", "has 0 of range, length, format and one_of"),
    ] {
        check(&[&WHOLE.replace(line, "")], part);
    }
    check(&[&WHOLE.replace("length", "lenght")], "lenght");
    check(&[&WHOLE.replace("id = \"x\"", "id = \"\"")], "empty id");
    check(&[&format!("{WHOLE}format = \"printable\"\n")], "has 2 of");
    check(&[&WHOLE.replace("reject", "fatal")], "fatal");
    check(&[WHOLE, WHOLE], "`x` stands twice");
}
