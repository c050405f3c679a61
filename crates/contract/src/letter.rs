//! The headers of a dead letter: why it was rejected, where it was read, how often it was tried.

use bytes::Bytes;

use crate::verdict::Rejection;

/// Prefix of the headers that say why a record is a dead letter.
pub const DEAD: &str = "upnext.dlq.";
/// Prefix of the headers that Kafka Connect's tools read.
pub const CONNECT: &str = "__connect.errors.";
/// Header of a record that was sent back: where the rejected one stood, `topic/partition/offset`.
pub const REDRIVEN_FROM: &str = "upnext.redriven.from";

/// A header: its name, and its value unless that is null.
pub type Header = (String, Option<Bytes>);

/// Where the rejected record was read, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// The record's timestamp.
    pub timestamp_ms: i64,
    /// Who rejected it, for example `upnext-ingest`.
    pub processor: &'a str,
}

/// The record's own headers, without what an earlier rejection said, then what this one says. An earlier attempt
/// counts: `attempt` goes up by one, `first_failed_at` stays.
#[must_use]
pub fn headers(
    original: &[Header],
    rejection: &Rejection,
    origin: &Origin<'_>,
    now_ms: i64,
) -> Vec<Header> {
    let mut headers = own(original);
    let before: i64 = said(original, "attempt").and_then(|text| text.parse().ok()).unwrap_or(0);
    let attempt = before.max(0).saturating_add(1).to_string();
    let first_failed_at =
        said(original, "first_failed_at").map_or_else(|| now_ms.to_string(), ToOwned::to_owned);
    let (reason, stage) = (rejection.reason.code(), rejection.stage.name());
    let (partition, offset) = (origin.partition.to_string(), origin.offset.to_string());
    let schema_id = rejection.schema_id.map(|id| id.to_string()).unwrap_or_default();
    let exception = format!("upnext.contract.{reason}");
    let mut say = |prefix: &str, name: &str, value: &str| {
        headers.push((format!("{prefix}{name}"), Some(Bytes::copy_from_slice(value.as_bytes()))));
    };
    for (name, value) in [
        ("reason", reason),
        ("pointer", &rejection.pointer),
        ("detail", &rejection.detail),
        ("stage", stage),
        ("topic", origin.topic),
        ("partition", &partition),
        ("offset", &offset),
        ("timestamp", &origin.timestamp_ms.to_string()),
        ("schema_id", &schema_id),
        ("attempt", &attempt),
        ("processor", origin.processor),
        ("version", env!("CARGO_PKG_VERSION")),
        ("first_failed_at", &first_failed_at),
    ] {
        say(DEAD, name, value);
    }
    for (name, value) in [
        ("topic", origin.topic),
        ("partition", &partition),
        ("offset", &offset),
        ("stage", stage),
        ("exception.class.name", &exception),
        ("exception.message", &rejection.detail),
    ] {
        say(CONNECT, name, value);
    }
    headers
}

/// What the producer wrote: without anything a rejection said.
#[must_use]
pub fn own(headers: &[Header]) -> Vec<Header> {
    let is_said = |name: &str| name.starts_with(DEAD) || name.starts_with(CONNECT);
    headers.iter().filter(|(name, _)| !is_said(name)).cloned().collect()
}

/// What the last header `upnext.dlq.{name}` says.
#[must_use]
pub fn said<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let of = |found: &str| found.strip_prefix(DEAD) == Some(name);
    let (_, value) = headers.iter().rev().find(|(found, _)| of(found))?;
    std::str::from_utf8(value.as_deref()?).ok()
}
