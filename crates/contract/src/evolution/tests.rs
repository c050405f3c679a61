//! Changes, one by one.

use super::*;

fn files(schema: &str) -> Vec<SourceFile> {
    vec![SourceFile { path: "events/R.avsc".to_owned(), text: schema.to_owned() }]
}

fn contracts(files: &[SourceFile]) -> Contracts {
    Contracts::read(files).unwrap()
}

fn record(fields: &str) -> String {
    format!(
        r#"{{"type":"record","name":"R","namespace":"n","doc":"A record.","fields":[{fields}]}}"#
    )
}

fn field(kind: &str, more: &str) -> String {
    format!(r#"{{"name":"a","doc":"A field.","type":{kind}{more}}}"#)
}

/// What the change from one record to another is called: kind and verdict, at a level.
#[track_caller]
fn check_at(level: Level, old: &str, new: &str, expected: &[&str]) {
    let found =
        changes(&[contracts(&files(&record(old)))], &contracts(&files(&record(new))), level);
    let found: Vec<String> =
        found.iter().map(|one| format!("{} {}", one.kind.code(), one.harm.word())).collect();
    assert_eq!(found, expected, "old {old}\nnew {new}");
}

#[track_caller]
fn check(old: &str, new: &str, expected: &[&str]) {
    check_at(Level::Full, old, new, expected);
}

#[track_caller]
fn check_types(old: &str, new: &str, expected: &[&str]) {
    check(&field(old, ""), &field(new, ""), expected);
}

#[test]
fn types_and_what_they_stand_for() {
    let long = |name: &str| format!(r#"{{"type":"long","logicalType":"{name}"}}"#);
    let (ms, us) = (long("timestamp-millis"), long("timestamp-micros"));
    check_types(&ms, &us, &["logical_type_changed breaking"]);
    check_types(&ms, r#""long""#, &["logical_type_changed breaking"]);
    check_types(r#""long""#, &ms, &["logical_type_changed risky"]);
    let decimal = |precision: u8, scale: u8| {
        format!(
            r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#
        )
    };
    check_types(&decimal(10, 2), &decimal(10, 3), &["scale_changed breaking"]);
    check_types(&decimal(10, 2), &decimal(12, 2), &["scale_changed risky"]);
    check_types(r#""int""#, r#""long""#, &["type_promoted breaking"]);
    check_types(r#""int""#, r#""string""#, &["type_changed breaking"]);
    check_types(r#""int""#, r#"["null","int"]"#, &["nullability_changed breaking"]);
    check_types(r#"["null","int"]"#, r#""int""#, &["nullability_changed breaking"]);
    check_types(r#"["int","string"]"#, r#"["string","int"]"#, &[]);
    check_types(
        r#"["int","string"]"#,
        r#"["int","boolean"]"#,
        &["type_changed breaking", "type_changed risky"],
    );
    let list = |of: &str| format!(r#"{{"type":"array","items":{of}}}"#);
    check_types(&list(&ms), &list(&us), &["logical_type_changed breaking"]);
}

#[test]
fn the_level_decides_whose_reading_counts() {
    let (int, long) = (field(r#""int""#, ""), field(r#""long""#, ""));
    check_at(Level::Backward, &int, &long, &["type_promoted risky"]);
    check_at(Level::Forward, &int, &long, &["type_promoted breaking"]);
    check_at(Level::Backward, &long, &int, &["type_changed breaking"]);
    check_at(Level::None, &int, &long, &["type_promoted risky"]);
    let oldest = contracts(&files(&record(&field(r#""string""#, ""))));
    let old = contracts(&files(&record("")));
    let new = contracts(&files(&record(&field(r#""int""#, r#","default":0"#))));
    let harms = |level| -> Vec<Harm> {
        changes(&[oldest.clone(), old.clone()], &new, level).iter().map(|one| one.harm).collect()
    };
    assert_eq!(harms(Level::Full), [Harm::Harmless]);
    assert_eq!(harms(Level::FullTransitive), [Harm::Breaking]);
}

#[test]
fn fields_come_go_and_are_renamed() {
    let a = field(r#""int""#, "");
    let named = |name: &str, more: &str| {
        format!(r#"{{"name":"{name}","doc":"Another one.","type":"int"{more}}}"#)
    };
    let both = |more: &str| format!("{a},{}", named("b", more));
    check(&a, &both(r#","default":0"#), &["field_added harmless"]);
    check(&a, &both(""), &["field_added breaking"]);
    check(&both(r#","default":0"#), &a, &["field_removed risky"]);
    check(&both(""), &a, &["field_removed breaking"]);
    let undocumented = format!(r#"{a},{{"name":"b","type":"int","default":0}}"#);
    check(&a, &undocumented, &["doc_missing risky", "field_added harmless"]);
    check(&named("b", ""), &named("c", ""), &["field_renamed breaking"]);
    let aliased = named("c", r#","default":0,"aliases":["b"]"#);
    check(&named("b", r#","default":0"#), &aliased, &["field_renamed risky"]);
    check(&aliased, &named("c", r#","default":0"#), &["alias_changed risky"]);
    check(
        &named("wait_ms", r#","default":0"#),
        &named("wait_s", r#","default":0"#),
        &["field_renamed breaking", "unit_changed breaking"],
    );
}

#[test]
fn defaults_and_docs() {
    let of = |default: &str| field(r#""int""#, default);
    check(&of(r#","default":0"#), &of(""), &["default_removed risky"]);
    check(&of(r#","default":0"#), &of(r#","default":1"#), &["default_changed risky"]);
    check(&of(""), &of(r#","default":1"#), &["default_added harmless"]);
    let doc = |doc: &str| format!(r#"{{"name":"a","type":"int","doc":"{doc}"}}"#);
    check(&doc("Waited, milliseconds."), &doc("Waited, seconds."), &["unit_changed breaking"]);
    check(&doc("Waited, milliseconds."), &doc("Waited."), &["unit_changed risky"]);
    check(&doc("At most 24 hours."), &doc("At most 2 days."), &["doc_changed harmless"]);
    check(&doc("Waited."), &doc(""), &["doc_missing risky"]);
}

#[test]
fn enums_and_fixed() {
    let of = |symbols: &str, more: &str| {
        field(&format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{more}}}"#), "")
    };
    let default = r#","default":"x""#;
    let (one, two) = (r#""x""#, r#""x","y""#);
    check(&of(one, ""), &of(two, ""), &["enum_symbol_added breaking"]);
    check(&of(one, default), &of(two, default), &["enum_symbol_added harmless"]);
    check(&of(two, default), &of(one, default), &["enum_symbol_removed risky"]);
    check(&of(two, ""), &of(one, ""), &["enum_symbol_removed breaking"]);
    check(&of(two, default), &of(two, ""), &["enum_default_changed risky"]);
    check(&of(two, ""), &of(two, default), &["enum_default_changed harmless"]);
    check(&of(two, default), &of(two, r#","default":"y""#), &["enum_default_changed risky"]);
    let fixed = |size: u8| field(&format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#), "");
    check(&fixed(4), &fixed(8), &["type_changed breaking"]);
}

#[test]
fn names_of_records() {
    let of = |text: &str| contracts(&files(text));
    let kinds = |old: &str, new: &str| -> Vec<&'static str> {
        changes(&[of(old)], &of(new), Level::Full).iter().map(|one| one.kind.code()).collect()
    };
    let base = record("");
    assert_eq!(kinds(&base, &base.replace("\"n\"", "\"m\"")), ["namespace_changed"]);
    assert_eq!(kinds(&base, &base.replace("\"R\"", "\"S\"")), ["name_changed"]);
    let other =
        [SourceFile { path: "events/S.avsc".to_owned(), text: base.replace("\"R\"", "\"S\"") }];
    let found = changes(&[of(&base)], &contracts(&other), Level::Full);
    let kinds: Vec<&str> = found.iter().map(|one| one.kind.code()).collect();
    assert_eq!(kinds, ["schema_removed", "schema_added"]);
}

#[test]
fn rules_are_compared_by_what_passes() {
    let with = |rules: &str| {
        let mut files = files(&record(&field(r#""int""#, "")));
        files.push(SourceFile { path: "rules/r.toml".to_owned(), text: rules.to_owned() });
        contracts(&files)
    };
    let rule = |severity: &str, check: &str| {
        with(&format!(
            "[[rule]]\nid = \"a.x\"\nfield = \"a\"\nseverity = \"{severity}\"\n{check}\n"
        ))
    };
    let range = |max: u32| format!("range = {{ min = 0, max = {max} }}");
    let none = with("rule = []");
    let wide = rule("reject", &range(9));
    let narrow = rule("reject", &range(5));
    let warn = rule("warn", &range(9));
    let words = |text: &str| rule("reject", &format!("one_of = [{text}]"));
    for (old, new, expected) in [
        (&wide, &narrow, "rule_tightened breaking"),
        (&narrow, &wide, "rule_loosened risky"),
        (&none, &wide, "rule_added breaking"),
        (&none, &warn, "rule_added harmless"),
        (&wide, &none, "rule_removed risky"),
        (&warn, &wide, "rule_tightened breaking"),
        (&wide, &warn, "rule_loosened risky"),
        (&warn, &rule("warn", &range(1)), "rule_tightened harmless"),
        (&words(r#""p","q""#), &words(r#""p""#), "rule_tightened breaking"),
        (&words(r#""p""#), &words(r#""p","q""#), "rule_loosened risky"),
    ] {
        let found = changes(std::slice::from_ref(old), new, Level::Full);
        let told: Vec<String> =
            found.iter().map(|one| format!("{} {}", one.kind.code(), one.harm.word())).collect();
        assert_eq!(told, [expected]);
        assert_eq!(
            (found[0].records.as_slice(), found[0].field()),
            (&["R".to_owned()][..], Some("a"))
        );
    }
}

#[test]
fn schemas_may_refer_to_each_other_and_the_missing_one_is_named() {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let user = file("events/A.avsc", &record(&field(r#""n.Z""#, "")));
    let used = file(
        "types/Z.avsc",
        r#"{"type":"enum","name":"Z","namespace":"n","doc":"Z.","symbols":["x"]}"#,
    );
    let both = contracts(&[user.clone(), used]);
    assert_eq!(both.schemas[1].references, ["types/Z.avsc"]);
    let flaws: Vec<&str> = lint(&both).iter().map(|flaw| flaw.code).collect();
    assert_eq!(flaws, ["enum_without_default"]);
    let error = Contracts::read(&[user]).unwrap_err();
    assert_eq!(error.path, "events/A.avsc");
    let broken = Contracts::read(&[file("rules/x.toml", "rule = 3 4")]).unwrap_err();
    assert_eq!(broken.path, "rules/x.toml");
}

#[test]
fn kinds_have_their_own_codes_and_hints() {
    let codes: std::collections::BTreeSet<&str> =
        Kind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(codes.len(), Kind::ALL.len());
    assert!(Kind::ALL.iter().all(|kind| kind.hint().len() > 10));
}
