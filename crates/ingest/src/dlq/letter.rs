//! One dead letter, with what its headers say.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use upnext_common::position::Position;
use upnext_contract::Reason;
use upnext_contract::letter::{REDRIVEN_FROM, said};
use upnext_kafka::Record;

use super::ATTEMPTS_MAX;

/// Headers by which a producer says who it is, the first that is there counts.
const PRODUCER_HEADERS: [&str; 3] = ["upnext.producer", "producer", "client.id"];
/// Most bytes of a value that a listing shows, and that it keeps.
const PREVIEW_BYTES_MAX: usize = 256;
const KEPT_BYTES_MAX: usize = 1_024;
const KEPT_HEADERS_MAX: usize = 100;
const HOUR_MS: i64 = 3_600_000;

/// A dead letter as it stands on its topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    pub record: Record,
    /// How large the value is; `None` where there is none.
    pub value_bytes: Option<usize>,
    /// The reason's code; one of [`Reason`] unless a later version wrote it.
    pub reason: String,
    pub stage: String,
    pub pointer: String,
    pub detail: String,
    /// Where the rejected record stood; `None` where the headers do not say.
    pub source: Option<Position>,
    /// The schema that the record names, where it could be read.
    pub schema_id: Option<String>,
    /// From 1.
    pub attempt: u32,
    pub first_failed_at_ms: Option<i64>,
    pub processor: String,
}

/// A copy, so that the rest is given back.
fn start_of(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(&bytes[..bytes.len().min(KEPT_BYTES_MAX)])
}

impl Letter {
    #[must_use]
    pub fn of(record: Record) -> Self {
        let text = |name| said(&record.headers, name).unwrap_or_default().to_owned();
        let number = |name| said(&record.headers, name)?.parse::<i64>().ok();
        let source = || {
            Some(Position {
                topic: said(&record.headers, "topic")?.to_owned(),
                partition: said(&record.headers, "partition")?.parse().ok()?,
                offset: number("offset")?,
            })
        };
        Self {
            reason: text("reason"),
            stage: text("stage"),
            pointer: text("pointer"),
            detail: text("detail"),
            source: source(),
            schema_id: Some(text("schema_id")).filter(|id| !id.is_empty()),
            attempt: number("attempt").and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
            first_failed_at_ms: number("first_failed_at"),
            processor: text("processor"),
            value_bytes: record.value.as_ref().map(Bytes::len),
            record,
        }
    }

    /// With only the start of what is large: enough to be shown.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        let record = &mut self.record;
        record.key = record.key.take().map(|key| start_of(&key));
        record.value = record.value.take().map(|value| start_of(&value));
        record.headers.truncate(KEPT_HEADERS_MAX);
        for (_, value) in &mut record.headers {
            *value = value.take().map(|value| start_of(&value));
        }
        self
    }

    /// The reason, unless this version does not know it.
    #[must_use]
    pub fn known_reason(&self) -> Option<Reason> {
        Reason::from_code(&self.reason)
    }

    /// Who wrote the rejected record: a header `upnext.producer`, `producer` or `client.id`, else its schema.
    #[must_use]
    pub fn producer(&self) -> String {
        let named = PRODUCER_HEADERS.iter().find_map(|name| self.record.header(name));
        match (named, &self.schema_id) {
            (Some(name), _) => String::from_utf8_lossy(name).into_owned(),
            (None, Some(id)) => format!("schema {id}"),
            (None, None) => "unknown".to_owned(),
        }
    }

    /// The rejected record's timestamp. The letter bears the same one, unless its topic refused that.
    #[must_use]
    pub fn timestamp_ms(&self) -> i64 {
        let told = said(&self.record.headers, "timestamp").and_then(|text| text.parse().ok());
        told.unwrap_or(self.record.timestamp_ms)
    }

    /// Whether it has failed so often that it is not sent back without being asked for.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.attempt >= ATTEMPTS_MAX
    }

    /// Its record's timestamp at the full hour, as `2026-01-31T07:00Z`.
    #[must_use]
    pub fn hour(&self) -> String {
        let text = stamp(self.record.timestamp_ms.div_euclid(HOUR_MS) * HOUR_MS);
        format!("{}Z", text.get(..16).unwrap_or(&text))
    }

    /// One line and its detail.
    #[must_use]
    pub fn text(&self) -> String {
        let Record { partition, offset, .. } = self.record;
        let source = self.source.as_ref().map_or_else(|| "?".to_owned(), Position::to_string);
        let parked = if self.is_parked() { " parked" } else { "" };
        format!(
            "{partition}/{offset} {} {} at {source} key={} attempt {}{parked} {}: {}\n  {}",
            stamp(self.record.timestamp_ms),
            self.reason,
            preview(self.record.key.as_deref(), None),
            self.attempt,
            if self.pointer.is_empty() { "/" } else { &self.pointer },
            self.detail,
            preview(self.record.value.as_deref(), self.value_bytes),
        )
    }

    /// Everything a program may want, the value only as a preview.
    #[must_use]
    pub fn json(&self) -> Value {
        let headers: Map<String, Value> = self
            .record
            .headers
            .iter()
            .map(|(name, value)| {
                let text = value.as_deref().map(String::from_utf8_lossy);
                (name.clone(), text.map_or(Value::Null, |text| text.into_owned().into()))
            })
            .collect();
        let from = self.record.header(REDRIVEN_FROM).map(String::from_utf8_lossy);
        json!({
            "partition": self.record.partition, "offset": self.record.offset,
            "timestamp_ms": self.record.timestamp_ms,
            "reason": self.reason, "stage": self.stage, "pointer": self.pointer, "detail": self.detail,
            "source": self.source, "schema_id": self.schema_id, "producer": self.producer(),
            "attempt": self.attempt, "parked": self.is_parked(),
            "first_failed_at_ms": self.first_failed_at_ms, "redriven_from": from,
            "key": self.record.key.as_deref().map(String::from_utf8_lossy),
            "value_bytes": self.value_bytes,
            "value": preview(self.record.value.as_deref(), self.value_bytes), "headers": headers,
        })
    }
}

/// The start of a value, bytes that are no printable text as `\xNN`.
fn preview(value: Option<&[u8]>, whole_bytes: Option<usize>) -> String {
    let Some(bytes) = value else { return "null".to_owned() };
    let shown = bytes.iter().take(PREVIEW_BYTES_MAX).flat_map(|byte| byte.escape_ascii());
    let mut text: String = shown.map(char::from).collect();
    let whole_bytes = whole_bytes.unwrap_or(bytes.len());
    if whole_bytes > PREVIEW_BYTES_MAX {
        text.push_str(&format!("… ({whole_bytes} bytes)"));
    }
    text
}

/// A moment as `2026-01-31T07:15:04.123Z`; the civil date by Howard Hinnant's algorithm.
pub(super) fn stamp(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, ms) = (in_day / 1_000, in_day % 1_000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
pub(super) mod tests;
