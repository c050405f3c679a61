//! Which dead letters are meant, as flags.

use std::str::FromStr;

use clap::Args;
use upnext_common::clock::Clock;
use upnext_ingest::dlq::Filter;

use crate::failure::Failure;
use crate::stop::Span;

/// Filters; all that are given must hold.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Chosen {
    /// Only this reason; may be repeated
    #[arg(long, value_name = "CODE")]
    reason: Vec<String>,
    /// Only this stage: framing, schema, decode, contract, stream or internal
    #[arg(long)]
    stage: Option<String>,
    /// Only records that were read from this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only records that were read from this partition of it
    #[arg(long)]
    partition: Option<i32>,
    /// Only the record that was read at this offset
    #[arg(long)]
    offset: Option<i64>,
    /// Only records that name this schema
    #[arg(long, value_name = "ID")]
    schema_id: Option<String>,
    /// Only records under this key: the user
    #[arg(long)]
    key: Option<String>,
    /// Only records of this producer: its header upnext.producer, producer or client.id, else "schema ID"
    #[arg(long)]
    producer: Option<String>,
    /// Only records with a timestamp from then on: 30m, 2h, 7d ago, or milliseconds since 1970
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Only records with a timestamp before then
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
    /// Only what has failed so often
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

/// A moment, or how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Ago(Span),
    AtMs(i64),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}`: write 30m, 2h or 7d ago, or milliseconds since 1970");
        if let Ok(ms) = text.parse() {
            return Ok(Self::AtMs(ms));
        }
        let hours =
            text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()?.checked_mul(24));
        let span = hours.map_or_else(|| text.parse(), |hours| format!("{hours}h").parse());
        span.map(Self::Ago).map_err(|_| wrong())
    }
}

impl When {
    fn ms(self, now_ms: i64) -> i64 {
        match self {
            Self::AtMs(ms) => ms,
            Self::Ago(Span(span)) => {
                now_ms.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

impl Chosen {
    /// # Errors
    /// [`Failure::Usage`] for a reason or stage that is none.
    pub(super) fn filter(&self) -> Result<Filter, Failure> {
        let now_ms = Clock::system().now_ms();
        let filter = Filter {
            reason: self.reason.clone(),
            stage: self.stage.clone(),
            topic: self.topic.clone(),
            partition: self.partition,
            offset: self.offset,
            schema_id: self.schema_id.clone(),
            key: self.key.clone(),
            producer: self.producer.clone(),
            since_ms: self.since.map(|when| when.ms(now_ms)),
            until_ms: self.until.map(|when| when.ms(now_ms)),
            attempt: self.attempt,
        };
        filter.check().map_err(|error| {
            Failure::usage(
                format!("unknown {} `{}`", error.what, error.found),
                format!("known: {}", error.known),
            )
        })?;
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_ago_or_as_milliseconds() {
        let ms = |text: &str| text.parse::<When>().unwrap().ms(1_000_000_000);
        assert_eq!(ms("1700000000000"), 1_700_000_000_000);
        assert_eq!(ms("2m"), 1_000_000_000 - 120_000);
        assert_eq!(ms("2d"), 1_000_000_000 - 172_800_000);
        for wrong in ["yesterday", "-", "2w", ""] {
            assert!(wrong.parse::<When>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reason_that_is_none_is_a_usage_error() {
        let chosen = Chosen { reason: vec!["lateness".to_owned()], ..Chosen::default() };
        let Failure::Usage { what, hint } = chosen.filter().unwrap_err() else { panic!("usage") };
        assert_eq!(what, "unknown reason `lateness`");
        assert!(hint.contains("late"), "{hint}");
    }
}
