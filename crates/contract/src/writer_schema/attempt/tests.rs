//! Whole values, broken ones, and values that would cost too much.

use serde_json::json;

use super::*;

const SCHEMA: &str = r#"{"type":"record","name":"E","namespace":"a.b","fields":[
    {"name":"id","type":"string"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"kind","type":{"type":"enum","name":"K","symbols":["x","y"]}},
    {"name":"again","type":"K"},
    {"name":"user","type":["null","string"],"default":null},
    {"name":"props","type":{"type":"map","values":"string"}},
    {"name":"list","type":{"type":"array","items":"int"}}]}"#;

fn schema() -> WriterSchema {
    WriterSchema::parse(1, SCHEMA, &[]).unwrap()
}

/// id "ab", at 3, kind y, again x, user "u", props {k: v}, list [1, -1].
const WHOLE: [u8; 21] =
    [4, b'a', b'b', 6, 2, 0, 2, 2, b'u', 2, 2, b'k', 2, b'v', 0, 4, 2, 1, 0, 0, 0];

#[track_caller]
fn check(content: &[u8], expected: &Value, broken: Option<(&str, usize, &str)>) {
    let attempt = schema().attempt(content);
    assert_eq!(attempt.value, *expected);
    let found = attempt.broken.as_ref();
    let found = found.map(|broken| (broken.pointer.as_str(), broken.byte, broken.why.as_str()));
    assert_eq!(found, broken);
}

#[test]
fn a_whole_value_is_shown_whole() {
    let expected = json!({"id": "ab", "at": 3, "kind": "y", "again": "x", "user": "u",
        "props": {"k": "v"}, "list": [1, -1]});
    check(&WHOLE[..19], &expected, None);
    check(&WHOLE, &expected, Some(("", 19, "2 bytes are left after the value")));
}

#[test]
fn a_broken_value_is_shown_up_to_where_it_broke() {
    let so_far = json!({"id": "ab", "at": 3, "kind": null});
    check(&[4, b'a', b'b', 6, 8], &so_far, Some(("/kind", 5, "symbol 4 of 2 symbols")));
    let so_far = json!({"id": "ab", "at": null});
    check(&[4, b'a', b'b'], &so_far, Some(("/at", 3, "1 bytes are needed and 0 are left")));
    check(&[1], &json!({"id": null}), Some(("/id", 0, "a length of -1")));
    check(&[2, 0xff], &json!({"id": null}), Some(("/id", 0, "a text that is not UTF-8")));
    let so_far = json!({"id": "", "at": 0, "kind": "x", "again": "x", "user": null});
    let union = [0, 0, 0, 0, 4];
    check(&union, &so_far, Some(("/user", 5, "branch 2 of a union of 2")));
    let list = [&WHOLE[..15], &[2, 0x80]].concat();
    let broken = schema().attempt(&list).broken.unwrap();
    assert_eq!(broken.pointer, "/list/0");
}

#[test]
fn a_hostile_value_costs_no_more_than_is_shown() {
    let nulls = r#"{"type":"array","items":{"type":"array","items":"null"}}"#;
    // Which the lint would refuse.
    let nulls = apache_avro::schema::Schema::parse_str(nulls).unwrap();
    let schema = WriterSchema { schema: nulls, ..schema() };
    // A block that claims some hundred million nulls.
    let attempt = schema.attempt(&[2, 0xfe, 0xff, 0xff, 0x7f, 0, 0]);
    assert!(attempt.broken.unwrap().why.contains("to show"));
    assert!(attempt.value[0].as_array().unwrap().len() <= VALUES_MAX);
}
