//! JSON lines: events in the form of `POST /v1/events`, one per line.

use serde_json::Value;
use upnext_common::event::Event;
use upnext_contract::json::{Defaults, read_event};

use super::{DatasetError, event_id};

pub(super) fn event(text: &str, line: u64) -> Result<Event, DatasetError> {
    let bad = |message: String| DatasetError::BadRow { line, message };
    let mut value = serde_json::from_str::<Value>(text).map_err(|cause| bad(cause.to_string()))?;
    let fields = value.as_object_mut().ok_or_else(|| bad("not a JSON object".to_owned()))?;
    if !fields.contains_key("event_time") {
        return Err(bad("event_time is missing".to_owned()));
    }
    if !fields.contains_key("event_id") {
        fields.insert("event_id".to_owned(), Value::String(event_id(text, line)));
    }
    read_event(&value, Defaults { now_ms: 0 })
        .map_err(|rejection| bad(format!("{}: {}", rejection.pointer, rejection.detail)))
}
