//! Changes and what follows from them.

use super::*;

fn schema(name: &str) -> Written {
    let text = format!(r#"{{"type":"record","name":"{name}","fields":[]}}"#);
    Written { text, references: Vec::new() }
}

fn register(subject: &str, version: u32, id: u32, schema: Option<Written>) -> Change {
    Change::Register { subject: subject.to_owned(), version, id, schema }
}

fn known() -> Schemas {
    let mut schemas = Schemas::default();
    schemas.apply(register("a", 1, 1, Some(schema("A")))).unwrap();
    schemas.apply(register("b", 1, 1, None)).unwrap();
    schemas.apply(register("a", 2, 2, Some(schema("B")))).unwrap();
    schemas
}

#[test]
fn a_schema_has_one_id_whatever_its_layout() {
    let schemas = known();
    let text = r#"{ "fields": [], "name": "A", "type": "record" }"#.to_owned();
    assert_eq!(schemas.id_of(&Written { text, references: Vec::new() }), Some(1));
    let text = r#"{"type":"record","name":"A","fields":[],"doc":"d"}"#.to_owned();
    assert_eq!(schemas.id_of(&Written { text, references: Vec::new() }), None);
    assert_eq!(schemas.uses(1, Scope::Live), [("a", 1), ("b", 1)]);
}

#[test]
fn an_id_is_gone_only_with_its_last_version() {
    let mut schemas = known();
    let delete = |subject: &str| Change::SoftDelete { subject: subject.to_owned(), version: 1 };
    let erase = |subject: &str| Change::HardDelete { subject: subject.to_owned(), version: 1 };
    schemas.apply(delete("a")).unwrap();
    assert_eq!(schemas.uses(1, Scope::Live), [("b", 1)]);
    assert_eq!(schemas.uses(1, Scope::All), [("a", 1), ("b", 1)]);
    schemas.apply(erase("a")).unwrap();
    assert!(schemas.written(1).is_some());
    schemas.apply(erase("b")).unwrap();
    assert!(schemas.written(1).is_none());
    assert_eq!(schemas.id_of(&schema("A")), None);
    assert_eq!(schemas.next_id(), 3, "ids are not given twice");
    assert_eq!(schemas.subjects(Scope::All).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn changes_that_do_not_follow_are_refused() {
    let mut schemas = known();
    let gone = Change::SoftDelete { subject: "c".to_owned(), version: 1 };
    let level = Change::SetLevel { subject: None, level: Some("SIDEWAYS".to_owned()) };
    let bad = Written { text: "{}".to_owned(), references: Vec::new() };
    for change in [
        gone,
        level,
        register("a", 2, 1, None),
        register("a", 3, 9, None),
        register("a", 3, 9, Some(bad)),
    ] {
        assert!(schemas.apply(change.clone()).is_err(), "{change:?}");
    }
    assert_eq!(schemas.next_version("a"), 3);
}

#[test]
fn settings_fall_back_to_those_of_all() {
    let mut schemas = known();
    let level = |subject: Option<&str>, level: Option<&str>| Change::SetLevel {
        subject: subject.map(str::to_owned),
        level: level.map(str::to_owned),
    };
    assert_eq!(schemas.effective_level("a"), Level::Backward);
    schemas.apply(level(None, Some("FULL"))).unwrap();
    schemas.apply(level(Some("a"), Some("NONE"))).unwrap();
    assert_eq!(
        (schemas.effective_level("a"), schemas.effective_level("b")),
        (Level::None, Level::Full)
    );
    schemas.apply(level(Some("a"), None)).unwrap();
    schemas.apply(level(None, None)).unwrap();
    assert_eq!(schemas.effective_level("a"), Level::Backward);
    let mode =
        |subject: Option<&str>, mode| Change::SetMode { subject: subject.map(str::to_owned), mode };
    schemas.apply(mode(None, Some(Mode::ReadOnly))).unwrap();
    schemas.apply(mode(Some("a"), Some(Mode::ReadWrite))).unwrap();
    assert_eq!(
        (schemas.effective_mode("a"), schemas.effective_mode("b")),
        (Mode::ReadWrite, Mode::ReadOnly)
    );
    schemas.apply(mode(Some("a"), None)).unwrap();
    assert_eq!(schemas.effective_mode("a"), Mode::ReadOnly);
}

#[test]
fn references_are_found_through_references() {
    let mut schemas = Schemas::default();
    let refer = |name: &str, subject: &str, text: &str| Written {
        text: text.to_owned(),
        references: vec![Reference {
            name: name.to_owned(),
            subject: subject.to_owned(),
            version: 1,
        }],
    };
    schemas.apply(register("a", 1, 1, Some(schema("A")))).unwrap();
    let b = r#"{"type":"record","name":"B","fields":[{"name":"a","type":"A"}]}"#;
    schemas.apply(register("b", 1, 2, Some(refer("A", "a", b)))).unwrap();
    let c = r#"{"type":"record","name":"C","fields":[{"name":"b","type":"B"}]}"#;
    assert!(schemas.parse(&refer("B", "b", c)).is_ok());
    assert_eq!(schemas.referring_to("a", 1, Scope::Live), [2]);
    let missing = schemas.parse(&refer("B", "gone", c)).unwrap_err();
    assert!(matches!(missing, Unusable::MissingReference(_)));
}
