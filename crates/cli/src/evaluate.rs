//! `upnext evaluate`: the frozen queries of a data set, asked in process or over HTTP, scored as its scorer does.

mod http;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::tier::Tier;
use upnext_train::evaluate::{
    Answer, FrozenQuery, Gold, Offline, Outcome, differences, offline, sample, score, write_answers,
};

use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::train::show;

const SAMPLE_SEED: u64 = 7;

/// Evaluate on a data set's frozen queries: train on what lies before the split, ask, score.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext evaluate --dataset data/eshop2008 --via offline
  upnext evaluate --dataset data/eshop2008 --via offline --tier session --answers session.jsonl
  upnext evaluate --dataset data/eshop2008 --via http --queries 1000

A data set is a directory with events.csv, items.jsonl, queries.jsonl (.gz too) and split.json.
Over HTTP a private system is started in a temporary directory, and every list is held against the offline one: exit 1
when they differ.")]
pub(crate) struct EvaluateArgs {
    #[arg(long, value_name = "DIR")]
    dataset: PathBuf,
    #[arg(long, value_enum)]
    via: Via,
    /// Ask a sample of so many queries instead of all
    #[arg(long, value_name = "N")]
    queries: Option<usize>,
    #[arg(long, value_enum, default_value_t = Rung::Full)]
    tier: Rung,
    #[arg(long, default_value = "test", value_name = "valid|test")]
    split: String,
    /// Where the answers are written, one JSON object a line [default: in the data directory]
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Via {
    Offline,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rung {
    Full,
    Session,
    Trending,
}

impl Rung {
    fn tier(self) -> Tier {
        match self {
            Self::Full => Tier::Full,
            Self::Session => Tier::Session,
            Self::Trending => Tier::Trending,
        }
    }
}

pub(crate) async fn run(settings: &Settings, args: &EvaluateArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let clock = Clock::system();
    let gold = Gold::read(&args.dataset).map_err(|error| {
        Failure::usage(error.to_string(), "name a data set directory: see `upnext evaluate --help`")
    })?;
    let all = gold
        .split(&args.split)
        .map_err(|error| Failure::usage(error.to_string(), "--split valid or --split test"))?;
    let queries = match args.queries {
        Some(count) => sample(&all, count, SAMPLE_SEED),
        None => all,
    };
    let evaluation = Offline {
        gold: &gold,
        split: &args.split,
        tier: args.tier.tier(),
        train: &config.train,
        clock: &clock,
    };
    let path = answers_path(args, &config)?;
    match args.via {
        Via::Offline => {
            let outcome = in_process(&evaluation, &queries, &clock)?;
            tell(&outcome, &path)?;
            Ok(ExitCode::SUCCESS)
        }
        Via::Http => {
            let (answers, reference) = http::ask(&config, &evaluation, &queries).await?;
            let report = score(&queries, &answers);
            tell(&Outcome { answers: answers.clone(), report }, &path)?;
            Ok(compare(&queries, &answers, &reference))
        }
    }
}

fn in_process(
    evaluation: &Offline<'_>,
    queries: &[&FrozenQuery],
    clock: &Clock,
) -> Result<Outcome, Failure> {
    let mut progress = Progress::new("evaluate", clock);
    let outcome = offline(evaluation, queries, &mut |stage| show(&mut progress, stage))
        .context("cannot evaluate")?;
    progress.finish(&format!("{} queries answered", outcome.answers.len()));
    Ok(outcome)
}

/// Says how many lists are the same; the check says no when any differs.
fn compare(queries: &[&FrozenQuery], answers: &[Answer], reference: &[Answer]) -> ExitCode {
    let different = differences(reference, answers);
    let unanswered = queries.len() - answers.len();
    let same = answers.len() - different.len();
    output::note(format!("http equals offline on {same} of {} queries", queries.len()));
    if different.is_empty() && unanswered == 0 {
        return ExitCode::SUCCESS;
    }
    let shown: Vec<String> = different.iter().take(10).map(u64::to_string).collect();
    output::note(format!("different: {} (qid {})", different.len(), shown.join(", ")));
    ExitCode::FAILURE
}

fn tell(outcome: &Outcome, path: &Path) -> Result<(), Failure> {
    write_answers(path, &outcome.answers).context("cannot write the answers")?;
    output::line(outcome.report.to_json());
    output::note(format!("answers: {}", path.display()));
    Ok(())
}

fn answers_path(args: &EvaluateArgs, config: &Config) -> Result<PathBuf, Failure> {
    if let Some(path) = &args.answers {
        return Ok(path.clone());
    }
    let directory = config.data_dir.join("evaluations");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let set = args.dataset.file_name().unwrap_or_default().to_string_lossy();
    let via = if args.via == Via::Http { "http" } else { "offline" };
    Ok(directory.join(format!("{set}-{}-{via}-{}.jsonl", args.split, args.tier.tier().name())))
}
