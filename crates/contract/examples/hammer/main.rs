//! Hammers the way from bytes to a verdict with inputs nobody would send: framing, schema lint, decoding, resolution,
//! rules and time, under our own schemas, under mutilated ones and under ones made up.
//!
//! `cargo run -p upnext-contract --example hammer -- --inputs 5000000 --seed 1`. Prints how many inputs met which
//! end, the panics, and the most memory it ever held; exits 1 on a panic or above 200 MB. The short way to an event is
//! held to the long one on every input: where they part, that counts as a panic. A run is its seed: the same one gives
//! the same inputs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people")]

mod dice;
mod forge;
mod odd;
mod writers;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use upnext_contract::{Judge, Limits, Raw, Verdict, WriterSchema};

use dice::Dice;
use forge::{Forge, Input};

const RSS_MB_MAX: u64 = 200;
const TOPIC: &str = "upnext.events.v1";

fn main() -> ExitCode {
    let Some((inputs, seed)) = arguments() else {
        eprintln!("usage: hammer [--inputs COUNT] [--seed NUMBER]");
        return ExitCode::from(64);
    };
    // One line per panic instead of a backtrace; they are counted below.
    std::panic::set_hook(Box::new(|panic| eprintln!("panic: {panic}")));
    let judge = Judge::new(Limits::default(), TOPIC);
    let mut forge = Forge::new(Dice::new(seed));
    let mut ends: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut panics = 0_u64;
    for place in 0..inputs {
        let input = forge.next();
        match catch_unwind(AssertUnwindSafe(|| end_of(&judge, &input))) {
            Ok(end) => *ends.entry(end).or_default() += 1,
            Err(_) => {
                panics += 1;
                eprintln!("input {place} of seed {seed}: {input:?}");
            }
        }
    }
    let rss_mb = high_water_mb();
    for (end, count) in &ends {
        println!("{end:24}{count}");
    }
    println!("inputs {inputs}, panics {panics}, most memory {rss_mb} MB (allowed {RSS_MB_MAX})");
    if panics > 0 || rss_mb > RSS_MB_MAX { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What became of an input: the code of a reason, or `accepted`.
fn end_of(judge: &Judge, input: &Input) -> &'static str {
    let raw = Raw {
        key: input.key.as_deref(),
        value: Some(&input.value),
        schema_header: input.schema_header.as_deref(),
        timestamp_ms: input.timestamp_ms,
    };
    let content = match judge.unframed(raw) {
        Ok((_, content)) => content,
        Err(rejection) => return rejection.reason.code(),
    };
    let schema = match input.schema.as_ref() {
        Ok(schema) => schema,
        Err(flaw) => return flaw.reason().code(),
    };
    assert!(schema.ways_agree(content), "the two ways to an event part");
    match judge.verdict(schema, content, raw) {
        Verdict::Accept(_) => "accepted",
        Verdict::Reject(rejection) if schema.event_type().is_none() => {
            // Our other topics are read with whatever schema their records name.
            end_of_value(schema, content).unwrap_or_else(|| rejection.reason.code())
        }
        Verdict::Reject(rejection) => rejection.reason.code(),
    }
}

fn end_of_value(schema: &WriterSchema, content: &[u8]) -> Option<&'static str> {
    schema.decode(content).err().map(|rejection| rejection.reason.code())
}

fn arguments() -> Option<(u64, u64)> {
    let (mut inputs, mut seed) = (200_000, 1);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next()?.replace('_', "").parse().ok()?;
        match word.as_str() {
            "--inputs" => inputs = number,
            "--seed" => seed = number,
            _ => return None,
        }
    }
    Some((inputs, seed))
}

/// The most memory this process ever held, as the kernel tells; nothing where it does not.
fn high_water_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or(0) / 1_024
}
