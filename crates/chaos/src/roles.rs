//! What this program is when it runs as a child of itself: the broker, the registry, or a weakened daemon.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use upnext_broker::{Broker, BrokerConfig};
use upnext_common::clock::Clock;
use upnext_common::config::{self, Override};
use upnext_common::drain::Drain;
use upnext_common::metrics::Metrics;
use upnext_common::telemetry;
use upnext_features::Features;
use upnext_http::Health;
use upnext_ingest::Ingest;
use upnext_registry::{Registry, RegistryConfig};

use crate::lack::Lack;

/// A broker or a registry, until standard input closes.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    files: PathBuf,
}

/// A daemon, perhaps without one of its guards, until SIGTERM.
#[derive(Args, Debug)]
pub(crate) struct DaemonArgs {
    #[arg(long)]
    config: PathBuf,
    #[arg(long)]
    redis: Option<String>,
    #[arg(long)]
    data_dir: Option<String>,
    #[arg(long, value_parser = Lack::named)]
    weaken: Lack,
}

pub(crate) async fn broker(args: ServerArgs) -> anyhow::Result<()> {
    let config = BrokerConfig::new(listen(args.port), args.files);
    let broker = Broker::start(config).await?;
    abandoned().await?;
    broker.stop().await;
    Ok(())
}

pub(crate) async fn registry(args: ServerArgs) -> anyhow::Result<()> {
    let config = RegistryConfig { listen: listen(args.port), data_dir: args.files };
    let registry = Registry::start(config).await?;
    abandoned().await?;
    registry.stop().await;
    Ok(())
}

fn listen(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The parent holds the other end of standard input for as long as it lives.
async fn abandoned() -> anyhow::Result<()> {
    let (closed, until) = oneshot::channel();
    std::thread::spawn(move || {
        // However reading ends, there is no parent any more.
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        closed.send(()).ok();
    });
    until.await.context("nobody watches standard input")
}

pub(crate) async fn features(args: DaemonArgs) -> anyhow::Result<()> {
    let (config, drain) = begun(&args)?;
    let features = Features {
        brokers: config.kafka.brokers.clone().context("kafka.brokers is not set")?,
        registry_url: config.registry.url.clone().context("registry.url is not set")?,
        redis_url: config.redis.url.clone().context("redis.url is not set")?,
        config,
        metrics: Metrics::new(),
        clock: Clock::system(),
    };
    features.run_weakened(args.weaken.of_features(), drain).await?;
    Ok(())
}

pub(crate) async fn ingest(args: DaemonArgs) -> anyhow::Result<()> {
    let (config, drain) = begun(&args)?;
    let ingest = Ingest {
        brokers: config.kafka.brokers.clone().context("kafka.brokers is not set")?,
        registry_url: config.registry.url.clone().context("registry.url is not set")?,
        config,
        metrics: Metrics::new(),
        health: Health::default(),
        clock: Clock::system(),
        decoder: None,
    };
    ingest.run_weakened(args.weaken.of_ingest(), drain).await?;
    Ok(())
}

/// The configuration, and what SIGTERM starts.
fn begun(args: &DaemonArgs) -> anyhow::Result<(config::Config, Drain)> {
    let says = |(key, value): (&str, &Option<String>)| {
        let (key, origin) = (key.to_owned(), "the harness".to_owned());
        value.clone().map(|value| Override { key, value, origin })
    };
    let said = [("redis.url", &args.redis), ("data_dir", &args.data_dir)];
    let overrides: Vec<Override> = said.into_iter().filter_map(says).collect();
    let config = config::load(Some(&args.config), &overrides)?;
    telemetry::install(&config.log)?;
    let drain = Drain::new();
    let mut terminated = signal(SignalKind::terminate())?;
    let stop = drain.clone();
    tokio::spawn(async move {
        terminated.recv().await;
        stop.start();
    });
    Ok((config, drain))
}
