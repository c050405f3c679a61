//! What this program is when it runs as a child of itself: broker and registry, or a weakened features daemon.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

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
use upnext_features::{Features, Weakened};
use upnext_registry::{Registry, RegistryConfig};

/// Broker and registry, until standard input closes.
#[derive(Args, Debug)]
pub(crate) struct ServicesArgs {
    #[arg(long)]
    broker_port: u16,
    #[arg(long)]
    registry_port: u16,
    #[arg(long)]
    files: PathBuf,
}

/// A features daemon without one of its guards, until SIGTERM.
#[derive(Args, Debug)]
pub(crate) struct FeaturesArgs {
    #[arg(long)]
    config: PathBuf,
    #[arg(long)]
    redis: String,
    #[arg(long, value_parser = weakened)]
    weaken: Weakened,
}

/// The mode of that name.
///
/// # Errors
/// Which names there are.
pub(crate) fn weakened(name: &str) -> Result<Weakened, String> {
    let all = || std::iter::once(Weakened::None).chain(Weakened::ALL);
    all().find(|mode| mode.name() == name).ok_or_else(|| {
        let names: Vec<&str> = all().map(Weakened::name).collect();
        format!("one of {}", names.join(", "))
    })
}

pub(crate) async fn services(args: ServicesArgs) -> anyhow::Result<()> {
    let listen = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let kafka = BrokerConfig::new(listen(args.broker_port), args.files.join("kafka"));
    let broker = Broker::start(kafka).await?;
    let data_dir = args.files.join("registry");
    let config = RegistryConfig { listen: listen(args.registry_port), data_dir };
    let registry = Registry::start(config).await?;
    // The parent holds the other end for as long as it lives.
    let (closed, until) = oneshot::channel();
    std::thread::spawn(move || {
        // However reading ends, there is no parent any more.
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        closed.send(()).ok();
    });
    until.await.context("nobody watches standard input")?;
    registry.stop().await;
    broker.stop().await;
    Ok(())
}

pub(crate) async fn features(args: FeaturesArgs) -> anyhow::Result<()> {
    let config = read(&args.config, &args.redis)?;
    telemetry::install(&config.log)?;
    let drain = Drain::new();
    let mut terminated = signal(SignalKind::terminate())?;
    let stop = drain.clone();
    tokio::spawn(async move {
        terminated.recv().await;
        stop.start();
    });
    let features = Features {
        brokers: config.kafka.brokers.clone().context("kafka.brokers is not set")?,
        registry_url: config.registry.url.clone().context("registry.url is not set")?,
        redis_url: args.redis,
        config,
        metrics: Metrics::new(),
        clock: Clock::system(),
    };
    features.run_weakened(args.weaken, drain).await?;
    Ok(())
}

fn read(path: &Path, redis: &str) -> anyhow::Result<config::Config> {
    let redis = Override {
        key: "redis.url".to_owned(),
        value: redis.to_owned(),
        origin: "--redis".to_owned(),
    };
    Ok(config::load(Some(path), &[redis])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_its_name() {
        for mode in std::iter::once(Weakened::None).chain(Weakened::ALL) {
            assert_eq!(weakened(mode.name()), Ok(mode));
        }
        assert!(weakened("all").is_err_and(|message| message.contains("naive-increments")));
    }
}
