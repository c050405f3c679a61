//! The rest of the standard: listings, imports, modes, and what is refused.

use super::*;

#[test]
fn schemas_are_found_by_their_guid() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    let guid = guid(V1);
    let found = json!({ "schema": V1, "guid": guid });
    desk.check(&format!("GET /schemas/guids/{guid}"), &NONE, &found);
    desk.check(&format!("GET /schemas/guids/{}", guid.to_uppercase()), &NONE, &found);
    let ids = json!([{ "context": ".", "id": 1 }]);
    desk.check(&format!("GET /schemas/guids/{guid}/ids"), &NONE, &ids);
    desk.check_refused("GET /schemas/guids/other", &NONE, 40_403);
    let max = json!({ "schema": V1, "guid": guid, "maxId": 1 });
    desk.check("GET /schemas/ids/1?fetchMaxId=true", &NONE, &max);
}

#[test]
fn all_schemas_are_listed_as_asked() {
    let mut desk = Desk::new();
    desk.register("a", V1, 1);
    desk.register("a", V2, 2);
    desk.register("b", V1, 1);
    desk.register("c", V1, 1);
    desk.check("DELETE /subjects/c", &NONE, &json!([1]));
    let mut listed = |call: &str| -> Vec<(String, u64)> {
        let answer = desk.ask("GET", call, &NONE).unwrap();
        let place = |it: &Value| {
            (it["subject"].as_str().unwrap().to_owned(), it["version"].as_u64().unwrap())
        };
        answer.as_array().unwrap().iter().map(place).collect()
    };
    let of = |places: &[(&str, u64)]| -> Vec<(String, u64)> {
        places.iter().map(|(subject, version)| ((*subject).to_owned(), *version)).collect()
    };
    assert_eq!(listed("/schemas"), of(&[("a", 1), ("a", 2), ("b", 1)]));
    assert_eq!(listed("/schemas?latestOnly=true"), of(&[("a", 2), ("b", 1)]));
    assert_eq!(listed("/schemas?deleted=true").len(), 4);
    assert_eq!(listed("/schemas?subjectPrefix=b"), of(&[("b", 1)]));
    assert_eq!(listed("/schemas?subjectPrefix=:*:a&limit=1"), of(&[("a", 1)]));
    assert_eq!(listed("/schemas?offset=1&limit=1"), of(&[("a", 2)]));
    assert_eq!(listed("/schemas?offset=9&limit=-1"), of(&[]));
    desk.check("GET /subjects?deletedOnly=true", &NONE, &json!(["c"]));
    desk.check("GET /subjects?limit=1&offset=1", &NONE, &json!(["b"]));
}

#[test]
fn imported_schemas_keep_their_ids_and_versions() {
    let mut desk = Desk::new();
    let import =
        |text: &str, id: u32, version: u32| json!({ "schema": text, "id": id, "version": version });
    desk.check_refused("POST /subjects/s/versions", &import(V1, 70, 3), 42_205);
    desk.check("PUT /mode/s", &json!({ "mode": "IMPORT" }), &json!({ "mode": "IMPORT" }));
    let made = desk.ask("POST", "/subjects/s/versions", &import(V1, 70, 3)).unwrap();
    assert_eq!((&made["id"], &made["version"]), (&json!(70), &json!(3)));
    desk.check_refused("POST /subjects/s/versions", &import(V2, 70, 4), 42_205);
    desk.check_refused("POST /subjects/s/versions", &import(V1, 71, 4), 42_205);
    desk.check_refused("POST /subjects/s/versions", &import(V2, 72, 2), 42_205);
    // Nothing is checked: whatever was taken elsewhere is taken here.
    let made = desk.ask("POST", "/subjects/s/versions", &import(BAD, 80, 9)).unwrap();
    assert_eq!(made["version"], 9);
    desk.check_refused("PUT /mode", &json!({ "mode": "IMPORT" }), 42_205);
    desk.check("PUT /mode?force=true", &json!({ "mode": "IMPORT" }), &json!({ "mode": "IMPORT" }));
    desk.check("PUT /mode/s", &json!({ "mode": "READWRITE" }), &json!({ "mode": "READWRITE" }));
    desk.check_refused("POST /subjects/s/versions", &schema(V2), 409);
    let mut desk = desk.reopened();
    desk.check("GET /subjects/s/versions", &NONE, &json!([3, 9]));
    desk.register("other", V2, 81);
}

#[test]
fn an_override_counts_more_than_a_subjects_own_mode() {
    let mut desk = Desk::new();
    desk.check("PUT /mode/s", &json!({ "mode": "READWRITE" }), &json!({ "mode": "READWRITE" }));
    let mode = json!({ "mode": "READONLY_OVERRIDE" });
    desk.check("PUT /mode", &mode, &mode);
    desk.check_refused("POST /subjects/s/versions", &schema(V1), 42_205);
    let mut desk = desk.reopened();
    desk.check("GET /mode", &NONE, &mode);
    desk.check("DELETE /mode", &NONE, &mode);
    desk.register("s", V1, 1);
}

#[test]
fn what_is_not_supported_is_refused_and_says_so() {
    let mut desk = Desk::new();
    let with = |name: &str, value: Value| {
        let mut body = schema(V1);
        body[name] = value;
        body
    };
    let post = "POST /subjects/s/versions";
    for (body, code) in [
        (with("schemaType", json!("JSON")), 42_201),
        (with("metadata", json!({ "properties": { "a": "b" } })), 42_201),
        (with("ruleSet", json!({ "domainRules": [{ "name": "r" }] })), 42_201),
        (with("schema", json!("x".repeat(600_000))), 42_209),
        (
            with(
                "references",
                json!(vec![json!({ "name": "n", "subject": "s", "version": 1 }); 101]),
            ),
            42_201,
        ),
    ] {
        desk.check_refused(post, &body, code);
    }
    for subject in [":.ctx:s", "__GLOBAL", "a%0Ab"] {
        desk.check_refused(&format!("POST /subjects/{subject}/versions"), &schema(V1), 42_208);
        let level = json!({ "compatibility": "FULL" });
        desk.check_refused(&format!("PUT /config/{subject}"), &level, 42_208);
    }
    let group = json!({ "compatibility": "FULL", "compatibilityGroup": "major" });
    desk.check_refused("PUT /config", &group, 422);
    // What clients write where they mean nothing is nothing.
    let nothing = with("metadata", Value::Null);
    assert!(desk.ask("POST", "/subjects/s/versions", &nothing).is_ok());
    let plain = json!({ "compatibility": "FULL", "normalize": false, "alias": null });
    desk.check("PUT /config", &plain, &json!({ "compatibility": "FULL" }));
}

#[test]
fn the_journal_is_written_anew_before_it_grows_without_end() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    desk.register("gone", V2, 2);
    desk.check("DELETE /subjects/gone", &NONE, &json!([1]));
    desk.check("DELETE /subjects/gone?permanent=true", &NONE, &json!([1]));
    desk.register("deleted", BAD, 3);
    desk.check("DELETE /subjects/deleted", &NONE, &json!([1]));
    let path = desk.dir.path().join("registry.log");
    let filler = "x".repeat(1_000);
    let (mut largest, mut shrank) = (0, false);
    for at in 0..1_200 {
        let mode = if at % 2 == 0 { "READONLY" } else { "READWRITE" };
        let body = json!({ "mode": mode });
        desk.check(&format!("PUT /mode/{filler}"), &body, &body);
        let bytes = std::fs::metadata(&path).unwrap().len();
        shrank |= bytes < largest;
        largest = largest.max(bytes);
    }
    assert!(shrank, "it grew to {largest}");
    let mut desk = desk.reopened();
    desk.check("GET /subjects?deleted=true", &NONE, &json!(["deleted", "s"]));
    desk.check("GET /subjects", &NONE, &json!(["s"]));
    assert!(largest < (1 << 20) + 2_000, "and was cut at once: {largest}");
    desk.check(&format!("GET /mode/{filler}"), &NONE, &json!({ "mode": "READWRITE" }));
    desk.register("new", &V2.replace("\"R\"", "\"N\""), 4);
}
