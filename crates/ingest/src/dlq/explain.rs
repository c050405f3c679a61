//! One dead letter, explained: what its reason means, what can be done, and its value as far as it can be read.

use serde_json::{Value, json};
use upnext_contract::framing::unframe_with;
use upnext_contract::{Lookup, RegistryClient, SCHEMA_HEADER};

use super::ATTEMPTS_MAX;
use super::letter::Letter;

/// Most bytes of a value in the dump.
const DUMP_BYTES_MAX: usize = 512;
const DUMP_LINE_BYTES: usize = 16;

/// Everything [`Letter::json`] says, with `meaning`, `remedy`, `redrive`, `attempt` (the decoded value and where it
/// broke) and `hex`. Asks the registry for the schema; one that is away is said, and is no error.
pub async fn explain(letter: &Letter, registry: Option<&RegistryClient>) -> Value {
    let mut told = letter.json();
    let reason = letter.known_reason();
    let value = letter.record.value.as_deref().unwrap_or_default();
    let more = json!({
        "meaning": reason.map_or("this version does not know the reason", |it| it.meaning()),
        "remedy": reason.map(|it| it.remedy()),
        "redrive": outlook(letter),
        "decoded": decoded(value, letter.record.header(SCHEMA_HEADER), registry).await,
        "hex": dump(value),
    });
    if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more);
    }
    told
}

fn outlook(letter: &Letter) -> String {
    if letter.is_parked() {
        return format!("parked after {ATTEMPTS_MAX} attempts: only with --include-parked");
    }
    match letter.known_reason() {
        Some(reason) if reason.may_pass_later() => "sent back by `upnext dlq redrive`".to_owned(),
        Some(reason) => format!("cannot help; sent back only with --reason {}", reason.code()),
        None => "sent back only by a version that knows the reason".to_owned(),
    }
}

async fn decoded(value: &[u8], header: Option<&[u8]>, registry: Option<&RegistryClient>) -> Value {
    let (key, content) = match unframe_with(value, header) {
        Ok(parts) => parts,
        Err(error) => return json!({ "why_not": error.to_string() }),
    };
    let id = key.to_string();
    let Some(registry) = registry else {
        return json!({ "schema_id": id, "why_not": "no registry to ask for the schema" });
    };
    let schema = match registry.schema(key).await {
        Ok(schema) => schema,
        Err(Lookup::Unknown) => {
            return json!({ "schema_id": id, "why_not": "the registry has no such schema" });
        }
        Err(Lookup::Flawed(flaw)) => {
            return json!({ "schema_id": id, "why_not": flaw.to_string() });
        }
        Err(Lookup::Trouble(error)) => {
            return json!({ "schema_id": id, "why_not": error.to_string() });
        }
    };
    let attempt = schema.attempt(content);
    let broken = attempt
        .broken
        .map(|broken| json!({ "pointer": broken.pointer, "byte": broken.byte, "why": broken.why }));
    json!({
        "schema_id": id, "schema": schema.full_name(), "value": attempt.value, "broken": broken,
    })
}

/// Sixteen bytes a line: place, hex, text.
fn dump(value: &[u8]) -> Vec<String> {
    let shown = &value[..value.len().min(DUMP_BYTES_MAX)];
    let line = |(number, bytes): (usize, &[u8])| {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
        let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let text: String = bytes
            .iter()
            .map(|byte| if is_shown(*byte) { char::from(*byte) } else { '.' })
            .collect();
        format!("{:04x}  {hex:<48} {text}", number * DUMP_LINE_BYTES)
    };
    let mut lines: Vec<String> = shown.chunks(DUMP_LINE_BYTES).enumerate().map(line).collect();
    if value.len() > shown.len() {
        lines.push(format!("… {} bytes in all", value.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[tokio::test]
    async fn a_letter_says_what_to_do_about_it() {
        let told = explain(&letter(1, &[("reason", "range")]), None).await;
        assert_eq!(told["meaning"], "a number is out of its range");
        assert_eq!(told["redrive"], "sent back by `upnext dlq redrive`");
        assert_eq!(told["reason"], "range", "what the listing says is there too");
        assert_eq!(told["decoded"]["why_not"], "the value has 4 bytes, a frame has at least 6");
        let told = explain(&letter(1, &[("reason", "bad_magic")]), None).await;
        assert_eq!(told["redrive"], "cannot help; sent back only with --reason bad_magic");
        let told = explain(&letter(1, &[("reason", "range"), ("attempt", "5")]), None).await;
        assert!(told["redrive"].as_str().unwrap().starts_with("parked after 5 attempts"));
        let told = explain(&letter(1, &[("reason", "of tomorrow")]), None).await;
        assert!(told["meaning"].as_str().unwrap().contains("does not know"));
    }

    #[test]
    fn bytes_are_dumped_within_a_bound() {
        assert_eq!(dump(b"\x00bad"), [format!("0000  {:<48} .bad", "00 62 61 64 ")]);
        let lines = dump(&[7; 600]);
        assert_eq!((lines.len(), lines[32].as_str()), (33, "… 600 bytes in all"));
        assert!(dump(b"").is_empty());
    }
}
