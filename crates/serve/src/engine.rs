//! One answer, as a sentence: hydrate, plan, compute within the deadline or come down the ladder, respond, log.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use upnext_common::event::Subject;
use upnext_common::item::{ItemHash, stable_hash};
use upnext_common::metrics::{AnswerLabels, FreshnessLabels, StageLabels, TierLabels};
use upnext_common::tier::{Reason, Tier};
use upnext_http::axum::response::Response;
use upnext_recommend::{Filters, Query, Seen};
use uuid::Uuid;

use crate::admission::Admission;
use crate::answer::{self, Answer, Stages, milliseconds};
use crate::app::App;
use crate::ask::{self, RecommendationsRequest};
use crate::compute::Lost;
use crate::hydrate::Hydrated;
use crate::ladder::{self, Features, Known, Plan};
use crate::rungs::{self, Computed};
use crate::side_effects;
use crate::world::World;
use crate::worlds::Served;

/// Kept of every deadline for what comes after the computation: the last resort and writing the answer.
const RESERVE: Duration = Duration::from_millis(3);

/// What is asked, by whom, until when.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: RecommendationsRequest,
    pub(crate) want: Want,
    pub(crate) admission: Admission,
}

/// Which of the answering calls it is.
#[derive(Debug)]
pub(crate) enum Want {
    Recommend,
    /// These items, in the best order.
    Rank(Vec<String>),
    /// What goes with this item.
    Similar(String),
    Trending,
}

/// Answers. Always 200: whatever fails on the way shows in tier and reasons.
pub(crate) async fn answer(app: &Arc<App>, question: Question) -> Response {
    let mut stages = Stages::default();
    // Of one generation, whatever changes meanwhile.
    let served = app.worlds.served();
    let hydrated = hydrate(app, &served, &question, &mut stages).await;
    let mut plan = plan(&served.world, &question, &hydrated);
    let asked = Arc::new((question, hydrated));
    let computed = match compute(app, (&served.world, &asked), plan.tier, &mut stages).await {
        Ok(computed) => computed,
        Err(reason) => {
            plan.descend(Tier::Trending, reason);
            rungs::last_resort(&served.world, &asked.0, &asked.1, plan.tier)
        }
    };
    for reason in &computed.reasons {
        plan.descend(computed.tier, *reason);
    }
    plan.tier = computed.tier;
    let (question, hydrated) = &*asked;
    if matches!(question.want, Want::Similar(_)) {
        // Counts and vectors are equally good here: neither is a step down.
        plan.healthy = computed.tier.min(Tier::Session);
    }
    finish(app, question, hydrated, plan, (computed, stages))
}

async fn hydrate(app: &App, served: &Served, question: &Question, stages: &mut Stages) -> Hydrated {
    let began = app.clock.instant();
    let deadline = question.admission.deadline.keeping(RESERVE);
    let subjects = question.subjects();
    if !subjects.is_empty() && deadline.has_passed(began) {
        return Hydrated::missing(Reason::Deadline);
    }
    let hydrated = app.hydrator.hydrate(&served.reader, &subjects, deadline).await;
    if !subjects.is_empty() {
        stages.hydrate = Some(app.clock.instant().duration_since(began));
    }
    hydrated
}

fn plan(world: &World, question: &Question, hydrated: &Hydrated) -> Plan {
    let best_of = |tier| Plan { tier, reasons: Vec::new(), healthy: tier };
    match question.want {
        Want::Trending => best_of(Tier::Trending),
        Want::Similar(_) => best_of(Tier::Session),
        Want::Recommend | Want::Rank(_) => ladder::plan(Known {
            features: if question.subjects().is_empty() {
                Features::Cold
            } else {
                hydrated.features()
            },
            has_model: world.has_ranker(),
            has_seeds: !question.request.seed_items.is_empty(),
            forced: question.admission.forced,
        }),
    }
}

/// Computes on the pool, until the deadline.
async fn compute(
    app: &App,
    (world, asked): (&Arc<World>, &Arc<(Question, Hydrated)>),
    tier: Tier,
    stages: &mut Stages,
) -> Result<Computed, Reason> {
    let deadline = asked.0.admission.deadline.keeping(RESERVE);
    let (world, asked) = (Arc::clone(world), Arc::clone(asked));
    let wants_all = rand::random::<f64>() < app.full_rows_share;
    let work = move || rungs::compute(&world, &asked.0, &asked.1, (tier, wants_all));
    match app.pool.run(deadline, work).await {
        Ok(Ok(done)) => {
            stages.queue = Some(done.waited);
            stages.compute = Some(done.worked);
            Ok(done.value)
        }
        Ok(Err(Lost::Late)) => {
            app.metrics.deadline_exceeded.inc();
            Err(Reason::Deadline)
        }
        Ok(Err(Lost::Panicked)) => Err(Reason::ModelError),
        Err(_) if deadline.has_passed(app.clock.instant()) => Err(Reason::Deadline),
        Err(_) => Err(Reason::Overload),
    }
}

fn finish(
    app: &App,
    question: &Question,
    hydrated: &Hydrated,
    plan: Plan,
    (computed, mut stages): (Computed, Stages),
) -> Response {
    stages.total = app.clock.instant().duration_since(question.admission.admitted);
    observe(app, &plan, &stages);
    observe_age(app, hydrated.as_of_ms());
    let answer = Answer {
        decision_id: Uuid::now_v7().to_string(),
        items: computed.items,
        tier: plan.tier,
        degraded: plan.is_degraded(),
        reasons: plan.reasons,
        features_as_of_ms: hydrated.as_of_ms(),
        model: computed.model,
        experiment: None,
        took_ms: milliseconds(stages.total),
    };
    let response = answer::respond(&answer, &stages);
    let decision =
        side_effects::decision(question, hydrated, answer, (computed.candidates, stages.total));
    app.decisions.note(decision);
    response
}

fn observe(app: &App, plan: &Plan, stages: &Stages) {
    let tier = plan.tier.name();
    let reason = plan.reasons.first().map_or("none", |reason| reason.name());
    app.metrics.answers.get_or_create(&AnswerLabels { tier, reason }).inc();
    let took = stages.total.as_secs_f64();
    app.metrics.answer_duration.get_or_create(&TierLabels { tier }).observe(took);
    for (stage, took) in stages.named() {
        let labels = StageLabels { stage };
        app.metrics.stage_duration.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// How long ago the newest event happened that the answer knows of its asker.
fn observe_age(app: &App, as_of_ms: Option<i64>) {
    if let Some(as_of_ms) = as_of_ms {
        let age_ms = (app.clock.now_ms() - as_of_ms).max(0);
        let labels = FreshnessLabels { at: "answer", since: "event" };
        app.metrics.state.freshness.get_or_create(&labels).observe(age_ms as f64 / 1_000.0);
    }
}

impl Question {
    /// Whose state is to be read: nobody's for what does not depend on the asker.
    pub(crate) fn subjects(&self) -> Vec<Subject<'_>> {
        match self.want {
            Want::Similar(_) | Want::Trending => Vec::new(),
            Want::Recommend | Want::Rank(_) => {
                let known = self.request.user_id.as_deref().map(Subject::User);
                let anonymous = self.request.anonymous_id.as_deref().map(Subject::Anonymous);
                known.into_iter().chain(anonymous).collect()
            }
        }
    }

    /// The question in the words of `recommend`.
    pub(crate) fn query(&self) -> Query {
        let request = &self.request;
        Query {
            session: request.session_id.as_ref().map(|id| stable_hash(id.as_bytes())),
            seeds: request.seed_items.iter().map(|id| ItemHash::of(id)).collect(),
            exclude: request
                .exclude_items
                .iter()
                .map(|id| ItemHash::of(id))
                .collect::<HashSet<_>>(),
            filters: Filters {
                category_in: request.filters.category_in.clone(),
                category_not_in: request.filters.category_not_in.clone(),
                price_min: request.filters.price_min,
                price_max: request.filters.price_max,
                attributes: request.filters.attributes.clone(),
            },
            seen: match request.seen {
                ask::Seen::Allow => Seen::Allow,
                ask::Seen::Demote => Seen::Demote,
                ask::Seen::Exclude => Seen::Exclude,
            },
            surface: request.surface.clone(),
            ..Query::new(self.admission.now_ms, self.k())
        }
    }

    /// How many items: what was asked for, else 10, or all that are to be ranked.
    fn k(&self) -> usize {
        let given = match &self.want {
            Want::Rank(items) => items.len().min(ask::K_MAX as usize),
            Want::Recommend | Want::Similar(_) | Want::Trending => ask::K_DEFAULT as usize,
        };
        self.request.k.map_or(given, |k| k as usize)
    }
}
