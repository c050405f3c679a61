//! The description is valid OpenAPI: what the rules of 3.1 ask, checked on the JSON itself.

use std::collections::HashSet;

use serde_json::Value;

use super::*;

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn document() -> Value {
    serde_json::to_value(Api::openapi()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &'static str, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = methods.get(method) {
                found.push((path.clone(), method, operation));
            }
        }
    }
    found
}

fn visit<'a>(value: &'a Value, each: &mut impl FnMut(&'a Value)) {
    each(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, each)),
        Value::Object(fields) => fields.values().for_each(|field| visit(field, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_call_is_described_once() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut calls: Vec<_> =
        operations(&document).iter().map(|(path, method, _)| format!("{method} {path}")).collect();
    calls.sort();
    let expected = [
        "delete /v1/items/{id}",
        "delete /v1/users/{id}",
        "get /v1/items/{id}",
        "get /v1/items/{id}/similar",
        "get /v1/recommendations/{user_id}",
        "get /v1/trending",
        "get /v1/users/{id}/export",
        "get /v1/users/{id}/features",
        "patch /v1/items/{id}",
        "post /v1/events",
        "post /v1/items/{id}:hide",
        "post /v1/items/{id}:show",
        "post /v1/items:batch",
        "post /v1/rank",
        "post /v1/recommendations",
        "put /v1/items/{id}",
    ];
    assert_eq!(calls, expected);
}

#[test]
fn operation_ids_are_unique_and_responses_have_descriptions() {
    let document = document();
    let mut ids = HashSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an operation id");
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.is_empty(), "{method} {path}");
        for (status, response) in responses {
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{method} {path} {status}");
            assert!(status.parse::<u16>().is_ok(), "{method} {path} {status}");
        }
    }
}

#[test]
fn every_parameter_of_a_path_is_declared() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let declared: HashSet<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| {
                assert_eq!(parameter["required"], true, "{method} {path}");
                parameter["name"].as_str().unwrap().to_owned()
            })
            .collect();
        let named: HashSet<_> = path
            .split('{')
            .skip(1)
            .map(|rest| rest.split('}').next().unwrap().to_owned())
            .collect();
        assert_eq!(declared, named, "{method} {path}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = 0;
    visit(&document, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            references += 1;
            let pointer = reference.strip_prefix('#').expect("references stay in the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    });
    assert!(references > 10);
}

#[test]
fn refusals_are_described_as_problems() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            if status.starts_with('2') {
                continue;
            }
            let content = response["content"].as_object().unwrap();
            assert!(content.contains_key("application/problem+json"), "{method} {path} {status}");
        }
    }
}
