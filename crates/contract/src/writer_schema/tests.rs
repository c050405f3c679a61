//! The bombs: inputs that a bare decoder takes, or dies of.

use apache_avro::types::Value;

use super::*;
use crate::lint::LintFlaw;

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"n","fields":[{fields}]}}"#)
}

fn schema(fields: &str) -> WriterSchema {
    WriterSchema::parse(1, &record(fields), &[]).unwrap()
}

#[track_caller]
fn check_refused(text: &str, expected: &LintFlaw) {
    match WriterSchema::parse(1, text, &[]) {
        Err(SchemaFlaw::Lint(found)) => assert_eq!(&found, expected),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_rejected(fields: &str, content: &[u8], expected: Reason) {
    let rejection = schema(fields).decode(content).unwrap_err();
    assert_eq!(rejection.reason, expected, "{rejection}");
    assert_eq!(rejection.schema_id, Some(1.into()));
}

const NULLABLE: &str = r#"{"name":"a","type":["null","string"]}"#;
const TEXTS: &str = r#"{"name":"a","type":{"type":"array","items":"string"}}"#;

#[test]
fn a_hundred_bytes_cannot_become_gigabytes() {
    // array<array<null>>: each inner count asks for half a million nulls that take no bytes at all.
    let text =
        record(r#"{"name":"a","type":{"type":"array","items":{"type":"array","items":"null"}}}"#);
    check_refused(&text, &LintFlaw::ZeroWidth { place: "/a/items/items".to_owned() });
}

#[test]
fn a_recursive_schema_is_refused() {
    let text = record(r#"{"name":"next","type":["null","R"]}"#);
    check_refused(&text, &LintFlaw::Recursive { name: "n.R".to_owned() });
    let text = record(
        r#"{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"b","type":{"type":"array","items":"n.R"}}]}}"#,
    );
    check_refused(&text, &LintFlaw::Recursive { name: "n.R".to_owned() });
}

#[test]
fn a_truncated_nullable_string_is_not_null() {
    // Branch 1, length 5, and only two of the five bytes.
    check_rejected(NULLABLE, &[2, 10, b'a', b'b'], Reason::AvroTruncated);
    check_rejected(NULLABLE, &[2], Reason::AvroTruncated);
    check_rejected(NULLABLE, &[], Reason::AvroTruncated);
    assert!(schema(NULLABLE).decode(&[0]).is_ok());
}

#[test]
fn every_truncation_of_every_type_is_noticed() {
    let fields = r#"{"name":"a","type":"boolean"},{"name":"b","type":"string"},{"name":"c","type":"double"},
        {"name":"d","type":{"type":"array","items":"boolean"}},{"name":"e","type":{"type":"map","values":"int"}},
        {"name":"f","type":["null","string"]},{"name":"g","type":{"type":"fixed","name":"F","size":2}},
        {"name":"h","type":{"type":"enum","name":"E","symbols":["x","y"]}},{"name":"i","type":"bytes"}"#;
    let whole = [
        1, 2, b'x', 0, 0, 0, 0, 0, 0, 240, 63, 4, 1, 0, 0, 2, 2, b'k', 8, 0, 2, 2, b'y', 7, 7, 2,
        2, 9,
    ];
    let schema = schema(fields);
    assert!(matches!(schema.decode(&whole), Ok(Value::Record(_))), "{:?}", schema.decode(&whole));
    for end in 0..whole.len() {
        let rejection = schema.decode(&whole[..end]).unwrap_err();
        assert_eq!(rejection.reason, Reason::AvroTruncated, "cut at {end}: {rejection}");
    }
}

#[test]
fn trailing_bytes_are_not_overlooked() {
    check_rejected(NULLABLE, &[0, 0], Reason::TrailingBytes);
}

#[test]
fn a_length_beyond_the_bound_is_not_allocated() {
    // A string of 2^40 bytes, an array of 2^40 entries.
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    check_rejected(r#"{"name":"a","type":"string"}"#, &huge, Reason::LimitExceeded);
    check_rejected(TEXTS, &huge, Reason::LimitExceeded);
    check_rejected(
        r#"{"name":"a","type":{"type":"map","values":"int"}}"#,
        &huge,
        Reason::LimitExceeded,
    );
}

#[test]
fn what_is_not_of_the_schema_is_malformed() {
    check_rejected(r#"{"name":"a","type":"boolean"}"#, &[2], Reason::AvroMalformed);
    check_rejected(r#"{"name":"a","type":"string"}"#, &[2, 0xff], Reason::AvroMalformed);
    check_rejected(r#"{"name":"a","type":"string"}"#, &[1], Reason::AvroMalformed);
    check_rejected(NULLABLE, &[4], Reason::AvroMalformed);
    check_rejected(
        r#"{"name":"a","type":"int"}"#,
        &[0x80, 0x80, 0x80, 0x80, 0x40],
        Reason::AvroMalformed,
    );
}

#[test]
fn what_is_not_avro_is_said_so() {
    for text in ["", "syntax = \"proto3\";", r#"{"type":"record","name":"1bad","fields":[]}"#] {
        let flaw = WriterSchema::parse(1, text, &[]).unwrap_err();
        assert_eq!(flaw.reason(), Reason::NotAvro, "{text}: {flaw}");
    }
    let flaw = WriterSchema::parse(1, r#"{"type":"object"}"#, &[]).unwrap_err();
    assert_eq!(flaw.reason(), Reason::SchemaLint);
}

#[test]
fn a_schema_is_parsed_with_what_it_refers_to() {
    let money = r#"{"type":"record","name":"Money","namespace":"n","fields":[{"name":"minor","type":"long"}]}"#;
    let text =
        record(r#"{"name":"price","type":"n.Money"},{"name":"was","type":["null","n.Money"]}"#);
    let schema = WriterSchema::parse(1, &text, &[money.to_owned()]).unwrap();
    assert!(schema.decode(&[6, 2, 8]).is_ok());
    assert!(WriterSchema::parse(1, &text, &[]).is_err());
}

#[test]
fn a_schema_that_is_too_long_is_not_parsed() {
    let text = record(&format!(r#"{{"name":"a","type":"int","doc":"{}"}}"#, "x".repeat(300_000)));
    let flaw = WriterSchema::parse(1, &text, &[]).unwrap_err();
    assert!(matches!(flaw, SchemaFlaw::Lint(LintFlaw::TooLarge { .. })), "{flaw}");
}

#[test]
fn a_value_of_many_small_parts_is_given_up() {
    let nested = r#"{"name":"a","type":{"type":"array","items":{"type":"array","items":{"type":"record","name":"S","fields":[{"name":"b","type":"int"}]}}}}"#;
    // Blocks of 100 arrays, each a block of 100 records of one byte.
    let mut content = Vec::new();
    for _ in 0..10 {
        content.extend_from_slice(&[0xc8, 0x01]);
        for _ in 0..100 {
            content.extend_from_slice(&[0xc8, 0x01]);
            content.extend_from_slice(&[2; 100]);
            content.push(0);
        }
    }
    content.push(0);
    check_rejected(nested, &content, Reason::LimitExceeded);
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic_and_no_read_value_panics(
        kind in proptest::sample::select(EventType::ALL.to_vec()),
        content in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
    ) {
        let schema = WriterSchema::parse(1, schemas::of_event(kind).text, &[]).unwrap();
        if let Ok(value) = schema.decode(&content) {
            drop(event::read(kind, value));
        }
    }
}
