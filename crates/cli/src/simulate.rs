//! `upnext simulate`: the crowd visits a running system by HTTP, asks, looks and clicks.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::event::Event;
use upnext_common::item::Item;
use upnext_contract::json::{write_event, write_item};

use crate::api::{Api, Reply};
use crate::crowd::{Crowd, Sizes, Walk};
use crate::endpoints::Target;
use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;
use crate::stop::{self, Span};

/// Visitors who are there at the same time.
const VISITORS: usize = 40;
/// Share of steps in which a visitor asks for recommendations first.
const ASKS: f64 = 0.2;
const OFFERED: usize = 12;
const ITEMS_PER_BATCH: usize = 500;
pub(crate) const DEMO_SEED: u64 = 2_026;

/// Let a seeded crowd visit a running system by HTTP.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  upnext simulate --for 60s
  upnext simulate --catalogue --rate 200 --seed 7 --url http://127.0.0.1:8080

The same seed makes the same catalogue and the same people; --catalogue writes the items first.")]
pub(crate) struct SimulateArgs {
    /// Base URL of the public API [default: the `up` on this data directory, else serve.listen]
    #[arg(long)]
    url: Option<String>,
    /// Steps per second: each is one event, some of them after asking for recommendations
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
    /// Stop after this long: 60s, 5m, 1h
    #[arg(long = "for", value_name = "TIME")]
    span: Option<Span>,
    #[arg(long, default_value_t = DEMO_SEED)]
    seed: u64,
    /// Number of items of the crowd's catalogue
    #[arg(long, default_value_t = Sizes::DEMO.items)]
    items: usize,
    /// Number of people
    #[arg(long, default_value_t = Sizes::DEMO.people)]
    people: usize,
    /// Write the crowd's catalogue into the system first
    #[arg(long)]
    catalogue: bool,
}

pub(crate) async fn run(settings: &Settings, args: &SimulateArgs) -> Result<ExitCode, Failure> {
    let config = settings.load()?;
    if !(args.rate > 0.0 && args.rate <= 100_000.0) || args.items == 0 || args.people == 0 {
        return Err(Failure::usage(
            "--rate, --items and --people must be above 0",
            "leave them out to use the defaults",
        ));
    }
    let drain = Drain::new();
    stop::listen(&drain)?;
    let api = Api::new(&args.url.clone().unwrap_or_else(|| Target::find(&config).http()));
    let sizes = Sizes { items: args.items, people: args.people };
    let crowd = Arc::new(Crowd::new(args.seed, sizes));
    if args.catalogue {
        put_items(&api, crowd.items()).await?;
        output::line(format!("catalogue: {} items written", crowd.items().len()));
    }
    // An address where nobody listens is told at once, not as a count of failures.
    api.get("/v1/trending?k=1").await?;
    let traffic = Traffic { api, crowd, seed: args.seed, rate: args.rate };
    let span = args.span;
    let limit = drain.clone();
    tokio::spawn(async move {
        stop::after(span).await;
        limit.start();
    });
    let told = traffic.run(drain).await;
    output::line(told.to_string());
    Ok(if told.failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn put_items(api: &Api, items: &[Item]) -> Result<(), Failure> {
    for batch in items.chunks(ITEMS_PER_BATCH) {
        let items: Vec<Value> = batch.iter().map(write_item).collect();
        api.post("/v1/items:batch", &json!({ "items": items })).await?.ok()?;
    }
    Ok(())
}

/// Visitors of one system.
pub(crate) struct Traffic {
    pub(crate) api: Api,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) seed: u64,
    /// Steps per second.
    pub(crate) rate: f64,
}

/// What the visitors did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) events: u64,
    pub(crate) answers: u64,
    /// Answers from which an item was chosen.
    pub(crate) chosen: u64,
    pub(crate) failed: u64,
}

impl std::fmt::Display for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { events, answers, chosen, failed } = self;
        write!(
            out,
            "visitors: {events} events, {answers} answers, {chosen} chosen from, {failed} failed"
        )
    }
}

impl Traffic {
    /// Keeps visitors coming until `drain`.
    pub(crate) async fn run(self, drain: Drain) -> Told {
        let clock = Clock::system();
        let mut rng = StdRng::seed_from_u64(self.seed ^ clock.now_ms().unsigned_abs());
        let mut walks: Vec<Walk> = (0..VISITORS).map(|_| self.visitor(&mut rng)).collect();
        let mut told = Told::default();
        let mut ticks = interval(Duration::from_secs_f64(1.0 / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = drain.started() => return told,
            }
            let at = rng.random_range(0..walks.len());
            if self.step(&mut walks[at], &mut rng, (&clock, &mut told)).await.is_err() {
                told.failed += 1;
            }
            if walks[at].is_over() {
                walks[at] = self.visitor(&mut rng);
            }
        }
    }

    fn visitor(&self, rng: &mut StdRng) -> Walk {
        let person = self.crowd.person(rng).clone();
        Walk::new(rng, &person, 0)
    }

    async fn step(
        &self,
        walk: &mut Walk,
        rng: &mut StdRng,
        (clock, told): (&Clock, &mut Told),
    ) -> Result<(), Failure> {
        let mut events = Vec::new();
        let mut decision_id = None;
        let mut step = None;
        if rng.random_bool(ASKS) {
            let answer = self.ask(walk).await?;
            told.answers += 1;
            let offered = self.offered(&answer);
            decision_id = answer["decision_id"].as_str().map(str::to_owned);
            events.push(shown(walk, &answer, decision_id.as_deref()));
            step = walk.choose(rng, &self.crowd.catalogue, &offered);
            told.chosen += u64::from(step.is_some());
        }
        let is_chosen = step.is_some();
        if let Some(step) = step.or_else(|| walk.next(rng, &self.crowd.catalogue)) {
            let decision_id = decision_id.filter(|_| is_chosen);
            let event_time_ms = clock.now_ms();
            let event = step.event(rng, &self.crowd.catalogue);
            events.push(write_event(&Event { event_time_ms, decision_id, ..event }));
        }
        if !events.is_empty() {
            told.events += u64::try_from(events.len()).unwrap_or_default();
            self.api.post("/v1/events", &json!({ "events": events })).await?.ok()?;
        }
        Ok(())
    }

    async fn ask(&self, walk: &Walk) -> Result<Value, Failure> {
        let question = json!({
            "user_id": walk.user_id(), "session_id": &*walk.session_id, "k": OFFERED,
        });
        let reply: Reply = self.api.post("/v1/recommendations", &question).await?;
        reply.ok()
    }

    fn offered(&self, answer: &Value) -> Vec<usize> {
        let ids = answer["items"].as_array().into_iter().flatten();
        ids.filter_map(|item| self.crowd.catalogue.find(item["item_id"].as_str()?)).collect()
    }
}

fn shown(walk: &Walk, answer: &Value, decision_id: Option<&str>) -> Value {
    let ids: Vec<&Value> =
        answer["items"].as_array().into_iter().flatten().map(|item| &item["item_id"]).collect();
    json!({
        "type": "ItemsShown", "user_id": walk.user_id(), "session_id": &*walk.session_id,
        "surface": "home", "decision_id": decision_id, "item_ids": ids,
    })
}
