//! A request taken apart: the place it names, its switches, its body.

use serde_json::Value;
use upnext_http::axum::http::Uri;

use crate::refusal::Refusal;
use crate::schemas::{Reference, Scope, Written};

/// What of a schema's surroundings would change how data are read or checked, and is not done here.
const UNSUPPORTED: &[&str] = &["metadata", "ruleSet", "schemaTagsToAdd", "schemaTagsToRemove"];
const SCHEMA_BYTES_MAX: usize = 512 << 10;
const REFERENCES_MAX: usize = 100;
const SUBJECT_BYTES_MAX: usize = 1_024;

/// A place of the interface. `Subject("a")` is `/subjects/a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Root,
    Subjects,
    Subject(String),
    Versions(String),
    Version(String, String),
    VersionSchema(String, String),
    ReferencedBy(String, String),
    Schemas,
    Schema(String),
    SchemaText(String),
    SchemaVersions(String),
    SchemaSubjects(String),
    SchemaOfGuid(String),
    IdsOfGuid(String),
    SchemaTypes,
    Compatibility(String),
    CompatibilityOf(String, String),
    Config(Option<String>),
    Mode(Option<String>),
    Contexts,
    ClusterId,
    ServerVersion,
}

impl Place {
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let parts: Vec<String> =
            uri.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        let own = |text: &&str| (*text).to_owned();
        Some(match words.as_slice() {
            [] => Self::Root,
            ["subjects"] => Self::Subjects,
            ["subjects", subject] => Self::Subject(own(subject)),
            ["subjects", subject, "versions"] => Self::Versions(own(subject)),
            ["subjects", subject, "versions", version] => Self::Version(own(subject), own(version)),
            ["subjects", subject, "versions", version, "schema"] => {
                Self::VersionSchema(own(subject), own(version))
            }
            ["subjects", subject, "versions", version, "referencedby"] => {
                Self::ReferencedBy(own(subject), own(version))
            }
            ["schemas"] => Self::Schemas,
            ["schemas", "ids", id] => Self::Schema(own(id)),
            ["schemas", "ids", id, "schema"] => Self::SchemaText(own(id)),
            ["schemas", "ids", id, "versions"] => Self::SchemaVersions(own(id)),
            ["schemas", "ids", id, "subjects"] => Self::SchemaSubjects(own(id)),
            ["schemas", "guids", guid] => Self::SchemaOfGuid(own(guid)),
            ["schemas", "guids", guid, "ids"] => Self::IdsOfGuid(own(guid)),
            ["schemas", "types"] => Self::SchemaTypes,
            ["compatibility", "subjects", subject, "versions"] => Self::Compatibility(own(subject)),
            ["compatibility", "subjects", subject, "versions", version] => {
                Self::CompatibilityOf(own(subject), own(version))
            }
            ["config"] => Self::Config(None),
            ["config", subject] => Self::Config(Some(own(subject))),
            ["mode"] => Self::Mode(None),
            ["mode", subject] => Self::Mode(Some(own(subject))),
            ["contexts"] => Self::Contexts,
            ["v1", "metadata", "id"] => Self::ClusterId,
            ["v1", "metadata", "version"] => Self::ServerVersion,
            _ => return None,
        })
    }
}

/// The switches behind the question mark. Clients write booleans in any case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switches(Vec<(String, String)>);

impl Switches {
    pub(crate) fn of(uri: &Uri) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(name), decoded(value))
        };
        Self(uri.query().unwrap_or_default().split('&').map(pair).collect())
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The part of a list that `offset` and `limit` ask for.
    pub(crate) fn page<T>(&self, all: impl Iterator<Item = T>) -> Vec<T> {
        let number = |name| self.value(name).and_then(|value| value.parse::<usize>().ok());
        let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        all.skip(number("offset").unwrap_or(0)).take(limit).collect()
    }

    /// Whether soft-deleted versions are asked for too.
    pub(crate) fn scope(&self) -> Scope {
        let is_all = self.is_on("deleted") || self.is_on("deletedOnly");
        if is_all { Scope::All } else { Scope::Live }
    }
}

/// A schema to be registered, looked up or compared.
pub(crate) struct Offered {
    pub(crate) written: Written,
    /// The id and version it has elsewhere, for imports.
    pub(crate) id: Option<u32>,
    pub(crate) version: Option<u32>,
}

/// The schema in a request's body.
pub(crate) fn offered(body: &[u8]) -> Result<Offered, Refusal> {
    let body = json(body)?;
    let kind = body.get("schemaType").and_then(Value::as_str).unwrap_or("AVRO");
    if kind != "AVRO" {
        return Err(Refusal::invalid_schema(format!("type {kind} is not supported, only AVRO")));
    }
    for field in UNSUPPORTED {
        if body.get(*field).is_some_and(|value| !is_nothing(value)) {
            return Err(Refusal::invalid_schema(format!("`{field}` is not supported")));
        }
    }
    let text = body.get("schema").and_then(Value::as_str).unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Refusal::invalid_schema("it is empty"));
    }
    if text.len() > SCHEMA_BYTES_MAX {
        let message = format!("Schema has {} bytes, {SCHEMA_BYTES_MAX} are allowed", text.len());
        return Err(Refusal::new(42_209, message));
    }
    let references: Vec<Reference> = match body.get("references") {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => serde_json::from_value(list.clone()).map_err(Refusal::invalid_schema)?,
    };
    if references.len() > REFERENCES_MAX {
        let message =
            format!("it has {} references, {REFERENCES_MAX} are allowed", references.len());
        return Err(Refusal::invalid_schema(message));
    }
    // Clients write -1 or 0 where they name none.
    let number = |name: &str| match body.get(name).and_then(Value::as_i64) {
        Some(number) if number > i64::from(i32::MAX) => {
            let message = format!("{name} {number} is above {}", i32::MAX);
            Err(Refusal::invalid_schema(message))
        }
        Some(number) if number > 0 => Ok(u32::try_from(number).ok()),
        Some(_) | None => Ok(None),
    };
    let (id, version) = (number("id")?, number("version")?);
    Ok(Offered { written: Written { text: text.to_owned(), references }, id, version })
}

/// The same where its id and version do not matter.
pub(crate) fn written(body: &[u8]) -> Result<Written, Refusal> {
    offered(body).map(|offered| offered.written)
}

/// Refuses names of subjects that this registry could not keep apart.
pub(crate) fn check_subject(subject: &str) -> Result<(), Refusal> {
    if subject.starts_with(":.") || subject.starts_with(":*") {
        let message = format!("Subject '{subject}' is in a context: contexts are not supported");
        return Err(Refusal::new(42_208, message));
    }
    let is_name = (1..=SUBJECT_BYTES_MAX).contains(&subject.len())
        && !subject.chars().any(char::is_control)
        && !matches!(subject, "__GLOBAL" | "__EMPTY");
    if is_name {
        return Ok(());
    }
    let message = format!("The specified subject '{}' is not valid", subject.escape_debug());
    Err(Refusal::new(42_208, message))
}

/// Refuses settings beside the one that is known, rather than forget them silently.
pub(crate) fn check_only(body: &[u8], known: &str) -> Result<(), Refusal> {
    let body = json(body)?;
    let mut fields = body.as_object().into_iter().flatten();
    match fields.find(|(name, value)| *name != known && !is_nothing(value)) {
        None => Ok(()),
        Some((name, _)) => Err(Refusal::new(422, format!("`{name}` is not supported here"))),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) | Value::String(_) => false,
    }
}

/// A text field of a request's body.
pub(crate) fn word(body: &[u8], name: &str) -> Result<String, Refusal> {
    let body = json(body)?;
    Ok(body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, format!("malformed JSON: {error}")))
}

/// Percent-decoded; what is not UTF-8 or no code stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match hex(bytes.get(at + 1), bytes.get(at + 2)) {
            Some(code) if *byte == b'%' => {
                out.push(code);
                at += 3;
            }
            Some(_) | None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn hex(high: Option<&u8>, low: Option<&u8>) -> Option<u8> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high?)? * 16 + digit(low?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Place>) {
        assert_eq!(Place::of(&path.parse().unwrap()), expected, "{path}");
    }

    #[test]
    fn paths_name_places() {
        check("/", Some(Place::Root));
        check("/subjects/", Some(Place::Subjects));
        check("/subjects/a%2Fb%20c", Some(Place::Subject("a/b c".to_owned())));
        check("/subjects/a%zz", Some(Place::Subject("a%zz".to_owned())));
        check("/config/a?x=1", Some(Place::Config(Some("a".to_owned()))));
        check("/schemas/ids/7/versions", Some(Place::SchemaVersions("7".to_owned())));
        check("/schemas/guids/g/ids", Some(Place::IdsOfGuid("g".to_owned())));
        check("/associations/resources/-/topic", None);
    }

    #[test]
    fn switches_are_read_in_any_case() {
        let switches = Switches::of(&"/s?deleted=True&verbose=false&p=a%20b&x".parse().unwrap());
        assert_eq!(switches.scope(), Scope::All);
        assert!(!switches.is_on("verbose"));
        assert!(!switches.is_on("absent"));
        assert_eq!((switches.value("p"), switches.value("x")), (Some("a b"), Some("")));
    }

    #[test]
    fn bodies_without_a_schema_are_refused() {
        for (body, code) in [
            ("", 400),
            ("{", 400),
            ("{}", 42_201),
            (r#"{"schema":"  "}"#, 42_201),
            (r#"{"schema":"x","schemaType":"PROTOBUF"}"#, 42_201),
            (r#"{"schema":"x","references":[{"name":1}]}"#, 42_201),
        ] {
            assert_eq!(written(body.as_bytes()).unwrap_err().code, code, "{body}");
        }
        let whole = r#"{"schema":"\"int\"","references":[{"name":"n","subject":"s","version":1}]}"#;
        assert_eq!(written(whole.as_bytes()).unwrap().references.len(), 1);
    }

    #[test]
    fn a_number_that_leaves_no_room_for_the_next_is_refused() {
        let body = |number: i64| format!(r#"{{"schema":"\"string\"","id":{number},"version":-1}}"#);
        let id = |number| offered(body(number).as_bytes()).map(|offered| offered.id).ok();
        assert_eq!(id(2_147_483_647), Some(Some(2_147_483_647)));
        assert_eq!(id(2_147_483_648), None);
        assert_eq!(id(4_294_967_295), None);
        assert_eq!((id(0), id(-1)), (Some(None), Some(None)));
    }
}
