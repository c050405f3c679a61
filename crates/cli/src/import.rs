//! `upnext import`: history from a file, through the real pipeline.

mod bookmark;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use upnext_common::clock::Clock;
use upnext_common::config::Kafka;
use upnext_common::drain::Drain;
use upnext_contract::{Checks, Limits};
use upnext_train::dataset::{DatasetError, Row, Words, read_events, read_items, unknown_words};

use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::stop;
use crate::writer::{InFlight, Writer};
use bookmark::Bookmark;

const BOOKMARK_EVERY: u64 = 20_000;
/// What an event takes on the topic, roughly: for the check against the topic's size.
const EVENT_BYTES: i64 = 200;

/// Import events (CSV or JSON lines, .gz too) and items into a running system.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext import events.csv.gz --items items.jsonl.gz
  upnext import clicks.csv --map bookmark=like --map open=view
  upnext import events.jsonl --speed 100

CSV columns: ts_ms,user_id,session_id,item_id,event_type[,value]; words: view, click, like, cart, purchase, dwell, hide.
An import that was interrupted goes on where it stopped when the same command is run again.")]
pub(crate) struct ImportArgs {
    /// Events
    file: PathBuf,
    /// Catalogue, JSON lines: item_id, title?, category?, price?, attributes?
    #[arg(long, value_name = "ITEMS")]
    items: Option<PathBuf>,
    /// `max`, or how many times faster than it happened
    #[arg(long, default_value = "max")]
    speed: Speed,
    /// Read an unknown word of a CSV file as a known one: bookmark=like; may be repeated
    #[arg(long, value_name = "WORD=KNOWN")]
    map: Vec<String>,
}

/// How fast history is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    Max,
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim_end_matches('x').parse() {
            _ if text == "max" => Ok(Self::Max),
            Ok(times) if times > 0.0 => Ok(Self::Times(times)),
            Ok(_) | Err(_) => Err("write max, or a number such as 100".to_owned()),
        }
    }
}

pub(crate) async fn run(settings: &Settings, args: &ImportArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let clock = Clock::system();
    let drain = Drain::new();
    stop::listen(&drain)?;
    let words = Words::mapping(args.map.iter().map(String::as_str))
        .map_err(|error| Failure::usage(format!("--map: {error}"), "write --map bookmark=like"))?;
    let survey = survey(&args.file, &words)?;
    survey.fits(&config.kafka, clock.now_ms())?;
    let writer = Writer::connect(&Target::find(&config), &clock).await?;
    if let Some(path) = &args.items {
        let items = read_items(path).map_err(unreadable)?;
        writer.items(&items).await?;
        output::line(format!("items: {} written", items.len()));
    }
    let mut import = Import {
        writer: &writer,
        checks: Checks::new(Limits::from(&config.ingest)),
        speed: args.speed,
        clock: &clock,
        drain: &drain,
        in_flight: InFlight::default(),
        counts: Counts::default(),
    };
    let bookmark = Bookmark::of(&config.data_dir, &args.file)?;
    import.run(&args.file, &words, (&bookmark, survey.rows)).await?;
    import.counts.tell();
    if drain.has_started() {
        output::line("stopped; the same command goes on from here");
        return Ok(ExitCode::SUCCESS);
    }
    bookmark.forget();
    Ok(if import.counts.accepted == 0 && survey.rows > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// A first look at the whole file: refused before anything is written.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    rows: u64,
    oldest_ms: Option<i64>,
}

fn survey(path: &Path, words: &Words) -> Result<Survey, Failure> {
    let unknown = unknown_words(path, words).map_err(unreadable)?;
    if !unknown.is_empty() {
        return Err(Failure::usage(
            format!("{}: unknown event types: {}", path.display(), unknown.join(", ")),
            format!("map each to a known word, for example --map {}=view", unknown[0]),
        ));
    }
    let mut survey = Survey::default();
    for row in read_events(path, words).map_err(unreadable)? {
        survey.rows += 1;
        if let Ok(row) = row {
            let oldest = survey.oldest_ms.unwrap_or(row.record_ms);
            survey.oldest_ms = Some(oldest.min(row.record_ms));
        }
    }
    Ok(survey)
}

impl Survey {
    /// History that the topic would drop at once is refused.
    fn fits(&self, kafka: &Kafka, now_ms: i64) -> Result<(), Failure> {
        if let (Some(retention_ms), Some(oldest_ms)) = (kafka.events_retention_ms, self.oldest_ms)
            && oldest_ms < now_ms.saturating_sub(retention_ms)
        {
            return Err(Failure::refused(
                "the oldest events are older than the topic keeps: they would be dropped at once",
                "unset kafka.events_retention_ms, or make it longer than the history",
            ));
        }
        let room = kafka.events_retention_bytes.saturating_mul(i64::from(kafka.partitions));
        let size = i64::try_from(self.rows).unwrap_or(i64::MAX).saturating_mul(EVENT_BYTES);
        if kafka.events_retention_bytes >= 0 && size > room {
            return Err(Failure::refused(
                format!(
                    "{} events take more room than the topic has: the first would be dropped",
                    self.rows
                ),
                "raise kafka.events_retention_bytes (per partition), or set it to -1",
            ));
        }
        Ok(())
    }
}

fn unreadable(error: DatasetError) -> Failure {
    Failure::usage(error.to_string(), "see `upnext import --help` for the form of the file")
}

/// What became of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    accepted: u64,
    /// Taken over from an earlier, interrupted run.
    resumed: u64,
    rejected: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn tell(&self) {
        let rejected: u64 = self.rejected.values().sum();
        let before =
            if self.resumed > 0 { format!(" ({} before)", self.resumed) } else { String::new() };
        output::line(format!("events: {} accepted{before}, {rejected} rejected", self.accepted));
        for (reason, count) in &self.rejected {
            output::line(format!("  {reason}: {count}"));
        }
    }
}

/// An import under way.
struct Import<'a> {
    writer: &'a Writer,
    checks: Checks,
    speed: Speed,
    clock: &'a Clock,
    drain: &'a Drain,
    in_flight: InFlight,
    counts: Counts,
}

impl Import<'_> {
    async fn run(
        &mut self,
        path: &Path,
        words: &Words,
        (bookmark, rows): (&Bookmark, u64),
    ) -> Result<(), Failure> {
        let mut progress = Progress::new("import", self.clock);
        self.counts.resumed = bookmark.rows();
        let mut last_ms = None;
        let mut done = 0;
        for row in read_events(path, words).map_err(unreadable)? {
            done += 1;
            if done <= self.counts.resumed {
                continue;
            }
            if self.drain.has_started() {
                done -= 1;
                break;
            }
            self.take(row, &mut last_ms).await?;
            progress.tell(done, rows, "events");
            if done % BOOKMARK_EVERY == 0 {
                self.in_flight.settle().await?;
                bookmark.save(done)?;
            }
        }
        self.in_flight.settle().await?;
        bookmark.save(done)?;
        progress.finish(&format!("{done} of {rows} rows read"));
        Ok(())
    }

    async fn take(
        &mut self,
        row: Result<Row, DatasetError>,
        last_ms: &mut Option<i64>,
    ) -> Result<(), Failure> {
        let row = match row {
            Ok(row) => row,
            Err(error @ (DatasetError::Unreadable { .. } | DatasetError::Header { .. })) => {
                return Err(unreadable(error));
            }
            Err(DatasetError::BadRow { .. } | DatasetError::UnknownWord { .. }) => {
                *self.counts.rejected.entry("unreadable_row").or_default() += 1;
                return Ok(());
            }
        };
        if let Some(objection) = self.checks.first_objection(&row.event, row.record_ms) {
            *self.counts.rejected.entry(objection.reason.code()).or_default() += 1;
            return Ok(());
        }
        self.pace(row.record_ms, last_ms).await;
        self.in_flight.push(self.writer.event(&row.event, row.record_ms).await?).await?;
        self.counts.accepted += 1;
        Ok(())
    }

    /// Waits as long as the event was away from the one before it, divided by the speed.
    async fn pace(&self, record_ms: i64, last_ms: &mut Option<i64>) {
        let gap_ms = last_ms.map_or(0, |last| record_ms - last).max(0);
        *last_ms = Some(record_ms);
        if let Speed::Times(times) = self.speed {
            let wait = Duration::from_millis(gap_ms.unsigned_abs()).div_f64(times);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.drain.started() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
