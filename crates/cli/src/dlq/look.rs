//! `upnext dlq ls`, `count` and `show`.

use std::process::ExitCode;

use serde_json::Value;
use upnext_common::clock::Clock;
use upnext_ingest::dlq::{self, DeadLetters, Filter, Place};

use super::{By, Format, unread};
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::writer;

pub(super) async fn list(
    from: &DeadLetters,
    filter: &Filter,
    (limit, is_oldest): (usize, bool),
    format: Format,
) -> Result<ExitCode, Failure> {
    let found = if is_oldest {
        dlq::oldest(from, filter, limit).await
    } else {
        dlq::newest(from, filter, limit).await
    };
    for letter in found.map_err(unread)? {
        output::line(match format {
            Format::Text => letter.text(),
            Format::Json => letter.json().to_string(),
        });
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn count(
    from: &DeadLetters,
    filter: &Filter,
    by: By,
    format: Format,
) -> Result<ExitCode, Failure> {
    let by = match by {
        By::Reason => dlq::By::Reason,
        By::Producer => dlq::By::Producer,
        By::SchemaId => dlq::By::SchemaId,
        By::Hour => dlq::By::Hour,
    };
    let counted = dlq::count(from, filter, by).await.map_err(unread)?;
    match format {
        Format::Json => output::line(
            serde_json::to_string(&counted).map_err(|error| Failure::Other(error.into()))?,
        ),
        Format::Text => {
            output::line(format!("{} dead letters", counted.total));
            for (kind, count) in counted.counts {
                output::line(format!("{count:>8}  {kind}"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show(
    from: &DeadLetters,
    target: &Target,
    place: Place,
    format: Format,
) -> Result<ExitCode, Failure> {
    let Some(letter) = dlq::one(from, place).await.map_err(unread)? else {
        output::note(format!("no dead letter at {}/{}", place.partition, place.offset));
        return Ok(ExitCode::FAILURE);
    };
    // Without a registry everything but the decoded value can be told.
    let registry = writer::registry(target, &Clock::system()).ok();
    let told = dlq::explain(&letter, registry.as_deref()).await;
    match format {
        Format::Json => output::line(told.to_string()),
        Format::Text => tell(&letter.text(), &told),
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(first: &str, told: &Value) {
    output::line(first);
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    output::line(format!("meaning   {}", text("meaning")));
    output::line(format!("remedy    {}", text("remedy")));
    output::line(format!("redrive   {}", text("redrive")));
    output::line(format!("producer  {}", text("producer")));
    output::line(format!(
        "attempts  {} (first failed at {} ms)",
        told["attempt"], told["first_failed_at_ms"]
    ));
    let decoded = &told["decoded"];
    if let Some(why) = decoded["why_not"].as_str() {
        output::line(format!("decoded   no: {why}"));
    } else {
        output::line(format!("decoded   {} (schema {})", decoded["schema"], decoded["schema_id"]));
        let value = serde_json::to_string_pretty(&decoded["value"]).unwrap_or_default();
        output::line(value);
        if let Some(broken) = decoded["broken"].as_object() {
            output::line(format!(
                "broken    at {} (byte {} after the frame): {}",
                broken["pointer"], broken["byte"], broken["why"]
            ));
        }
    }
    output::line("hex");
    for line in told["hex"].as_array().into_iter().flatten() {
        output::line(format!("  {}", line.as_str().unwrap_or_default()));
    }
    output::line("headers");
    for (name, value) in told["headers"].as_object().into_iter().flatten() {
        output::line(format!("  {name}: {}", value.as_str().unwrap_or("null")));
    }
}
