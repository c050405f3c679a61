//! `upnext schema codegen`: the types of events and items in the producers' languages.

mod shape;
mod rust;
mod python;
mod typescript;
mod java;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::shape::Definitions;
use super::place;
use crate::failure::Failure;
use crate::output;

/// Write the types of events and items in a producer's language
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema codegen --lang python > upnext_events.py
  upnext schema codegen --lang typescript --out web/src
  upnext schema codegen --lang java --out src/main/java
  upnext schema codegen --lang rust")]
pub(super) struct CodegenArgs {
    #[arg(long, value_enum)]
    lang: Language,
    /// Where the files go [default: standard output]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Directory of schemas
    #[arg(long, default_value = "schemas", value_name = "DIR")]
    schemas: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Python,
    Typescript,
    Java,
}

/// A file of generated code, by its path within the output directory.
struct Generated {
    path: String,
    text: String,
}

pub(super) fn run(args: &CodegenArgs) -> Result<ExitCode, Failure> {
    let contracts = place::of_directory(&args.schemas)?;
    let written = contracts
        .schemas
        .iter()
        .filter(|schema| schema.path.starts_with("events/") || schema.path.starts_with("items/"));
    let definitions = Definitions::read(written).map_err(|detail| {
        Failure::usage(detail, "codegen knows records of plain, optional, list and map fields")
    })?;
    let files = match args.lang {
        Language::Rust => vec![rust::write(&definitions)],
        Language::Python => vec![python::write(&definitions)],
        Language::Typescript => vec![typescript::write(&definitions)],
        Language::Java => java::write(&definitions),
    };
    for file in &files {
        match &args.out {
            Some(directory) => save(directory, file)?,
            None => output::line(file.text.trim_end()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn save(directory: &Path, file: &Generated) -> Result<(), Failure> {
    let path = directory.join(&file.path);
    let folder = path.parent().unwrap_or(directory);
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(&path, &file.text)
        .with_context(|| format!("cannot write {}", path.display()))?;
    output::line(path.display().to_string());
    Ok(())
}

const NOTE: &str = "Generated from Avro schemas by `upnext schema codegen`: do not edit.";

/// A text that may stand within a comment or a double-quoted string of any of the languages.
fn plain(text: &str) -> String {
    text.replace('\\', "/").replace('"', "'").replace("*/", "* /").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests;
