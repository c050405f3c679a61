//! The same queries over the wires: events through Kafka, ingest, features and Redis, questions by HTTP.
//!
//! One partition, so that events are applied in the order of the log, as offline; record timestamps are event times;
//! before each question the last event is posted with `?wait=visible`, which answers once all before it count.

use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};
use upnext_common::clock::Clock;
use upnext_common::config::Config;
use upnext_common::drain::Drain;
use upnext_common::tier::Tier;
use upnext_contract::json::write_event;
use upnext_model::artifact::Artifact;
use upnext_train::dataset::Row;
use upnext_train::evaluate::{
    Answer, FrozenQuery, Offline, QueryPlan, Step, answers_of, fitted, walk,
};

use crate::api::Api;
use crate::failure::Failure;
use crate::pipeline::Pipeline;
use crate::progress::Progress;
use crate::stop;
use crate::system::System;
use crate::train::{announce, save, show};
use crate::writer::{InFlight, Writer};

/// More events than this are waited for by their watermarks before the barrier, which waits 5 s at most.
const BARRIER_EVENTS_MAX: usize = 500;
const AS_OF: &str = "x-upnext-as-of-ms";
const TIER: &str = "x-upnext-tier";

/// The answers over HTTP and, from the same artifact, in process.
pub(super) async fn ask(
    config: &Config,
    evaluation: &Offline<'_>,
    queries: &[&FrozenQuery],
) -> Result<(Vec<Answer>, Vec<Answer>), Failure> {
    let artifact = trained(evaluation)?;
    let mut progress = Progress::new("offline", evaluation.clock);
    let reference = answers_of(evaluation, artifact.clone(), queries, &mut |stage| {
        show(&mut progress, stage);
    });
    let reference = reference.context("cannot evaluate in process")?;
    progress.finish(&format!("{} queries answered", reference.len()));

    let directory = tempfile::tempdir().context("no temporary directory")?;
    let config = private(config, directory.path());
    let drain = Drain::new();
    stop::listen(&drain)?;
    let system = System::start(config, false, &drain).await?;
    let outcome = over_http(&system, evaluation, (artifact, queries), &drain).await;
    system.stop().await?;
    Ok((outcome?, reference))
}

/// A system of its own: one partition, moments as they are told, no haste.
fn private(config: &Config, directory: &std::path::Path) -> Config {
    let mut config = config.clone();
    config.data_dir = directory.to_path_buf();
    config.kafka.brokers = None;
    config.registry.url = None;
    config.redis.url = None;
    config.kafka.partitions = 1;
    config.kafka.signals_partitions = 1;
    config.kafka.events_retention_bytes = -1;
    config.serve.allow_as_of = true;
    config.serve.deadline_ms = 10_000;
    config.redis.read_timeout_ms = 2_000;
    config.serve.listen.set_port(0);
    config.ops.listen.set_port(0);
    config.features.flush_ms = 1;
    config.ingest.batch_wait_ms = 1;
    config
}

fn trained(evaluation: &Offline<'_>) -> Result<Option<Arc<Artifact>>, Failure> {
    if evaluation.tier != Tier::Full {
        return Ok(None);
    }
    let mut progress = Progress::new("training", evaluation.clock);
    let artifact = fitted(evaluation, &mut |stage| show(&mut progress, stage));
    progress.finish("the artifact of everything before the split");
    Ok(Some(artifact.context("cannot train")?))
}

async fn over_http(
    system: &System,
    evaluation: &Offline<'_>,
    (artifact, queries): (Option<Arc<Artifact>>, &[&FrozenQuery]),
    drain: &Drain,
) -> Result<Vec<Answer>, Failure> {
    let target = system.target();
    let clock = evaluation.clock;
    let asker = Asker {
        api: Api::new(&system.endpoints().http),
        writer: Writer::connect(&target, clock).await?,
        pipeline: Pipeline::of(&target, clock)?,
        tier: evaluation.tier,
        clock,
        drain,
    };
    asker.prepare(artifact, evaluation, &target.config().data_dir).await?;
    let mut progress = Progress::new("http", clock);
    let mut answers = Vec::with_capacity(queries.len());
    for step in walk(&evaluation.gold.rows, queries) {
        if drain.has_started() {
            break;
        }
        match step {
            Step::Events(rows) => asker.make_visible(rows).await?,
            Step::Ask(query) => {
                answers.push(asker.ask(&query.plan()).await?);
                let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
                progress.tell(wide(answers.len()), wide(queries.len()), "queries");
            }
        }
    }
    progress.finish(&format!("{} queries answered", answers.len()));
    Ok(answers)
}

struct Asker<'a> {
    api: Api,
    writer: Writer,
    pipeline: Pipeline,
    tier: Tier,
    clock: &'a Clock,
    drain: &'a Drain,
}

impl Asker<'_> {
    /// The catalogue and the artifact, in use before the first question.
    async fn prepare(
        &self,
        artifact: Option<Arc<Artifact>>,
        evaluation: &Offline<'_>,
        data_dir: &std::path::Path,
    ) -> Result<(), Failure> {
        self.writer.items(&evaluation.gold.items).await?;
        if let Some(last) = evaluation.gold.items.last() {
            let path = format!("/v1/items/{}", last.item_id);
            self.until("the catalogue", async || {
                Ok(self.api.get(&path).await?.status.is_success())
            })
            .await?;
        }
        let Some(artifact) = artifact else { return Ok(()) };
        let saved = save(data_dir, &artifact)?;
        announce(&self.writer, &artifact, &saved).await?;
        let question = json!({"anonymous_id": "nobody", "k": 1});
        self.until("the model", async || {
            let reply = self.api.post("/v1/recommendations", &question).await?.ok()?;
            Ok(reply["model"] == artifact.about.artifact_id.as_str())
        })
        .await
    }

    /// Polls until it holds, or nothing more is wanted.
    async fn until(
        &self,
        what: &str,
        mut holds: impl AsyncFnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        const BOUND: std::time::Duration = std::time::Duration::from_secs(60);
        const POLL: std::time::Duration = std::time::Duration::from_millis(20);
        let start = self.clock.instant();
        while !holds().await? {
            if self.clock.instant() - start > BOUND || self.drain.has_started() {
                return Err(anyhow::anyhow!("{what} is not in use within {BOUND:?}").into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn make_visible(&self, rows: &[Row]) -> Result<(), Failure> {
        let Some((last, before)) = rows.split_last() else { return Ok(()) };
        let mut in_flight = InFlight::default();
        for row in before {
            in_flight.push(self.writer.event(&row.event, row.record_ms).await?).await?;
        }
        in_flight.settle().await?;
        if before.len() > BARRIER_EVENTS_MAX {
            let mut progress = Progress::new("history", self.clock);
            let wide = i64::unsigned_abs;
            self.pipeline
                .caught_up(self.drain, |applied| {
                    progress.tell(wide(applied.done), wide(applied.of), "events");
                })
                .await?;
            progress.finish(&format!("{} events applied", before.len()));
        }
        let body = json!({ "events": [write_event(&last.event)] });
        let as_of = [(AS_OF, last.record_ms.to_string())];
        let reply = self.api.post_with("/v1/events?wait=visible", &body, &as_of).await?.ok()?;
        let accepted = reply["accepted"] == 1;
        if accepted { Ok(()) } else { Err(anyhow::anyhow!("event rejected: {reply}").into()) }
    }

    async fn ask(&self, plan: &QueryPlan) -> Result<Answer, Failure> {
        let mut headers = vec![(AS_OF, plan.now_ms.to_string())];
        if self.tier != Tier::Full {
            headers.push((TIER, self.tier.name().to_owned()));
        }
        let start = self.clock.instant();
        let reply = self.api.post_with("/v1/recommendations", &question(plan), &headers).await?;
        let ms = (self.clock.instant() - start).as_secs_f64() * 1e3;
        let body = reply.ok()?;
        let ids = body["items"].as_array().into_iter().flatten();
        let items = ids.filter_map(|item| item["item_id"].as_str().map(str::to_owned)).collect();
        let source = body["tier"].as_str().unwrap_or_default().to_owned();
        Ok(Answer { qid: plan.qid, items, source, ms })
    }
}

fn question(plan: &QueryPlan) -> Value {
    json!({
        "user_id": plan.user_id, "anonymous_id": plan.anonymous_id, "session_id": plan.session_id,
        "seed_items": plan.seed_items, "exclude_items": plan.exclude_items, "k": plan.k,
    })
}
