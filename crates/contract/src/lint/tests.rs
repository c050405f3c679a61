//! Each flaw the lint knows, and what it lets pass.

use serde_json::json;

use super::*;

#[track_caller]
fn check(schema: &Value, expected: Result<(), &str>) {
    let found = lint(schema, &[]).map_err(|flaw| flaw.to_string());
    match expected {
        Ok(()) => assert_eq!(found, Ok(())),
        Err(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{found:?}"),
    }
}

fn record(fields: &Value) -> Value {
    json!({"type": "record", "name": "R", "namespace": "n", "fields": fields})
}

fn of_type(kind: &Value) -> Value {
    record(&json!([{"name": "a", "type": kind}]))
}

#[test]
fn our_own_schemas_pass() {
    for (_, schema) in crate::schemas::all() {
        check(&serde_json::from_str(schema.text).unwrap(), Ok(()));
    }
}

#[test]
fn what_takes_no_bytes_is_refused_wherever_it_can_be_repeated() {
    check(&of_type(&json!("null")), Err("`/a` takes no bytes"));
    check(&of_type(&json!({"type": "array", "items": "null"})), Err("`/a/items`"));
    check(&of_type(&json!({"type": "map", "values": "null"})), Err("`/a/values`"));
    check(&of_type(&json!({"type": "fixed", "name": "F", "size": 0})), Err("`/a`"));
    let empty = json!({"type": "record", "name": "E", "fields": []});
    check(&of_type(&json!({"type": "array", "items": empty})), Err("`/a/items`"));
    check(&of_type(&json!({"type": "array", "items": ["null", "int"]})), Ok(()));
    check(&json!({"type": "record", "name": "E", "fields": []}), Ok(()));
}

#[test]
fn nesting_is_counted_through_references() {
    let nested = |levels: usize| {
        (0..levels).fold(json!("int"), |inner, _| json!({"type": "array", "items": inner}))
    };
    check(&of_type(&nested(DEPTH_MAX - 2)), Ok(()));
    check(&of_type(&nested(DEPTH_MAX)), Err("nested deeper"));
    // Ten levels by definition, reached again by name from a place seven levels down.
    let deep = json!({"type": "record", "name": "D", "fields": [{"name": "d", "type": nested(9)}]});
    let again = (0..7).fold(json!("n.D"), |inner, _| json!({"type": "array", "items": inner}));
    let schema = record(&json!([{"name": "a", "type": deep}, {"name": "b", "type": again}]));
    check(&schema, Err("nested deeper"));
}

#[test]
fn sizes_are_bounded() {
    let many = |count: usize| -> Value {
        (0..count).map(|index| json!({"name": format!("f{index}"), "type": "int"})).collect()
    };
    check(&record(&many(FIELDS_MAX)), Ok(()));
    check(&record(&many(FIELDS_MAX + 1)), Err("more than 500 fields"));
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    check(&record(&json!([{"name": long, "type": "int"}])), Err("more than 128 bytes"));
    check(&json!({"type": "record", "name": long, "fields": []}), Err("more than 128 bytes"));
    check(&of_type(&json!({"type": "enum", "name": "E", "symbols": [long]})), Err("128 bytes"));
    let symbols: Vec<String> = (0..=SYMBOLS_MAX).map(|index| format!("S{index}")).collect();
    check(&of_type(&json!({"type": "enum", "name": "E", "symbols": symbols})), Err("symbols"));
    check(&of_type(&json!({"type": "fixed", "name": "F", "size": 1_u64 << 40})), Err("fixed"));
}

#[test]
fn what_is_not_a_type_is_named() {
    check(&of_type(&json!("uint64")), Err("`/a` is not an Avro type"));
    check(&of_type(&json!(7)), Err("`/a` is not an Avro type"));
    check(&of_type(&json!({"items": "int"})), Err("not an Avro type"));
    check(&of_type(&json!({"type": "array"})), Err("not an Avro type"));
    check(&record(&json!([{"name": "a"}])), Err("not an Avro type"));
}

#[test]
fn names_are_found_in_their_namespace() {
    let inner = json!({"type": "enum", "name": "E", "symbols": ["x"]});
    let fields = |name: &str| json!([{"name": "a", "type": inner}, {"name": "b", "type": name}]);
    check(&record(&fields("E")), Ok(()));
    check(&record(&fields("n.E")), Ok(()));
    check(&record(&fields("m.E")), Err("not an Avro type"));
}

#[test]
fn referenced_schemas_are_linted_too() {
    let bomb = json!({"type": "array", "items": "null"});
    let referenced =
        json!({"type": "record", "name": "B", "fields": [{"name": "x", "type": bomb}]});
    assert!(lint(&of_type(&json!("B")), &[referenced]).is_err());
}
