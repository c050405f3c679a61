//! Fits an artifact to files and says how long each stage and an answer take: `fit EVENTS ITEMS [SECONDS_MAX]`.

use std::path::Path;
use std::sync::Arc;

use upnext_common::clock::Clock;
use upnext_common::config::Train;
use upnext_common::tier::Tier;
use upnext_recommend::{Prepared, Query, Snapshot, answer};
use upnext_train::dataset::{Words, read_events, read_items};
use upnext_train::fit::{Input, Stage, fit};
use upnext_train::live_replay::LiveReplay;

#[expect(clippy::print_stderr, reason = "an example talks to its user")]
fn main() -> anyhow::Result<()> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [events, items, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: fit EVENTS ITEMS [SECONDS_MAX]");
    };
    let clock = Clock::system();
    let mut rows =
        read_events(Path::new(events), &Words::default())?.collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| row.record_ms);
    let items = read_items(Path::new(items))?;
    let seconds_max = rest.first().map_or(Ok(0), |text| text.parse())?;
    let config = Train { seconds_max, ..Train::default() };
    let start = clock.instant();
    let mut last = None;
    let artifact = fit(&Input { rows: &rows, items: &items }, &config, &clock, &mut |stage| {
        let kind = std::mem::discriminant::<Stage>(&stage);
        if last.replace(kind) != Some(kind) {
            let took = clock.instant().saturating_duration_since(start).as_secs_f64();
            eprintln!("{took:7.1}s {stage:?}");
        }
    })?;
    let took = clock.instant().saturating_duration_since(start).as_secs_f64();
    let (tower, ranker) = (artifact.tower.is_some(), artifact.ranker.is_some());
    eprintln!("{took:7.1}s done: tower {tower}, ranker {ranker}, {:?}", artifact.about.metrics);
    let mut replay = LiveReplay::new(&items);
    rows.iter().for_each(|row| replay.apply(&row.event, row.record_ms));
    replay.refresh();
    let prepared = Prepared::new(Arc::new(artifact), replay.live());
    let snapshot = Snapshot { live: replay.live(), prepared: &prepared };
    for tier in [Tier::Full, Tier::Session, Tier::Trending, Tier::Static] {
        let mut times = Vec::new();
        for row in rows.iter().rev().take(500) {
            let query = Query::new(row.record_ms + 1, 10);
            let user = row.event.subject().and_then(|subject| replay.user(subject));
            let start = clock.instant();
            if answer(&query, user, &snapshot, tier).is_ok() {
                times.push(clock.instant().saturating_duration_since(start).as_secs_f64() * 1e3);
            }
        }
        times.sort_unstable_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
        eprintln!("{} answers over {} items: p50 {median:.3} ms", tier.name(), replay.live().len());
    }
    Ok(())
}
