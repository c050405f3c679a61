//! `upnext dlq`: what the contract rejected, and why.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use upnext_common::topic::Topic;
use upnext_kafka::Record;

use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;
use crate::topic::read_topic;

/// Most bytes of a value that are shown.
const SHOWN_BYTES_MAX: usize = 256;

/// Look at dead letters.
#[derive(Args, Debug)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    verb: DlqVerb,
}

#[derive(Debug, Subcommand)]
enum DlqVerb {
    /// Count dead letters by reason
    #[command(after_help = "Examples:\n  upnext dlq ls\n  upnext dlq ls --format json")]
    Ls {
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show the newest dead letters with their reason, place and value
    #[command(after_help = "Examples:
  upnext dlq show
  upnext dlq show --reason range --limit 50 --format json")]
    Show {
        /// Only those with this reason
        #[arg(long)]
        reason: Option<String>,
        /// At most so many, the newest
        #[arg(long, default_value_t = 10)]
        limit: usize,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) async fn run(settings: &Settings, args: &DlqArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let target = Target::find(&config);
    let topic = Topic::DeadLetters.name(&config.kafka.topic_prefix);
    let letters = read_topic(&target.brokers()?, &topic).await?;
    match &args.verb {
        DlqVerb::Ls { format } => list(&letters, *format),
        DlqVerb::Show { reason, limit, format } => {
            for letter in chosen(&letters, reason.as_deref(), *limit) {
                output::line(match format {
                    Format::Text => text_of(letter),
                    Format::Json => json_of(letter).to_string(),
                });
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(letters: &[Record], format: Format) {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for letter in letters {
        *counts.entry(header(letter, "reason")).or_default() += 1;
    }
    match format {
        Format::Json => {
            output::line(json!({ "total": letters.len(), "reasons": counts }).to_string())
        }
        Format::Text => {
            output::line(format!("{} dead letters", letters.len()));
            for (reason, count) in counts {
                output::line(format!("{count:>8}  {reason}"));
            }
        }
    }
}

/// The newest `limit` with that reason, oldest of them first.
fn chosen<'a>(letters: &'a [Record], reason: Option<&str>, limit: usize) -> Vec<&'a Record> {
    let is_meant =
        |letter: &&Record| reason.is_none_or(|wanted| header(letter, "reason") == wanted);
    let mut found: Vec<&Record> = letters.iter().filter(is_meant).collect();
    found.sort_by_key(|letter| (letter.timestamp_ms, letter.partition, letter.offset));
    found.split_off(found.len().saturating_sub(limit))
}

fn header(letter: &Record, name: &str) -> String {
    let value = letter.header(&format!("upnext.dlq.{name}")).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

fn text_of(letter: &Record) -> String {
    let say = |name| header(letter, name);
    format!(
        "{} at {}[{}]@{} key={} {} {}\n  {}",
        say("reason"),
        say("topic"),
        say("partition"),
        say("offset"),
        preview(letter.key.as_deref()),
        say("pointer"),
        say("detail"),
        preview(letter.value.as_deref()),
    )
}

fn json_of(letter: &Record) -> Value {
    let headers: BTreeMap<&str, String> = letter
        .headers
        .iter()
        .map(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            (name.as_str(), String::from_utf8_lossy(value).into_owned())
        })
        .collect();
    json!({
        "partition": letter.partition, "offset": letter.offset, "timestamp_ms": letter.timestamp_ms,
        "key": letter.key.as_deref().map(String::from_utf8_lossy),
        "value": preview(letter.value.as_deref()), "headers": headers,
    })
}

/// The start of a value, bytes that are no printable text as `\xNN`.
fn preview(value: Option<&[u8]>) -> String {
    let Some(bytes) = value else { return "null".to_owned() };
    let shown = bytes.iter().take(SHOWN_BYTES_MAX).flat_map(|byte| byte.escape_ascii());
    let mut text: String = shown.map(char::from).collect();
    if bytes.len() > SHOWN_BYTES_MAX {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn letter(reason: &str, offset: i64) -> Record {
        Record {
            topic: Arc::from("t.events.dlq.v1"),
            partition: 0,
            offset,
            timestamp_ms: offset,
            key: Some(Bytes::from_static(b"u1")),
            value: Some(Bytes::from_static(b"\x00bad")),
            headers: vec![
                ("upnext.dlq.reason".to_owned(), Some(Bytes::copy_from_slice(reason.as_bytes()))),
                ("own".to_owned(), None),
            ],
        }
    }

    #[test]
    fn the_newest_of_a_reason_are_chosen() {
        let letters = [letter("range", 3), letter("framing", 2), letter("range", 1)];
        let offsets = |reason, limit| {
            let found = chosen(&letters, reason, limit);
            found.into_iter().map(|letter| letter.offset).collect::<Vec<_>>()
        };
        assert_eq!(offsets(Some("range"), 9), [1, 3]);
        assert_eq!(offsets(None, 2), [2, 3]);
        assert!(offsets(Some("unheard"), 9).is_empty());
    }

    #[test]
    fn a_letter_is_shown_with_its_reason_and_unprintable_bytes() {
        let letter = letter("framing", 1);
        assert!(text_of(&letter).contains("framing at"));
        assert!(text_of(&letter).ends_with("\\x00bad"));
        let json = json_of(&letter);
        assert_eq!(json["headers"]["upnext.dlq.reason"], "framing");
        assert_eq!(json["key"], "u1");
    }

    #[test]
    fn long_values_are_cut_and_absent_ones_said() {
        let text = preview(Some(&[b'a'; 300]));
        assert!(text.ends_with("… (300 bytes)") && text.len() < 300);
        assert_eq!(preview(None), "null");
    }
}
