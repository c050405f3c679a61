//! Generated families of schemas with our verdicts, one JSON object a line, for scripts/compat-peers:
//! `cargo run -p upnext-contract --example pairs -- COUNT [SEED]`.

#![expect(clippy::unwrap_used, reason = "a program for a script, which shows the panic")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use serde_json::json;
use upnext_contract::compat::{Level, Types, can_read, check};

#[path = "../tests/pairs/shape.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod shape;
#[path = "../tests/pairs/generate.rs"]
mod generate;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|number| number.parse::<u64>().unwrap());
    let count = arguments.next().unwrap_or(400);
    let seed = arguments.next().unwrap_or(1) << 32;
    for id in 0..count {
        let versions = generate::family(seed + id);
        let texts: Vec<String> = versions.iter().map(|shape| shape.json().to_string()).collect();
        let types: Vec<Types> = texts.iter().map(|text| Types::parse(text, &[]).unwrap()).collect();
        let (new, old) = types.split_last().unwrap();
        let levels: serde_json::Map<_, _> = Level::ALL
            .into_iter()
            .map(|level| (level.name().to_owned(), json!(check(new, old, level).is_ok())))
            .collect();
        let mut reads = Vec::new();
        for (reader, ours) in types.iter().enumerate() {
            for (writer, theirs) in types.iter().enumerate().filter(|(at, _)| *at != reader) {
                let conflicts = can_read(ours, theirs).err().unwrap_or_default();
                let conflicts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
                reads.push(json!({"reader": reader, "writer": writer, "conflicts": conflicts}));
            }
        }
        let line = json!({"id": id, "schemas": texts, "levels": levels, "reads": reads});
        println!("{line}");
    }
}
