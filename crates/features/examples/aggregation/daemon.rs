//! The daemon in a process of its own: answers each line on its standard input with where it stands.

use upnext_common::clock::Clock;
use upnext_common::drain::Drain;
use upnext_common::metrics::{Metrics, StageLabels};
use upnext_features::Features;

use crate::Outcome;
use crate::roles::{Place, Role, config};

pub(crate) async fn run(words: &[&str]) -> Outcome<()> {
    let (place, rest) = Place::of(words)?;
    let [prefix, stages, bound] = rest.as_slice() else { return Err("PREFIX STAGES BOUND".into()) };
    let mut config = config(prefix);
    if let Ok(max) = bound.parse() {
        config.features.cached_states_max = max;
    }
    let metrics = Metrics::new();
    let features = Features {
        config,
        brokers: place.brokers,
        registry_url: place.registry,
        redis_url: place.redis,
        metrics: metrics.clone(),
        clock: Clock::system(),
    };
    let drain = Drain::new();
    let (drained, users_only) = (drain.clone(), stages == "users");
    let running = tokio::spawn(async move {
        if users_only { features.run_users(drained).await } else { features.run(drained).await }
    });
    let asked = tokio::task::block_in_place(|| answer(&metrics));
    drain.start();
    running.await??;
    asked
}

/// Until its standard input ends.
fn answer(metrics: &Metrics) -> Outcome<()> {
    for line in std::io::stdin().lines() {
        let of = |stage| metrics.state.applied_records.get_or_create(&StageLabels { stage }).get();
        if line?.starts_with("metrics") {
            print!("{}", metrics.render());
        } else {
            let (users, items) = (of("users"), of("items"));
            println!("{users} {items} {} {}", resident_kb("VmRSS:"), resident_kb("VmHWM:"));
        }
    }
    Ok(())
}

/// A daemon that is asked where it stands.
pub(crate) struct Watched(Role);

#[derive(Clone, Copy)]
pub(crate) struct Stand {
    /// Records each stage has applied and flushed.
    pub(crate) users: u64,
    pub(crate) items: u64,
    pub(crate) resident_kb: u64,
    pub(crate) most_kb: u64,
}

impl Watched {
    /// `bound` is told to its cache.
    pub(crate) fn start(
        place: &Place,
        prefix: &str,
        stages: &str,
        bound: Option<u64>,
    ) -> Outcome<Self> {
        let [brokers, registry, redis] = place.words();
        let bound = bound.map_or_else(|| "default".to_owned(), |bound| bound.to_string());
        let words = ["daemon", brokers, registry, redis, prefix, stages, &bound];
        Ok(Self(Role::start(&words)?))
    }

    pub(crate) fn stand(&mut self) -> Outcome<Stand> {
        self.0.say("stand")?;
        let line = self.0.line()?;
        let words: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [users, items, resident_kb, most_kb] = words.as_slice() else {
            return Err(line.into());
        };
        Ok(Stand { users: *users, items: *items, resident_kb: *resident_kb, most_kb: *most_kb })
    }

    pub(crate) fn metrics(&mut self) -> Outcome<String> {
        self.0.say("metrics")?;
        let mut text = String::new();
        loop {
            let line = self.0.line()?;
            text.push_str(&line);
            text.push('\n');
            if line == "# EOF" {
                return Ok(text);
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    pub(crate) fn ended(self) -> Outcome<()> {
        self.0.ended()
    }
}

/// The value of one series, written as it is rendered; 0 where there is none yet.
pub(crate) fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

fn resident_kb(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or(0)
}
