//! The interface, call by call, with the codes that clients look at.

use serde_json::json;
use tempfile::TempDir;
use upnext_http::axum::http::Uri;

use super::*;

mod standard;

/// A registry without its socket.
struct Desk {
    dir: TempDir,
    ledger: Ledger,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        Self { dir, ledger }
    }

    /// The same after a restart.
    fn reopened(self) -> Self {
        let Self { dir, ledger } = self;
        drop(ledger);
        let ledger = Ledger::open(dir.path()).unwrap();
        Self { dir, ledger }
    }

    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let uri: Uri = path.parse().unwrap();
        let body = body.to_string();
        let switches = Switches::of(&uri);
        let ask = Ask { ledger: &mut self.ledger, switches, body: body.as_bytes() };
        answer_to(&method.parse().unwrap(), Place::of(&uri).unwrap(), ask)
    }

    #[track_caller]
    fn check(&mut self, call: &str, body: &Value, expected: &Value) {
        let (method, path) = call.split_once(' ').unwrap();
        let mut found = self.ask(method, path, body);
        if let Ok(Value::Object(fields)) = &mut found
            && expected.get("guid").is_none()
        {
            // Follows from the schema, and has a test of its own.
            fields.remove("guid");
        }
        assert_eq!(found.as_ref(), Ok(expected), "{call}");
    }

    #[track_caller]
    fn check_refused(&mut self, call: &str, body: &Value, code: u32) {
        let (method, path) = call.split_once(' ').unwrap();
        let found = self.ask(method, path, body);
        assert_eq!(found.as_ref().map_err(|refusal| refusal.code), Err(code), "{call}: {found:?}");
    }

    #[track_caller]
    fn register(&mut self, subject: &str, text: &str, id: u32) {
        let call = format!("POST /subjects/{subject}/versions?normalize=False");
        let (method, path) = call.split_once(' ').unwrap();
        let answer = self.ask(method, path, &schema(text)).unwrap();
        assert_eq!(answer["id"], id, "{answer}");
    }
}

fn guid(text: &str) -> String {
    let written = crate::schemas::Written { text: text.to_owned(), references: Vec::new() };
    crate::guid::guid(&written).to_string()
}

fn schema(text: &str) -> Value {
    json!({ "schema": text, "schemaType": "AVRO" })
}

const NONE: Value = Value::Null;
const V1: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const V2: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}"#;
const BAD: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#;

#[test]
fn a_subject_from_registration_to_look_up() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    desk.register("s", V1, 1);
    desk.register("s", &V1.replace(':', ": "), 1);
    desk.register("s", V2, 2);
    desk.register("other", V2, 2);
    desk.check("GET /subjects", &NONE, &json!(["other", "s"]));
    desk.check("GET /subjects?subjectPrefix=o", &NONE, &json!(["other"]));
    desk.check("GET /subjects/s/versions", &NONE, &json!([1, 2]));
    let second = json!({
        "subject": "s", "version": 2, "id": 2, "guid": guid(V2), "schema": V2
    });
    for named in ["2", "latest", "-1"] {
        desk.check(&format!("GET /subjects/s/versions/{named}"), &NONE, &second);
    }
    desk.check("POST /subjects/s", &schema(V2), &second);
    desk.check("GET /subjects/s/versions/1/schema", &NONE, &serde_json::from_str(V1).unwrap());
    desk.check("GET /schemas/ids/1", &NONE, &json!({ "schema": V1, "guid": guid(V1) }));
    desk.check("GET /schemas/ids/1/schema", &NONE, &serde_json::from_str(V1).unwrap());
    let uses = json!([{ "subject": "other", "version": 1 }, { "subject": "s", "version": 2 }]);
    desk.check("GET /schemas/ids/2/versions", &NONE, &uses);
    desk.check("GET /schemas/ids/2/subjects", &NONE, &json!(["other", "s"]));
}

#[test]
fn what_is_not_there_has_its_code() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    for (call, code) in [
        ("GET /subjects/gone/versions", 40_401),
        ("GET /subjects/gone/versions/1", 40_401),
        ("GET /subjects/gone/versions/latest", 40_401),
        ("GET /subjects/s/versions/9", 40_402),
        ("GET /subjects/s/versions/0", 42_202),
        ("GET /subjects/s/versions/one", 42_202),
        ("GET /schemas/ids/9", 40_403),
        ("GET /schemas/ids/9/versions", 40_403),
        ("GET /schemas/ids/x", 404),
        ("GET /config/s", 40_408),
        ("DELETE /config/s", 40_408),
        ("GET /mode/s", 40_409),
        ("DELETE /subjects/gone", 40_401),
        ("PATCH /subjects/s", 405),
    ] {
        desk.check_refused(call, &NONE, code);
    }
    desk.check_refused("POST /subjects/gone", &schema(V1), 40_401);
    desk.check_refused("POST /subjects/s", &schema(V2), 40_403);
    desk.check_refused("POST /subjects/s", &schema("{}"), 42_201);
}

#[test]
fn schemas_that_are_invalid_or_incompatible_are_refused() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    desk.check_refused("POST /subjects/s/versions", &schema(BAD), 409);
    desk.check_refused("POST /subjects/s/versions", &schema("int"), 42_201);
    desk.check_refused("POST /subjects/s/versions", &json!({}), 42_201);
    let proto = json!({ "schema": "syntax", "schemaType": "PROTOBUF" });
    desk.check_refused("POST /subjects/s/versions", &proto, 42_201);
    desk.check("GET /subjects/s/versions", &NONE, &json!([1]));
    // A failed registration leaves no id behind.
    desk.register("other", BAD, 2);
}

#[test]
fn compatibility_is_told_without_registering() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    let one = "POST /compatibility/subjects/s/versions/latest";
    let all = "POST /compatibility/subjects/s/versions";
    desk.check(one, &schema(V2), &json!({ "is_compatible": true }));
    desk.check(all, &schema(BAD), &json!({ "is_compatible": false }));
    let verbose = format!("{one}?normalize=False&verbose=True");
    let told = desk.ask("POST", verbose.split_once(' ').unwrap().1, &schema(BAD)).unwrap();
    assert!(told["messages"][0].as_str().unwrap().contains("TYPE_MISMATCH at `/a`"), "{told}");
    desk.check(
        "PUT /config/s",
        &json!({ "compatibility": "none" }),
        &json!({ "compatibility": "NONE" }),
    );
    desk.check(one, &schema(BAD), &json!({ "is_compatible": true }));
    desk.check_refused("POST /compatibility/subjects/s/versions/9", &schema(V2), 40_402);
    desk.check_refused("POST /compatibility/subjects/gone/versions/latest", &schema(V2), 40_401);
    desk.check(
        "POST /compatibility/subjects/gone/versions",
        &schema(V2),
        &json!({ "is_compatible": true }),
    );
    desk.check("GET /subjects/s/versions", &NONE, &json!([1]));
}

#[test]
fn levels_are_set_taken_back_and_obeyed() {
    let mut desk = Desk::new();
    let level = |name: &str| json!({ "compatibilityLevel": name });
    desk.check("GET /config", &NONE, &level("BACKWARD"));
    desk.check(
        "PUT /config",
        &json!({ "compatibility": "FORWARD" }),
        &json!({ "compatibility": "FORWARD" }),
    );
    desk.check("GET /config", &NONE, &level("FORWARD"));
    desk.check("GET /config/s?defaultToGlobal=true", &NONE, &level("FORWARD"));
    desk.check(
        "PUT /config/s",
        &json!({ "compatibility": "FULL" }),
        &json!({ "compatibility": "FULL" }),
    );
    desk.check("GET /config/s", &NONE, &level("FULL"));
    desk.check_refused("PUT /config", &json!({ "compatibility": "SIDEWAYS" }), 42_203);
    desk.register("s", V1, 1);
    let required = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}"#;
    desk.check_refused("POST /subjects/s/versions", &schema(required), 409);
    desk.check("DELETE /config/s", &NONE, &level("FULL"));
    desk.register("s", required, 2);
    desk.check("DELETE /config", &NONE, &level("FORWARD"));
    desk.check("GET /config", &NONE, &level("BACKWARD"));
}

#[test]
fn a_subject_is_deleted_softly_then_for_good() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    desk.register("s", V2, 2);
    desk.check_refused("DELETE /subjects/s?permanent=true", &NONE, 40_405);
    desk.check("DELETE /subjects/s", &NONE, &json!([1, 2]));
    desk.check("GET /subjects", &NONE, &json!([]));
    desk.check("GET /subjects?deleted=true", &NONE, &json!(["s"]));
    desk.check("GET /schemas/ids/2", &NONE, &json!({ "schema": V2, "guid": guid(V2) }));
    desk.check_refused("GET /subjects/s/versions", &NONE, 40_401);
    desk.check_refused("DELETE /subjects/s", &NONE, 40_404);
    // Registered again: the old id, the next version.
    desk.register("s", V1, 1);
    desk.check("GET /subjects/s/versions", &NONE, &json!([3]));
    desk.check("DELETE /subjects/s", &NONE, &json!([3]));
    desk.check("DELETE /subjects/s?permanent=true", &NONE, &json!([1, 2, 3]));
    desk.check_refused("GET /schemas/ids/2", &NONE, 40_403);
    desk.register("s", BAD, 3);
}

#[test]
fn one_version_is_deleted_softly_then_for_good() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    desk.register("s", V2, 2);
    desk.check_refused("DELETE /subjects/s/versions/1?permanent=true", &NONE, 40_407);
    desk.check("DELETE /subjects/s/versions/1", &NONE, &json!(1));
    desk.check_refused("DELETE /subjects/s/versions/1", &NONE, 40_406);
    desk.check_refused("GET /subjects/s/versions/1", &NONE, 40_402);
    desk.check("GET /subjects/s/versions?deleted=true", &NONE, &json!([1, 2]));
    desk.check("DELETE /subjects/s/versions/1?permanent=true", &NONE, &json!(1));
    desk.check("DELETE /subjects/s/versions/latest", &NONE, &json!(2));
    desk.check_refused("DELETE /subjects/s/versions/latest", &NONE, 40_401);
}

#[test]
fn references_hold_what_they_refer_to() {
    let mut desk = Desk::new();
    desk.register(
        "money",
        r#"{"type":"record","name":"Money","fields":[{"name":"minor","type":"long"}]}"#,
        1,
    );
    let text = r#"{"type":"record","name":"Order","fields":[{"name":"total","type":"Money"}]}"#;
    let order = |version: u32| json!({ "schema": text, "references": [{ "name": "Money", "subject": "money", "version": version }] });
    desk.check_refused("POST /subjects/order/versions", &schema(text), 42_201);
    desk.check_refused("POST /subjects/order/versions", &order(2), 42_201);
    let made = desk.ask("POST", "/subjects/order/versions", &order(1)).unwrap();
    assert_eq!((&made["id"], &made["version"]), (&json!(2), &json!(1)));
    let described = desk.ask("GET", "/subjects/order/versions/1", &NONE).unwrap();
    assert_eq!(described["references"][0]["subject"], "money");
    assert!(desk.ask("GET", "/schemas/ids/2", &NONE).unwrap()["references"].is_array());
    desk.check("GET /subjects/money/versions/1/referencedby", &NONE, &json!([2]));
    desk.check_refused("DELETE /subjects/money", &NONE, 42_206);
    desk.check_refused("DELETE /subjects/money/versions/1", &NONE, 42_206);
    desk.check("DELETE /subjects/order", &NONE, &json!([1]));
    desk.check("DELETE /subjects/money", &NONE, &json!([1]));
    // The order's id is still resolved, so that what it refers to cannot go for good before it.
    desk.check_refused("DELETE /subjects/money?permanent=true", &NONE, 42_206);
    desk.check("DELETE /subjects/order?permanent=true", &NONE, &json!([1]));
    desk.check("DELETE /subjects/money?permanent=true", &NONE, &json!([1]));
}

#[test]
fn a_read_only_registry_takes_nothing_new() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    desk.check("GET /mode", &NONE, &json!({ "mode": "READWRITE" }));
    desk.check("PUT /mode", &json!({ "mode": "READONLY" }), &json!({ "mode": "READONLY" }));
    desk.check("GET /mode/s?defaultToGlobal=true", &NONE, &json!({ "mode": "READONLY" }));
    desk.check_refused("POST /subjects/s/versions", &schema(V2), 42_205);
    desk.check_refused("DELETE /subjects/s", &NONE, 42_205);
    desk.register("s", V1, 1);
    desk.check("PUT /mode/s", &json!({ "mode": "READWRITE" }), &json!({ "mode": "READWRITE" }));
    desk.register("s", V2, 2);
    desk.check("DELETE /mode/s", &NONE, &json!({ "mode": "READWRITE" }));
    desk.check_refused("DELETE /subjects/s/versions/1", &NONE, 42_205);
    desk.check_refused("PUT /mode", &json!({ "mode": "SOMETIMES" }), 42_204);
}

#[test]
fn everything_is_there_after_a_restart() {
    let mut desk = Desk::new();
    desk.register("s", V1, 1);
    desk.register("s", V2, 2);
    desk.register("gone", V1, 1);
    for (call, body) in [
        ("DELETE /subjects/s/versions/1", NONE),
        ("DELETE /subjects/gone", NONE),
        ("DELETE /subjects/gone?permanent=true", NONE),
        ("PUT /config/s", json!({ "compatibility": "FULL" })),
        ("PUT /mode", json!({ "mode": "READONLY" })),
    ] {
        let (method, path) = call.split_once(' ').unwrap();
        assert!(desk.ask(method, path, &body).is_ok(), "{call}");
    }
    let mut desk = desk.reopened();
    desk.check("GET /subjects?deleted=true", &NONE, &json!(["s"]));
    desk.check("GET /subjects/s/versions", &NONE, &json!([2]));
    desk.check("GET /schemas/ids/1", &NONE, &json!({ "schema": V1, "guid": guid(V1) }));
    desk.check("GET /config/s", &NONE, &json!({ "compatibilityLevel": "FULL" }));
    desk.check("GET /mode", &NONE, &json!({ "mode": "READONLY" }));
}

#[test]
fn small_questions_have_answers() {
    let mut desk = Desk::new();
    desk.check("GET /", &NONE, &json!({}));
    desk.check("GET /schemas/types", &NONE, &json!(["AVRO"]));
    desk.check("GET /contexts", &NONE, &json!(["."]));
    assert!(desk.ask("GET", "/v1/metadata/id", &NONE).is_ok());
    assert!(desk.ask("GET", "/v1/metadata/version", &NONE).is_ok());
}

#[test]
fn a_guid_follows_from_the_schema_and_finds_it() {
    let mut desk = Desk::new();
    let call = "/subjects/s/versions";
    let told = desk.ask("POST", call, &schema(V1)).unwrap();
    let guid = told["guid"].as_str().unwrap().to_owned();
    let other = desk.ask("POST", call, &schema(V2)).unwrap();
    assert_ne!(other["guid"], guid);
    let again = desk.ask("POST", "/subjects/t/versions", &schema(V1)).unwrap();
    assert_eq!(again["guid"], guid);

    let mut desk = desk.reopened();
    let place = format!("/schemas/guids/{guid}");
    let found = desk.ask("GET", &format!("{place}?deleted=true"), &Value::Null).unwrap();
    assert_eq!(found, json!({ "schema": V1, "guid": guid }));
    let ids = json!([{ "context": ".", "id": 1 }]);
    assert_eq!(desk.ask("GET", &format!("{place}/ids"), &Value::Null), Ok(ids));
    for unknown in ["00000000-0000-0000-0000-000000000000", "none"] {
        desk.check_refused(&format!("GET /schemas/guids/{unknown}"), &Value::Null, 40_403);
        desk.check_refused(&format!("GET /schemas/guids/{unknown}/ids"), &Value::Null, 40_403);
    }
}
