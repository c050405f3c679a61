//! `upnext schema lint`: what is wrong with the contracts as they stand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use upnext_contract::evolution::{Contracts, Flaw, lint};

use super::{Format, place};
use crate::failure::Failure;
use crate::output;

/// Find what is wrong with schemas as they stand; exit 1 when there is something
///
/// Fields and types without a doc, enums without a default, units that name and doc do not agree on, a head that is
/// not the same in every event, and what ingest refuses to decode with.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema lint
  upnext schema lint path/to/schemas --format json
  upnext schema lint --format github")]
pub(super) struct LintArgs {
    /// Directory of schemas
    #[arg(default_value = "schemas", value_name = "DIR")]
    directory: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn run(args: &LintArgs) -> Result<ExitCode, Failure> {
    let contracts = place::of_directory(&args.directory)?;
    let flaws = lint(&contracts);
    match args.format {
        Format::Text => {
            for flaw in &flaws {
                let Flaw { file, code, detail, hint, .. } = flaw;
                output::line(format!("{file}: {code}: {detail}\n  hint: {hint}"));
            }
            output::line(format!("{} schemas, {} flaws", contracts.schemas.len(), flaws.len()));
        }
        Format::Json => output::line(json!({ "flaws": listed(&flaws) }).to_string()),
        Format::Github => {
            flaws
                .iter()
                .for_each(|flaw| output::line(annotated(&args.directory, &contracts, flaw)));
        }
    }
    Ok(if flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn listed(flaws: &[Flaw]) -> Vec<serde_json::Value> {
    let one = |flaw: &Flaw| {
        let Flaw { file, code, place, detail, hint } = flaw;
        json!({ "file": file, "code": code, "place": place, "detail": detail, "hint": hint })
    };
    flaws.iter().map(one).collect()
}

fn annotated(directory: &Path, contracts: &Contracts, flaw: &Flaw) -> String {
    let text = contracts.schemas.iter().find(|schema| schema.path == flaw.file);
    let line = text.map_or(1, |schema| place::line_of(&schema.text, &flaw.place));
    let file = directory.join(&flaw.file);
    let Flaw { code, detail, hint, .. } = flaw;
    format!("::error file={},line={line},title={code}::{detail} ({hint})", file.display())
}
