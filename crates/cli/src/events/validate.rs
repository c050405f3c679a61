//! `upnext events validate`: a file of events judged by the contract, without a running system.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_contract::json::{Defaults, read_event};
use upnext_contract::{Checks, Limits, Reason, Rejection};
use upnext_train::dataset::{self, DatasetError, Lines, Words};

use crate::failure::Failure;
use crate::output;

/// Longest line that is read from standard input, bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Judge events (JSON lines or CSV, .gz too) by the contract, without a running system
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext events validate events.jsonl
  upnext events validate history.csv.gz --show 5
  upnext events validate events.jsonl --format json --allow ts_too_old=10
  echo '{\"type\":\"ItemClicked\",\"item_id\":\"p00001\"}' | upnext events validate -

JSON lines are judged as if sent now, CSV rows as if sent when they happened (as `upnext import` does).
Exit codes: 0 all good, or no more bad ones than allowed; 1 otherwise; 64 the file cannot be read.")]
pub(crate) struct ValidateArgs {
    /// JSON lines or CSV; `-` is standard input (JSON lines)
    file: PathBuf,
    /// Judge JSON lines too as if each was sent when it happened
    #[arg(long)]
    at_event_time: bool,
    /// Allow so many with this reason; may be repeated
    #[arg(long, value_name = "REASON=N", value_parser = allowance)]
    allow: Vec<(Reason, u64)>,
    /// Show at most so many of the bad ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn allowance(text: &str) -> Result<(Reason, u64), String> {
    let (code, count) = text.split_once('=').ok_or("write REASON=N, for example range=3")?;
    let reason = Reason::from_code(code).ok_or_else(|| {
        format!("unknown reason `{code}`; known: {}", Reason::ALL.map(Reason::code).join(", "))
    })?;
    let count = count.parse().map_err(|_| format!("`{count}` is no count"))?;
    Ok((reason, count))
}

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// Whether there are no more bad ones than allowed.
    ok: bool,
    accepted: u64,
    rejected: u64,
    /// Rejected, by reason.
    counts: BTreeMap<&'static str, u64>,
    /// The first bad ones.
    failures: Vec<Bad>,
}

#[derive(Debug, Serialize)]
struct Bad {
    line: u64,
    event_id: Option<String>,
    reason: &'static str,
    pointer: String,
    detail: String,
}

/// One event of the file: where it stands, its id, and what speaks against it.
type Judged = (u64, Option<String>, Option<Rejection>);

pub(super) fn run(config: &Config, args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let judge = Judge {
        checks: Checks::new(Limits::from(&config.ingest)),
        now_ms: Clock::system().now_ms(),
        at_event_time: args.at_event_time,
    };
    let mut found = Found::default();
    let mut note = |judged: Judged| found.note(judged, args.show);
    if args.file.as_os_str() == "-" {
        judge.standard_input(&mut note)?;
    } else {
        judge.file(&args.file, &mut note)?;
    }
    let allowed = |reason: &str| {
        args.allow.iter().filter(|(it, _)| it.code() == reason).map(|(_, count)| count).sum()
    };
    found.ok = found.counts.iter().all(|(reason, count)| *count <= allowed(reason));
    found.show(args.format)?;
    Ok(if found.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Judge {
    checks: Checks,
    now_ms: i64,
    at_event_time: bool,
}

impl Judge {
    fn file(&self, path: &Path, note: &mut dyn FnMut(Judged)) -> Result<(), Failure> {
        let failed = |error: DatasetError| {
            Failure::usage(error.to_string(), "write JSON lines, or CSV with a header")
        };
        let mut lines = Lines::open(path).map_err(failed)?;
        if lines.starts_with(b'{') {
            while let Some(line) = lines.next_line() {
                match line {
                    Ok((number, text)) => note(self.json(number, &text)),
                    Err(DatasetError::BadRow { line, message }) => note(unreadable(line, message)),
                    Err(error) => return Err(failed(error)),
                }
            }
            return Ok(());
        }
        for row in dataset::read_events(path, &Words::default()).map_err(failed)? {
            match row {
                Ok(row) => {
                    let objection = self.checks.first_objection(&row.event, row.record_ms);
                    note((row.line, Some(row.event.event_id), objection));
                }
                Err(DatasetError::BadRow { line, message }) => note(unreadable(line, message)),
                Err(DatasetError::UnknownWord { line, word, known }) => {
                    let detail = format!("`{word}` is not one of {known}");
                    note((line, None, Some(Rejection::new(Reason::Enum, "/type", detail))));
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn standard_input(&self, note: &mut dyn FnMut(Judged)) -> Result<(), Failure> {
        let mut input = stdin().lock();
        for number in 1.. {
            let mut text = Vec::new();
            let read = input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
            let read = read.map_err(|error| Failure::Other(error.into()))?;
            if read == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&text);
            if !text.trim().is_empty() {
                note(self.json(number, text.trim()));
            }
        }
        Ok(())
    }

    fn json(&self, line: u64, text: &str) -> Judged {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => return unreadable(line, format!("not JSON: {error}")),
        };
        let event_id = value.get("event_id").and_then(Value::as_str).map(str::to_owned);
        let objection = match read_event(&value, Defaults { now_ms: self.now_ms }) {
            Ok(event) => {
                let sent_ms = if self.at_event_time { event.event_time_ms } else { self.now_ms };
                self.checks.first_objection(&event, sent_ms)
            }
            Err(rejection) => Some(rejection),
        };
        (line, event_id, objection)
    }
}

fn unreadable(line: u64, message: String) -> Judged {
    (line, None, Some(Rejection::new(Reason::Format, "", message)))
}

impl Found {
    fn note(&mut self, (line, event_id, objection): Judged, shown_max: usize) {
        let Some(Rejection { reason, pointer, detail, .. }) = objection else {
            self.accepted += 1;
            return;
        };
        let reason = reason.code();
        self.rejected += 1;
        *self.counts.entry(reason).or_default() += 1;
        if self.failures.len() < shown_max {
            self.failures.push(Bad { line, event_id, reason, pointer, detail });
        }
    }

    fn show(&self, format: Format) -> Result<(), Failure> {
        if format == Format::Json {
            let text = serde_json::to_string(self).map_err(|error| Failure::Other(error.into()))?;
            output::line(text);
            return Ok(());
        }
        for Bad { line, reason, pointer, detail, .. } in &self.failures {
            output::line(super::rejection(*line, reason, pointer, detail));
        }
        let left = self.rejected.saturating_sub(self.failures.len() as u64);
        if left > 0 {
            output::line(format!("… and {left} more"));
        }
        output::line(format!("{} accepted, {} rejected", self.accepted, self.rejected));
        for (reason, count) in &self.counts {
            output::line(format!("{count:>8}  {reason}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowances_name_a_reason_and_a_count() {
        assert_eq!(allowance("range=3"), Ok((Reason::Range, 3)));
        for wrong in ["range", "lateness=1", "range=few", "=1"] {
            assert!(allowance(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn time_is_now_or_the_events_own() {
        let mut judge = Judge {
            checks: Checks::new(Limits::default()),
            now_ms: 1_800_000_000_000,
            at_event_time: false,
        };
        let old =
            r#"{"type":"ItemClicked","user_id":"u","item_id":"a","event_time":1700000000000}"#;
        let (_, _, objection) = judge.json(1, old);
        assert_eq!(objection.map(|it| it.reason), Some(Reason::TsTooOld));
        judge.at_event_time = true;
        assert_eq!(judge.json(1, old), (1, None, None));
        let (line, _, objection) = judge.json(7, "{\"type\":");
        assert_eq!((line, objection.map(|it| it.reason)), (7, Some(Reason::Format)));
    }
}
