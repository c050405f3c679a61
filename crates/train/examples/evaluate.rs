//! Evaluates one tier on a gold set in process: `evaluate DIR TIER [SPLIT] [ANSWERS] [SECONDS_MAX]`.

use std::path::Path;

use upnext_common::clock::Clock;
use upnext_common::config::Train;
use upnext_common::tier::Tier;
use upnext_train::evaluate::{Gold, Offline, offline, write_answers};
use upnext_train::fit::Stage;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its user")]
fn main() -> anyhow::Result<()> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let argument = |at: usize| arguments.get(at).map(String::as_str);
    let directory = argument(0).ok_or_else(|| anyhow::anyhow!("a directory is needed"))?;
    let tier = argument(1).and_then(Tier::from_name);
    let tier = tier.ok_or_else(|| anyhow::anyhow!("a tier is needed"))?;
    let split = argument(2).unwrap_or("test");
    let gold = Gold::read(Path::new(directory))?;
    let queries = gold.split(split)?;
    let seconds_max = argument(4).map_or(Ok(0), str::parse)?;
    let (train, clock) = (Train { seconds_max, ..Train::default() }, Clock::system());
    let evaluation = Offline { gold: &gold, split, tier, train: &train, clock: &clock };
    let start = clock.instant();
    let mut last = String::new();
    let outcome = offline(&evaluation, &queries, &mut |stage| {
        let line = format!("{stage:?}");
        let kind = line.split([' ', '{']).next().unwrap_or_default().to_owned();
        let is_new = kind != last;
        let is_step = match stage {
            Stage::Tower { progress, .. } | Stage::Ranker { progress } => progress.step % 200 == 0,
            Stage::Slates { .. } | Stage::LastTower | Stage::Answers { .. } => false,
        };
        if is_new || is_step {
            let took = clock.instant().saturating_duration_since(start).as_secs_f64();
            eprintln!("{took:7.1}s {line}");
        }
        last = kind;
    })?;
    let took = clock.instant().saturating_duration_since(start).as_secs_f64();
    let mut times = outcome.answers.iter().map(|answer| answer.ms).collect::<Vec<_>>();
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0.0);
    eprintln!("{took:7.1}s done; an answer takes p50 {:.3} ms, p99 {:.3} ms", at(50), at(99));
    println!("{}", outcome.report.to_json());
    if let Some(path) = argument(3) {
        write_answers(Path::new(path), &outcome.answers)?;
    }
    Ok(())
}
