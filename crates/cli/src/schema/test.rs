//! `upnext schema test`: events and the verdicts expected on them, run against the contract of this binary.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use upnext_contract::cases::{self, CasesError, Outcome, Report};

use super::Format;
use crate::failure::Failure;
use crate::output;

/// Run contract unit tests: events and their expected verdicts; exit 1 when one differs
///
/// Every *.yaml of the directory holds cases: an event, and `expect: accept` or a reason with its pointer. Each is
/// judged as the record it would be, by the rules and limits that ingest judges by. docs/VERDICTS.md tells the format.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema test
  upnext schema test path/to/cases --format json
  upnext schema test --format github")]
pub(super) struct TestArgs {
    /// Directory of cases
    #[arg(default_value = "schemas/tests", value_name = "DIR")]
    directory: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn run(args: &TestArgs) -> Result<ExitCode, Failure> {
    let report = cases::run(&args.directory).map_err(|error| unusable(&error))?;
    match args.format {
        Format::Text => tell(&report),
        Format::Json => output::line(listed(&report).to_string()),
        Format::Github => report.failures().for_each(|outcome| output::line(annotated(outcome))),
    }
    Ok(if report.has_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(report: &Report) {
    for outcome in report.failures() {
        let Outcome { name, file, line, expected, found, .. } = outcome;
        output::line(format!("{}:{line}: {name}", file.display()));
        output::line(format!("  expected {expected}\n  found    {found}"));
    }
    let failed = report.failures().count();
    output::line(format!("{} cases, {failed} failed", report.outcomes.len()));
}

fn listed(report: &Report) -> serde_json::Value {
    let one = |outcome: &Outcome| {
        let Outcome { name, file, line, expected, found, has_passed } = outcome;
        json!({
            "name": name, "file": file, "line": line, "expected": expected, "found": found,
            "passed": has_passed,
        })
    };
    let cases: Vec<_> = report.outcomes.iter().map(one).collect();
    json!({ "passed": report.has_passed(), "cases": cases })
}

fn annotated(outcome: &Outcome) -> String {
    let Outcome { name, file, line, expected, found, .. } = outcome;
    let file = file.display();
    format!("::error file={file},line={line},title={name}::expected {expected}, found {found}")
}

fn unusable(error: &CasesError) -> Failure {
    let hint = match error {
        CasesError::Unreadable { .. } | CasesError::None { .. } => {
            "name a directory with cases in *.yaml, for example `schemas/tests`"
        }
        CasesError::NotCases { .. } => "docs/VERDICTS.md tells what a file of cases may say",
    };
    Failure::usage(error.to_string(), hint)
}
