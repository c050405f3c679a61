//! The daemon's own doubt: now and then it compares a sample of what it keeps.

use std::convert::Infallible;
use std::time::Duration;

use tracing::{error, warn};
use upnext_common::metrics::{Metrics, StageLabels};
use upnext_store::Stage;

use super::{Follower, Report, Sample, Verify, VerifyError};
use crate::Features;

/// Pause between two rounds.
const EVERY: Duration = Duration::from_secs(60);
/// Records read a second at most: work that nobody waits for.
const RATE_MAX: u32 = 5_000;

/// Compares for ever, if the configuration asks for it.
pub(crate) async fn run(features: &Features) -> Infallible {
    let Some(sample) = Sample::of(features.config.features.verify_sample.min(1.0)) else {
        return std::future::pending().await;
    };
    let verify = Verify {
        config: features.config.clone(),
        brokers: features.brokers.clone(),
        registry_url: features.registry_url.clone(),
        redis_url: features.redis_url.clone(),
        clock: features.clock.clone(),
        sample,
        rate_max: Some(RATE_MAX),
    };
    let mut follower = None;
    loop {
        match round(&verify, &mut follower).await {
            Ok(report) => tell(&report, &features.metrics),
            Err(error) => warn!(%error, "state was not verified, will retry"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn round(verify: &Verify, kept: &mut Option<Follower>) -> Result<Report, VerifyError> {
    let follower = match kept {
        Some(follower) => follower,
        None => kept.insert(verify.follow().await?),
    };
    follower.round(&mut |_| {}).await
}

fn tell(report: &Report, metrics: &Metrics) {
    metrics.verified.rounds.inc();
    for stage in [Stage::Users, Stage::Items] {
        let (compared, labels) = (report.of(stage), StageLabels { stage: stage.name() });
        metrics.verified.checked.get_or_create(&labels).inc_by(compared.states.checked);
        metrics.verified.wrong.get_or_create(&labels).inc_by(compared.states.wrong());
        if let Some(first) = compared.wrong.first() {
            let (count, what, features) = (compared.states.wrong(), first.what, &first.features);
            error!(stage = stage.name(), count, ?what, ?features, "state is not what the log says");
        }
    }
}
