//! `upnext schema check`: what a change of the contracts breaks, before it is deployed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use upnext_common::config::Config;
use upnext_contract::compat::Level;
use upnext_contract::evolution::{Change, Contracts, Harm, changes};

use super::against::{self, Against};
use super::lineage::{self, Lineage, Model};
use super::subjects::Subjects;
use super::{Format, announced, place, told};
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;

/// Hold the schemas against older ones; exit 0 when all changes are harmless, else 1
///
/// Beside the registry's question (can it be read?) it asks whether values still mean the same: units and logical
/// types, namespaces, enums, defaults, docs, the head that all events share, and the rules. Each change is harmless,
/// risky or breaking, says why, and names the features and models that it breaks.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext schema check --against git:main
  upnext schema check --against git:v1 --against git:v2 --level full_transitive
  upnext schema check --against registry --format json
  upnext schema check --against git:origin/main --format github --models artifacts/")]
pub(super) struct CheckArgs {
    /// The older schemas: a directory, git:REV, or registry; several are given oldest first
    #[arg(long, required = true, value_name = "DIR|git:REV|registry")]
    against: Vec<Against>,
    /// The schemas to check
    #[arg(long, default_value = "schemas", value_name = "DIR")]
    schemas: PathBuf,
    /// Who must be able to read whom: none, backward, forward, full, or one of them with _transitive
    #[arg(long, default_value = "full", value_parser = level)]
    level: Level,
    /// An artifact, or a directory of artifacts [default: the newest announced, else the newest in the data directory]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn level(word: &str) -> Result<Level, String> {
    Level::from_name(word).ok_or_else(|| {
        let words = Level::ALL.map(|level| level.name().to_lowercase());
        format!("write one of {}", words.join(", "))
    })
}

pub(super) async fn run(settings: &Settings, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let new = place::of_directory(&args.schemas)?;
    let old = older(&config, args).await?;
    let lineage = Lineage::new(models(&config, args).await?);
    let found = changes(&old, &new, args.level);
    let telling = told::Telling {
        subjects: Subjects::of(&config),
        lineage,
        contracts: &new,
        directory: &args.schemas,
    };
    match args.format {
        Format::Text => telling.text(&found),
        Format::Json => output::line(telling.json(&found).to_string()),
        Format::Github => telling.github(&found),
    }
    let is_harmless = |change: &Change| change.harm == Harm::Harmless;
    Ok(if found.iter().all(is_harmless) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn older(config: &Config, args: &CheckArgs) -> Result<Vec<Contracts>, Failure> {
    let mut old = Vec::new();
    for against in &args.against {
        match against {
            Against::Directory(directory) => old.push(place::of_directory(directory)?),
            Against::Commit(revision) => old.push(against::of_commit(&args.schemas, revision)?),
            Against::Registry => {
                let url = Target::find(config).registry()?;
                old.extend(against::of_registry(&url, &Subjects::of(config)).await?);
            }
        }
    }
    Ok(old)
}

/// Those that were named, else the one in use, else the newest of the data directory. Says so when there is none.
async fn models(config: &Config, args: &CheckArgs) -> Result<Vec<Model>, Failure> {
    let models = match &args.models {
        Some(directory) => lineage::of_directory(directory)?,
        None => match announced::newest(config).await {
            Some(model) => vec![model],
            None => lineage::newest_in(&config.data_dir).into_iter().collect(),
        },
    };
    if models.is_empty() {
        output::note("no model found: name one by --models DIR to see what it would lose");
    }
    for model in models.iter().filter(|model| !model.is_ours()) {
        let id = &model.id;
        output::note(format!(
            "model {id} was trained on another feature spec than this build's: its features are not known here"
        ));
    }
    Ok(models)
}
