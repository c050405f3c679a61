//! `upnext ingest`, `upnext features`, `upnext serve`: each daemon as a process of its own.

use std::process::ExitCode;

use clap::Args;
use upnext_common::drain::Drain;
use upnext_common::telemetry;
use upnext_ingest::rehearsal;

use crate::daemons::{self, Surroundings};
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;
use crate::stop;

/// Run the ingest daemon: raw events to valid events or dead letters.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext ingest --set kafka.brokers=kafka:9092 --set registry.url=http://registry:8081
  UPNEXT_KAFKA__BROKERS=kafka:9092 UPNEXT_REGISTRY__URL=http://registry:8081 upnext ingest

Several processes share the partitions. Probes and metrics are at ops.listen.")]
pub(crate) struct IngestArgs {}

/// Run the serving daemon: answers by HTTP.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext serve --config production.toml
  upnext serve --set serve.listen=127.0.0.1:8000 --set serve.deadline_ms=100

Needs kafka.brokers, registry.url and redis.url. A Redis that is away is no error: answers come from lower tiers.")]
pub(crate) struct ServeArgs {}

/// Which daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Daemon {
    Ingest,
    Features,
    Serve,
}

pub(crate) async fn run(settings: &Settings, daemon: Daemon) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    telemetry::install(&config.log)
        .map_err(|error| Failure::refused(error.to_string(), "see log.filter in upnext.toml"))?;
    tracing::info!(config = crate::config_verb::shown(&config)?, "configuration in force");
    let target = Target::find(&config);
    let (metrics, health, clock) = daemons::fresh();
    let surroundings = Surroundings {
        brokers: target.brokers()?,
        registry_url: target.registry()?,
        redis_url: if daemon == Daemon::Ingest { String::new() } else { target.redis()? },
        config,
        metrics,
        health,
        clock,
        insecure: settings.is_insecure(),
    };
    let drain = Drain::new();
    stop::listen(&drain)?;
    surroundings.ensure_topics().await?;
    let ops_drain = Drain::new();
    let admin = if daemon == Daemon::Ingest { surroundings.admin(&drain) } else { None };
    let (_, ops) = surroundings.ops(&ops_drain, admin)?;
    let told = match daemon {
        Daemon::Ingest => daemons::drained(surroundings.ingest(&drain)).await,
        Daemon::Features => daemons::drained(surroundings.features(&drain)).await,
        Daemon::Serve => serve(&surroundings, &drain).await,
    };
    ops_drain.start();
    daemons::finish(ops).await;
    output::note(format!("drained {}", told?));
    Ok(ExitCode::SUCCESS)
}

/// What `upnext ingest` runs as its child: records in on standard input, one byte each out.
pub(crate) fn decode() -> Result<ExitCode, Failure> {
    rehearsal::run(std::io::stdin(), std::io::stdout())
        .map_err(|error| Failure::Other(error.into()))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(surroundings: &Surroundings, drain: &Drain) -> Result<String, Failure> {
    let running = surroundings.serve(drain).await?;
    output::note(format!("answers at http://{}", running.address()));
    Ok(daemons::served(running.finished().await))
}
