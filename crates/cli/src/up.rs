//! `upnext up`: everything in one process, for a laptop.

mod banner;
mod demo;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use upnext_common::drain::Drain;
use upnext_common::telemetry;

use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;
use crate::stop::{self, Span};
use crate::system::System;

/// Run everything in one process: embedded broker and registry, redis-server, ingest, features, serve.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext up --demo
  upnext up --data-dir shop-data --set serve.listen=127.0.0.1:8000
  upnext up --format json --for 60s --set serve.listen=127.0.0.1:0 --set ops.listen=127.0.0.1:0

The embedded parts are for laptops and tests. Set kafka.brokers, registry.url and redis.url to use outside services.
Exit codes: 0 drained, 69 a port is taken or redis-server is missing, 78 the configuration is wrong.")]
pub(crate) struct UpArgs {
    /// Make a shop with 5,000 items and 20,000 people, train on a day of its history, and keep visitors coming
    #[arg(long)]
    demo: bool,
    /// Stop after this long, counted from when it is ready: 60s, 5m, 1h
    #[arg(long = "for", value_name = "TIME")]
    span: Option<Span>,
    /// What is printed when ready: a banner for people, or one line of JSON
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

pub(crate) async fn run(settings: &Settings, args: &UpArgs) -> Result<ExitCode, Failure> {
    let mut config = settings.load()?;
    Settings::quieten(&mut config);
    telemetry::install(&config.log)
        .map_err(|error| Failure::refused(error.to_string(), "see log.filter in upnext.toml"))?;
    let drain = Drain::new();
    stop::listen(&drain)?;
    let system = System::start(config, settings.is_insecure(), &drain).await?;
    let outcome = live(&system, args, &drain).await;
    output::note("stopping: finishing what is open");
    let drained = system.stop().await?;
    for line in drained {
        output::note(format!("drained {line}"));
    }
    outcome?;
    Ok(ExitCode::SUCCESS)
}

/// From ready to the signal.
async fn live(system: &System, args: &UpArgs, drain: &Drain) -> Result<(), Failure> {
    let traffic = if args.demo { demo::prepare(system, drain).await? } else { None };
    if drain.has_started() {
        return Ok(());
    }
    match args.format {
        Format::Text => output::line(banner::text(system.endpoints(), args.demo)),
        Format::Json => output::line(banner::json(system.endpoints())?),
    }
    let visitors = traffic.map(|traffic| tokio::spawn(traffic.run(drain.child())));
    tokio::select! {
        () = drain.started() => {}
        () = stop::after(args.span) => {}
        () = system.broke() => {}
    }
    drain.start();
    if let Some(visitors) = visitors {
        visitors.await.ok();
    }
    Ok(())
}
