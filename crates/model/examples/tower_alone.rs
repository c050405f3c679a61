//! Fits a tower to a data set of sessions and prints how it alone answers the queries of one split.
//!
//! `cargo run --release --example tower_alone -- DIRECTORY [valid|test]`, where the directory holds `events.csv.gz`
//! (`ts_ms,user_id,session_id,item_id,…`), `items.jsonl.gz`, `queries.jsonl.gz` and `split.json`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;
use upnext_common::clock::Clock;
use upnext_kernels::top_k;
use upnext_model::artifact::AttributeVocabulary;
use upnext_model::tower::{Tower, TowerConfig, TowerInput, fit};

type Failure = Box<dyn std::error::Error>;

/// Items looked back at, as in the default configuration.
const WINDOW: usize = 20;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: tower_alone DIRECTORY [valid|test]")?;
    let split = arguments.next().unwrap_or_else(|| "valid".to_owned());
    let seed = arguments.next().map_or(Ok(7), |seed| seed.parse())?;
    let directory = Path::new(&directory);
    let (tower, items) = fitted(directory, &split, seed)?;
    let figures = score(directory, &split, &tower, &items)?;
    report(&split, &figures);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a tool for a terminal")]
fn report(split: &str, [count, recall, gain]: &[f64; 3]) {
    println!("{split}: n {count} R@20 {:.4} nDCG@10 {:.4}", recall / count, gain / count);
}

/// The tower of the events before the split, and the row of every item.
fn fitted(
    directory: &Path,
    split: &str,
    seed: u64,
) -> Result<(Tower, HashMap<String, u32>), Failure> {
    let bounds: Value = serde_json::from_reader(File::open(directory.join("split.json"))?)?;
    let until = bounds[format!("{split}_from_ms")].as_i64().ok_or("no such split")?;
    let mut sessions: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for line in lines(&directory.join("events.csv.gz"))?.skip(1) {
        let line = line?;
        let fields: Vec<&str> = line.split(',').collect();
        let time = fields[0].parse()?;
        if time < until {
            sessions.entry(fields[2].to_owned()).or_default().push((time, fields[3].to_owned()));
        }
    }
    let mut items = HashMap::new();
    let mut vocabulary = AttributeVocabulary::default();
    let mut attributes = Vec::new();
    for line in lines(&directory.join("items.jsonl.gz"))? {
        let item: Value = serde_json::from_str(&line?)?;
        let id = item["item_id"].as_str().ok_or("an item without item_id")?;
        items.insert(id.to_owned(), u32::try_from(attributes.len())?);
        attributes.push(tokens(&item).iter().map(|text| vocabulary.intern(text)).collect());
    }
    let mut sequences = Vec::new();
    for session in sessions.values_mut() {
        session.sort_by_key(|(time, _)| *time);
        sequences.push(session.iter().map(|(_, id)| items[id]).collect());
    }
    let input = TowerInput {
        items: attributes.len(),
        attributes: &attributes,
        attribute_count: vocabulary.len(),
        sequences: &sequences,
    };
    let config = TowerConfig { window: WINDOW, seed, ..TowerConfig::default() };
    let tower = fit(&input, &config, &Clock::system(), &mut progress)?;
    Ok((tower, items))
}

#[expect(clippy::print_stdout, reason = "a tool for a terminal")]
fn progress(progress: upnext_model::Progress) {
    if progress.step.is_multiple_of(100) || progress.step == progress.steps {
        println!(
            "step {} of {} loss {:.4} after {:.1} s",
            progress.step, progress.steps, progress.loss, progress.elapsed_seconds
        );
    }
}

/// Every scalar as `name=value`, prices by buckets.
fn tokens(item: &Value) -> Vec<String> {
    let scalars = item.as_object().into_iter().flatten().filter(|(name, _)| *name != "item_id");
    let token = |(name, value): (&String, &Value)| match value.as_f64() {
        Some(price) if name.starts_with("price") => {
            format!("price={}", (price.ln_1p() * 4.0).round())
        }
        Some(_) | None => format!("{name}={value}"),
    };
    scalars.map(token).collect()
}

/// Number of queries with context, and sums of Recall@20 and nDCG@10 over them.
fn score(
    directory: &Path,
    split: &str,
    tower: &Tower,
    items: &HashMap<String, u32>,
) -> Result<[f64; 3], Failure> {
    let mut figures = [0.0; 3];
    for line in lines(&directory.join("queries.jsonl.gz"))? {
        let query: Value = serde_json::from_str(&line?)?;
        let rows = |name: &str| -> Vec<u32> {
            let ids = query[name].as_array().into_iter().flatten().filter_map(Value::as_str);
            ids.filter_map(|id| items.get(id).copied()).collect()
        };
        let (session, targets) = (rows("session"), rows("targets"));
        if query["split"] != split || session.is_empty() {
            continue;
        }
        let target = *targets.first().ok_or("a query without a known target")?;
        let rank = rank_of(tower, &session, target);
        figures[0] += 1.0;
        if let Some(rank) = rank {
            figures[1] += 1.0;
            figures[2] += if rank < 10 { 1.0 / (rank as f64 + 2.0).log2() } else { 0.0 };
        }
    }
    Ok(figures)
}

/// Place of the target among the first 20 after this session, the item being viewed left out.
fn rank_of(tower: &Tower, session: &[u32], target: u32) -> Option<usize> {
    let newest_first: Vec<&[f32]> =
        session.iter().rev().take(WINDOW).map(|row| tower.item_vector(*row as usize)).collect();
    let user = tower.user_vector(&newest_first);
    let mut scores: Vec<f32> = (0..tower.items())
        .map(|row| Tower::logit(&user, tower.item_vector(row), tower.bias(row)))
        .collect();
    if let Some(last) = session.last() {
        scores[*last as usize] = f32::NEG_INFINITY;
    }
    top_k(&scores, 20).iter().position(|scored| scored.index == target)
}

fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>, Failure> {
    Ok(BufReader::new(flate2::read::GzDecoder::new(File::open(path)?)).lines())
}
