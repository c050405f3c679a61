//! `upnext train`: events to an artifact, from Kafka or from a file, announced to a running serve.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_contract::{ArtifactAnnounced, DecodeError};
use upnext_model::artifact::{Artifact, Saved};
use upnext_train::dataset::{DatasetError, Words, read_events, read_items};
use upnext_train::fit::Stage;
use upnext_train::history::{History, HistoryError, fit_aside, read_kafka};

use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::writer::{Writer, unreachable};

/// Train a model and put it into use.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext train
  upnext train --from events.csv.gz --items items.jsonl.gz --no-announce
  upnext train --set train.seconds_max=60

The artifact is written to the data directory; a running serve takes an announced one into use within 10 s.")]
pub(crate) struct TrainArgs {
    /// `kafka` (the valid events and the catalogue of a running system), or a file of events (CSV or JSON lines, .gz too)
    #[arg(long, default_value = "kafka", value_name = "kafka|FILE")]
    from: PathBuf,
    /// Catalogue for --from FILE, JSON lines
    #[arg(long, value_name = "ITEMS")]
    items: Option<PathBuf>,
    /// Read an unknown word of a CSV file as a known one: bookmark=like; may be repeated
    #[arg(long, value_name = "WORD=KNOWN")]
    map: Vec<String>,
    /// Write the artifact without telling a running serve
    #[arg(long)]
    no_announce: bool,
}

pub(crate) async fn run(settings: &Settings, args: &TrainArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    let clock = Clock::system();
    let target = Target::find(&config);
    let is_kafka = args.from.as_os_str() == "kafka";
    let history = if is_kafka { of_topics(&target, &clock).await? } else { of_files(args)? };
    if history.rows.is_empty() {
        return Err(Failure::usage(
            "there are no events to learn from",
            "import some: upnext import --help",
        ));
    }
    let (artifact, saved) = learn(&config, history, &clock).await?;
    output::line(format!("artifact {} in {}", artifact.about.artifact_id, saved.path.display()));
    for (name, value) in &artifact.about.metrics {
        output::line(format!("  {name}: {value:.4}"));
    }
    if !args.no_announce {
        let writer = Writer::connect(&target, &clock).await?;
        announce(&writer, &artifact, &saved).await?;
        output::line("announced");
    }
    Ok(ExitCode::SUCCESS)
}

fn of_files(args: &TrainArgs) -> Result<History, Failure> {
    let words = Words::mapping(args.map.iter().map(String::as_str))
        .map_err(|error| Failure::usage(format!("--map: {error}"), "write --map bookmark=like"))?;
    let read = || -> Result<History, DatasetError> {
        let mut rows = read_events(&args.from, &words)?.collect::<Result<Vec<_>, _>>()?;
        rows.sort_by_key(|row| row.record_ms);
        let items = args.items.as_deref().map(read_items).transpose()?.unwrap_or_default();
        Ok(History { rows, items })
    };
    read().map_err(|error| Failure::usage(error.to_string(), "see `upnext train --help`"))
}

/// The valid events and the catalogue, as they stand on the topics now.
pub(crate) async fn of_topics(target: &Target, clock: &Clock) -> Result<History, Failure> {
    let config = target.config();
    let (brokers, registry_url) = (target.brokers()?, target.registry()?);
    let prefix = &config.kafka.topic_prefix;
    read_kafka(&brokers, prefix, &registry_url, &config.registry, clock.clone()).await.map_err(
        |error| match error {
            HistoryError::Kafka(cause) => unreachable(cause),
            HistoryError::Registry(_) | HistoryError::Decode(DecodeError::Trouble { .. }) => {
                Failure::unavailable(
                    error.to_string(),
                    "check registry.url, and that the registry runs",
                )
            }
            HistoryError::Dataset(_)
            | HistoryError::Decode(DecodeError::Refused(_))
            | HistoryError::Fit(_)
            | HistoryError::Thread(_)
            | HistoryError::ThreadDied => Failure::Other(error.into()),
        },
    )
}

/// Fits on a thread of its own, with a progress bar, and saves the artifact in the data directory.
pub(crate) async fn learn(
    config: &Config,
    history: History,
    clock: &Clock,
) -> Result<(Artifact, Saved), Failure> {
    let (started, count) = (clock.instant(), history.rows.len());
    let mut progress = Progress::new("training", clock);
    let tell = move |stage| show(&mut progress, stage);
    let artifact = fit_aside(history, config.train.clone(), clock.clone(), tell)
        .await
        .context("cannot train")?;
    let took = (clock.instant() - started).as_secs_f64();
    output::note(format!("training: {count} events in {took:.1} s"));
    let saved = save(&config.data_dir, &artifact)?;
    Ok((artifact, saved))
}

/// Saves it under `artifacts/` of the data directory, by its id.
pub(crate) fn save(data_dir: &Path, artifact: &Artifact) -> Result<Saved, Failure> {
    let directory = data_dir.join("artifacts");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    // Serving may run in another working directory: the announced path must be a full one.
    let directory = directory.canonicalize().context("the directory was just made")?;
    let saved = artifact.save(&directory.join(&artifact.about.artifact_id));
    Ok(saved.context("cannot save the artifact")?)
}

pub(crate) fn show(progress: &mut Progress, stage: Stage) {
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    match stage {
        Stage::Tower { nth, of, progress: at } => {
            let what = format!("steps of tower {nth} of {of}, loss {:.3}", at.loss);
            progress.tell(wide(at.step), wide(at.steps), &what);
        }
        Stage::Slates { done, of } => progress.tell(wide(done), wide(of), "slates"),
        Stage::Ranker { progress: at } => {
            progress.tell(
                wide(at.step),
                wide(at.steps),
                &format!("steps of the ranker, loss {:.3}", at.loss),
            );
        }
        Stage::LastTower => progress.tell(0, 1, "the tower that serves"),
        Stage::Answers { done, of } => progress.tell(wide(done), wide(of), "queries"),
    }
}

/// Tells every running serve that the artifact is there.
pub(crate) async fn announce(
    writer: &Writer,
    artifact: &Artifact,
    saved: &Saved,
) -> Result<(), Failure> {
    let announced = ArtifactAnnounced {
        artifact_id: artifact.about.artifact_id.clone(),
        path: saved.path.display().to_string(),
        manifest_sha256: saved.manifest_sha256.clone(),
        created_at_ms: artifact.about.created_at_ms,
    };
    let delivery = writer.artifact(&announced).await?;
    delivery.await.context("the announcement was not written")?;
    Ok(())
}
