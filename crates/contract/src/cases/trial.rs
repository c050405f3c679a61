//! One case: the record it describes, judged.

use std::path::Path;

use serde_json::{Map, Value};
use upnext_common::event::EventType;

use super::file::{Case, Expect, File};
use super::{Outcome, TOPIC};
use crate::encoder::Encoder;
use crate::framing::{self, unframe};
use crate::json::{Defaults, read_event};
use crate::judge::{Judge, Raw};
use crate::schemas::{self, subject_of};
use crate::verdict::{Rejection, Verdict};
use crate::writer_schema::{Standing, WriterSchema};

/// Id of the schema that a case's record is written with.
const SCHEMA_ID: u32 = 1;

pub(super) fn run(judge: &Judge, path: &Path, file: &File, case: &Case) -> Outcome {
    let trial = Trial { judge, file, case, event: event_of(file, case) };
    let (found, has_passed) = match trial.verdict() {
        Ok(None) => ("accept".to_owned(), matches!(case.expect, Expect::Word(_))),
        Ok(Some(rejection)) => (rejection.to_string(), is_expected(&case.expect, &rejection)),
        Err(cause) => (format!("cannot be tried: {cause}"), false),
    };
    Outcome {
        name: case.name.value.clone(),
        file: path.to_owned(),
        line: case.line(),
        expected: case.expect.text(),
        found,
        has_passed,
    }
}

fn is_expected(expect: &Expect, found: &Rejection) -> bool {
    match expect {
        Expect::Word(_) => false,
        Expect::Reject(expected) => {
            let has_pointer = expected.pointer.as_ref().is_none_or(|it| *it == found.pointer);
            let has_detail = expected.detail.as_ref().is_none_or(|it| found.detail.contains(it));
            expected.reason == found.reason.code() && has_pointer && has_detail
        }
    }
}

fn event_of(file: &File, case: &Case) -> Map<String, Value> {
    let mut event = file.base.clone();
    event.extend(case.event.clone());
    event.retain(|_, value| !value.is_null());
    event
}

struct Trial<'a> {
    judge: &'a Judge,
    file: &'a File,
    case: &'a Case,
    event: Map<String, Value>,
}

impl Trial<'_> {
    /// The rejection, or none; an error where the case makes no record.
    fn verdict(&self) -> Result<Option<Rejection>, String> {
        if let Some(digits) = &self.case.value {
            return self.verdict_on_value(&bytes_of(digits)?);
        }
        if !self.case.writer.is_empty() {
            let schema = self.writer()?;
            let content = schema.encode(&Value::Object(self.fields()))?;
            return Ok(self.judged(&schema, &framing::frame(SCHEMA_ID, &content)));
        }
        let defaults = Defaults { now_ms: self.record_time() };
        let event = match read_event(&Value::Object(self.event.clone()), defaults) {
            Ok(event) => event,
            Err(rejection) => return Ok(Some(rejection)),
        };
        let value = Encoder::with_ids(|_| SCHEMA_ID).event(&event);
        let value = value.map_err(|error| error.to_string())?;
        let own = schemas::of_event(event.event_type()).text;
        Ok(self.judged(&parsed(own)?, &value))
    }

    /// Bytes as they are, under our schema of the base's type where they get that far.
    fn verdict_on_value(&self, value: &[u8]) -> Result<Option<Rejection>, String> {
        match unframe(value) {
            Err(error) => Ok(Some(error.into())),
            Ok(_) => Ok(self.judged(&parsed(schemas::of_event(self.kind()?).text)?, value)),
        }
    }

    fn judged(&self, schema: &WriterSchema, value: &[u8]) -> Option<Rejection> {
        let subjects = Some(vec![subject_of(TOPIC, schema.full_name())]);
        schema.note_standing(Standing { subjects, asked_at: None });
        let key = match &self.case.key {
            Some(key) => key.as_deref(),
            None => {
                let text = |name| self.event.get(name).and_then(Value::as_str);
                text("user_id").or_else(|| text("anonymous_id"))
            }
        };
        let raw = Raw {
            key: key.map(str::as_bytes),
            value: Some(value),
            schema_header: None,
            timestamp_ms: self.record_time(),
        };
        let verdict = match self.judge.unframed(raw) {
            Ok((_, content)) => self.judge.verdict(schema, content, raw),
            Err(rejection) => Verdict::Reject(rejection),
        };
        verdict.rejection().cloned()
    }

    fn record_time(&self) -> i64 {
        self.case.record_time.unwrap_or(self.file.record_time)
    }

    fn kind(&self) -> Result<EventType, String> {
        let name = self.event.get("type").and_then(Value::as_str).unwrap_or_default();
        EventType::from_name(name).ok_or_else(|| format!("`{name}` is not an event type"))
    }

    /// The event's fields as Avro has them: without the type, which is the schema's name.
    fn fields(&self) -> Map<String, Value> {
        let mut fields = self.event.clone();
        fields.remove("type");
        fields
    }

    /// Our schema with the producer's changes.
    fn writer(&self) -> Result<WriterSchema, String> {
        let text = schemas::of_event(self.kind()?).text;
        let mut schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let fields = schema["fields"].as_array_mut().ok_or("our schema has no fields")?;
        for (name, kind) in &self.case.writer {
            let place = fields.iter().position(|field| field["name"] == *name);
            match (place, kind) {
                (Some(place), Value::Null) => drop(fields.remove(place)),
                (Some(place), kind) => {
                    fields[place] = serde_json::json!({ "name": name, "type": kind });
                }
                (None, kind) => fields.push(serde_json::json!({ "name": name, "type": kind })),
            }
        }
        parsed(&schema.to_string())
    }
}

fn parsed(text: &str) -> Result<WriterSchema, String> {
    WriterSchema::parse(SCHEMA_ID, text, &[]).map_err(|flaw| flaw.to_string())
}

fn bytes_of(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).ok().filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    pairs.collect::<Option<_>>().ok_or_else(|| "the value must be pairs of hex digits".to_owned())
}
