//! The table of schema pairs, and the levels.

use super::*;

#[track_caller]
fn types(text: &str) -> Types {
    Types::parse(text, &[]).unwrap()
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"n","fields":[{fields}]}}"#)
}

fn of_type(kind: &str) -> String {
    record(&format!(r#"{{"name":"a","type":{kind}}}"#))
}

/// Checks what the reader says of the writer: readable, or the conflicts in order.
#[track_caller]
fn check(reader: &str, writer: &str, expected: &[&str]) {
    let found = match can_read(&types(reader), &types(writer)) {
        Ok(()) => Vec::new(),
        Err(conflicts) => conflicts,
    };
    let found: Vec<String> = found
        .iter()
        .map(|conflict| format!("{} {}", conflict.kind.name(), conflict.path))
        .collect();
    assert_eq!(found, expected, "reader {reader}\nwriter {writer}");
}

#[test]
fn primitives_are_promoted_one_way() {
    for (reader, writers) in [
        ("int", "int"),
        ("long", "int long"),
        ("float", "int long float"),
        ("double", "int long float double"),
        ("bytes", "bytes string"),
        ("string", "bytes string"),
        ("boolean", "boolean"),
        ("null", "null"),
    ] {
        for writer in ["null", "boolean", "int", "long", "float", "double", "bytes", "string"] {
            let expected: &[&str] = if writers.split(' ').any(|word| word == writer) {
                &[]
            } else {
                &["TYPE_MISMATCH /a"]
            };
            let quoted = |name: &str| of_type(&format!("\"{name}\""));
            check(&quoted(reader), &quoted(writer), expected);
        }
    }
}

#[test]
fn a_field_the_writer_lacks_needs_a_default() {
    let base = r#"{"name":"a","type":"int"}"#;
    let with = |field: &str| record(&format!("{base},{field}"));
    let old = record(base);
    check(&with(r#"{"name":"b","type":"int","default":0}"#), &old, &[]);
    check(&with(r#"{"name":"b","type":"int"}"#), &old, &["READER_FIELD_MISSING_DEFAULT_VALUE /b"]);
    check(&with(r#"{"name":"b","type":["null","int"],"default":null}"#), &old, &[]);
    check(
        &with(r#"{"name":"b","type":["null","int"]}"#),
        &old,
        &["READER_FIELD_MISSING_DEFAULT_VALUE /b"],
    );
    check(&old, &with(r#"{"name":"b","type":"int"}"#), &[]);
    check(&with(r#"{"name":"b","type":"int","aliases":["a"]}"#), &old, &[]);
    check(
        &old,
        &record(r#"{"name":"b","type":"int"}"#),
        &["READER_FIELD_MISSING_DEFAULT_VALUE /a"],
    );
}

#[test]
fn unions_are_read_branch_by_branch() {
    check(&of_type(r#"["null","int"]"#), &of_type(r#""int""#), &[]);
    check(&of_type(r#""int""#), &of_type(r#"["null","int"]"#), &["TYPE_MISMATCH /a"]);
    check(&of_type(r#"["null","int","string"]"#), &of_type(r#"["int","null"]"#), &[]);
    check(
        &of_type(r#"["null","int"]"#),
        &of_type(r#"["null","string"]"#),
        &["MISSING_UNION_BRANCH /a"],
    );
    check(&of_type(r#"["null","long"]"#), &of_type(r#"["null","int"]"#), &[]);
    check(&of_type(r#"["int"]"#), &of_type(r#""int""#), &[]);
    check(&of_type(r#""int""#), &of_type(r#"["int"]"#), &[]);
    check(&of_type(r#"["null"]"#), &of_type(r#""int""#), &["MISSING_UNION_BRANCH /a"]);
}

#[test]
fn enums_need_every_symbol_or_a_default() {
    let kind = |symbols: &str, more: &str| {
        of_type(&format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{more}}}"#))
    };
    let (small, large) = (kind(r#""x""#, ""), kind(r#""x","y""#, ""));
    check(&large, &small, &[]);
    check(&small, &large, &["MISSING_ENUM_SYMBOLS /a"]);
    check(&kind(r#""x""#, r#","default":"x""#), &large, &[]);
    check(&small, &of_type(r#""string""#), &["TYPE_MISMATCH /a"]);
    check(&of_type(r#""string""#), &small, &["TYPE_MISMATCH /a"]);
    // A default of the field is not one of the enum.
    let field = r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["x"]},"default":"x"}"#;
    check(&record(field), &large, &["MISSING_ENUM_SYMBOLS /a"]);
}

#[test]
fn names_match_by_their_last_part_or_an_alias() {
    let kind = |name: &str, more: &str| {
        of_type(&format!(r#"{{"type":"fixed","name":"{name}","size":4{more}}}"#))
    };
    check(&kind("F", ""), &kind("G", ""), &["NAME_MISMATCH /a"]);
    check(&kind("F", r#","aliases":["G"]"#), &kind("G", ""), &[]);
    check(&kind("F", r#","aliases":["m.G"]"#), &kind("m.G", ""), &[]);
    check(&kind("F", r#","aliases":["m.G"]"#), &kind("G", ""), &["NAME_MISMATCH /a"]);
    check(&kind("F", r#","namespace":"m""#), &kind("F", ""), &[]);
    let eight = of_type(r#"{"type":"fixed","name":"F","size":8}"#);
    check(&eight, &kind("F", ""), &["FIXED_SIZE_MISMATCH /a"]);
    let other = r#"{"type":"record","name":"S","namespace":"n","fields":[]}"#;
    check(other, &record(""), &["NAME_MISMATCH "]);
}

#[test]
fn containers_are_read_by_what_they_contain() {
    let array = |items: &str| of_type(&format!(r#"{{"type":"array","items":"{items}"}}"#));
    let map = |values: &str| of_type(&format!(r#"{{"type":"map","values":"{values}"}}"#));
    check(&array("long"), &array("int"), &[]);
    check(&array("int"), &array("long"), &["TYPE_MISMATCH /a/[]"]);
    check(&map("double"), &map("float"), &[]);
    check(&map("int"), &map("string"), &["TYPE_MISMATCH /a/{}"]);
    check(&map("int"), &array("int"), &["TYPE_MISMATCH /a"]);
}

#[test]
fn a_type_by_reference_is_the_type_that_was_defined() {
    let inner = |kind: &str| {
        format!(r#"{{"type":"record","name":"P","fields":[{{"name":"x","type":"{kind}"}}]}}"#)
    };
    let twice = |kind: &str, second: &str| {
        record(&format!(r#"{{"name":"a","type":{}}},{{"name":"b","type":{second}}}"#, inner(kind)))
    };
    // The same in both, once spelt out and once by name: no difference.
    check(&twice("int", r#""P""#), &twice("int", r#""n.P""#), &[]);
    check(&twice("long", r#""P""#), &twice("int", r#""P""#), &[]);
    // The second field narrows through its reference, far from where the type is defined.
    check(
        &twice("int", r#""P""#),
        &twice("long", r#""P""#),
        &["TYPE_MISMATCH /a/x", "TYPE_MISMATCH /b"],
    );
    check(&twice("int", r#"["null","P"]"#), &twice("int", r#""P""#), &[]);
    check(
        &twice("int", r#"["null","P"]"#),
        &twice("string", r#""P""#),
        &["TYPE_MISMATCH /a/x", "MISSING_UNION_BRANCH /b"],
    );
    // A reference and another type of the same shape but another name.
    let other = r#"{"type":"record","name":"Q","fields":[{"name":"x","type":"int"}]}"#;
    check(&twice("int", r#""P""#), &twice("int", other), &["NAME_MISMATCH /b"]);
}

#[test]
fn recursion_ends() {
    let list = |kind: &str| {
        record(&format!(r#"{{"name":"v","type":"{kind}"}},{{"name":"next","type":["null","R"]}}"#))
    };
    check(&list("long"), &list("int"), &[]);
    // The union's branch is the record under comparison, whose own conflict is reported once.
    check(&list("int"), &list("long"), &["TYPE_MISMATCH /v"]);
}

#[test]
fn a_fan_of_unions_is_compared_in_good_time() {
    // Each record refers to the next one twice; without memory of what was tried that is 2^30 comparisons.
    let chain = |leaf: &str| {
        let end = format!(
            r#"{{"type":"record","name":"R30","fields":[{{"name":"x","type":"{leaf}"}}]}}"#
        );
        (0..30).rev().fold(end, |inner, index| {
            format!(
                r#"{{"type":"record","name":"R{index}","fields":[{{"name":"a","type":["null",{inner}]}},{{"name":"b","type":["null","R{}"]}}]}}"#,
                index + 1
            )
        })
    };
    let deep = |leaf: &str| types(&chain(leaf));
    assert_eq!(can_read(&deep("long"), &deep("int")), Ok(()));
    assert!(can_read(&deep("int"), &deep("string")).is_err());
}

#[test]
fn levels_look_in_their_direction_and_as_far_back_as_they_say() {
    let base = r#"{"name":"a","type":"int"}"#;
    let required = types(&record(&format!(r#"{base},{{"name":"b","type":"int"}}"#)));
    let optional = types(&record(&format!(r#"{base},{{"name":"b","type":"int","default":1}}"#)));
    let without = types(&record(base));
    let allowed = |new: &Types, old: &[&Types]| -> Vec<&'static str> {
        let old: Vec<Types> = old.iter().map(|types| (*types).clone()).collect();
        let passes = |level: &Level| check_levels(new, &old, *level);
        Level::ALL.into_iter().filter(passes).map(Level::name).collect()
    };
    let all: Vec<&str> = Level::ALL.into_iter().map(Level::name).collect();
    // Adding a required field: only the old reads the new.
    assert_eq!(allowed(&required, &[&without]), ["NONE", "FORWARD", "FORWARD_TRANSITIVE"]);
    // Removing it: only the new reads the old.
    assert_eq!(allowed(&without, &[&required]), ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE"]);
    assert_eq!(allowed(&optional, &[&without]), all);
    assert_eq!(allowed(&required, &[]), all);
    // Without, then with a default, then required: the step from the last is fine, the one from the first is not.
    assert_eq!(
        allowed(&required, &[&without, &optional]),
        ["NONE", "BACKWARD", "FORWARD", "FORWARD_TRANSITIVE", "FULL"]
    );
}

fn check_levels(new: &Types, old: &[Types], level: Level) -> bool {
    super::check(new, old, level).is_ok()
}

#[test]
fn a_finding_says_who_cannot_read_whom() {
    let (int, text) = (types(&of_type(r#""int""#)), types(&of_type(r#""string""#)));
    let found = super::check(&text, &[int], Level::Full).unwrap_err();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    the new schema cannot read data of an old one: TYPE_MISMATCH at `/a`: reader has string, writer int
    an old schema cannot read data of the new one: TYPE_MISMATCH at `/a`: reader has int, writer string
    ");
}

#[test]
fn words_of_levels_come_back_in_any_case() {
    for level in Level::ALL {
        assert_eq!(Level::from_name(&level.name().to_lowercase()), Some(level));
    }
    assert_eq!(Level::from_name("SIDEWAYS"), None);
}

#[test]
fn what_is_no_schema_is_refused() {
    for text in [
        "",
        "{}",
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"n.Gone"}]}"#,
        r#"{"type":"record","name":"R"}"#,
        r#"{"type":"enum","name":"E","symbols":["x","x"]}"#,
    ] {
        assert!(Types::parse(text, &[]).is_err(), "{text}");
    }
}

#[test]
fn references_are_part_of_the_environment() {
    let money = |kind: &str| {
        format!(
            r#"{{"type":"record","name":"Money","namespace":"n","fields":[{{"name":"minor","type":"{kind}"}}]}}"#
        )
    };
    let with = |kind: &str| Types::parse(&of_type(r#""n.Money""#), &[money(kind)]).unwrap();
    assert_eq!(can_read(&with("long"), &with("int")), Ok(()));
    let conflicts = can_read(&with("int"), &with("long")).unwrap_err();
    assert_eq!(conflicts[0].path, "/a/minor");
}
