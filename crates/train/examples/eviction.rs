//! What the bounded list of pairs loses against exact counts, in the recall of the session tier:
//! `eviction DIR [SPLIT] [PAIRS…]`, where DIR is a gold set; 0 pairs stand for as many as there are.

use std::path::Path;

use upnext_common::clock::Clock;
use upnext_common::config::Train;
use upnext_common::tier::Tier;
use upnext_state::Replay;
use upnext_state::pair::PAIRS_MAX;
use upnext_train::evaluate::{FrozenQuery, Gold, Offline, Report, answers_from, score};
use upnext_train::live_replay::LiveReplay;

const USAGE: &str = "usage: eviction DIR [SPLIT] [PAIRS…]";

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or_else(|| anyhow::anyhow!(USAGE))?;
    let split = arguments.next().unwrap_or_else(|| "test".to_owned());
    let mut bounds = arguments.map(|text| text.parse()).collect::<Result<Vec<usize>, _>>()?;
    if bounds.is_empty() {
        bounds = vec![PAIRS_MAX, 0];
    }
    let gold = Gold::read(Path::new(&directory))?;
    let queries = gold.split(&split)?;
    println!("{} queries of {split}, session tier", queries.len());
    let mut exact: Option<Report> = None;
    for pairs_max in bounds.into_iter().rev() {
        let name = if pairs_max == 0 { "all".to_owned() } else { pairs_max.to_string() };
        let pairs_max = if pairs_max == 0 { usize::MAX } else { pairs_max };
        let report = evaluated(&gold, &split, &queries, pairs_max)?;
        let exact = exact.get_or_insert_with(|| report.clone());
        for (kind, _) in &report.kinds {
            let recall = |of: &Report| of.headline(kind, "Recall@20").unwrap_or_default();
            let ndcg = report.headline(kind, "nDCG@10").unwrap_or_default();
            let (recall, lost) = (recall(&report), recall(exact) - recall(&report));
            println!(
                "{name:>4} pairs, {kind}: R@20 {recall:.4} nDCG@10 {ndcg:.4}, loses {lost:.4}"
            );
        }
    }
    Ok(())
}

fn evaluated(
    gold: &Gold,
    split: &str,
    queries: &[&FrozenQuery],
    pairs_max: usize,
) -> anyhow::Result<Report> {
    let (train, clock) = (Train::default(), Clock::system());
    let evaluation = Offline { gold, split, tier: Tier::Session, train: &train, clock: &clock };
    let replay = LiveReplay::of(Replay::with_pairs_max(pairs_max), &gold.items);
    let answers = answers_from(replay, &evaluation, None, queries, &mut |_| {})?;
    Ok(score(queries, &answers))
}
