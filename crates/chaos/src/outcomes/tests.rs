//! What is wrong with outcomes is found, each flaw by its name, and what is right is left alone.

use std::sync::Arc;

use upnext_contract::letter::{Origin, headers};
use upnext_contract::{Reason, Rejection};
use upnext_kafka::{Header, Outgoing};

use super::*;

const KEYS: [&str; 2] = ["a", "b"];

/// Ten records that were sent to one partition: number 4 is garbage. Then what a sound ingest makes of them.
struct World {
    ledger: Ledger,
    raw: Vec<Record>,
    valid: Vec<Record>,
    letters: Vec<Record>,
}

impl World {
    fn sound() -> Self {
        let mut ledger = Ledger::default();
        let (mut raw, mut valid, mut letters) = (Vec::new(), Vec::new(), Vec::new());
        for offset in 0..10 {
            let number = usize::try_from(offset).unwrap();
            let mut sent = Outgoing {
                key: Some(Bytes::from_static(KEYS[number % 2].as_bytes())),
                value: Some(Bytes::from(format!("value {number}"))),
                timestamp_ms: Some(1_000 + offset),
                ..Outgoing::default()
            };
            let (key, value) = (sent.key.as_deref(), sent.value.as_deref());
            let content = Content::of(key, value, 1_000 + offset);
            let is_garbage = number == 4;
            let fate = if is_garbage { Fate::Dead(Reason::BadMagic) } else { Fate::Valid(content) };
            sent.headers.push(ledger.enter(&sent, fate));
            let record = record(&sent, offset);
            if is_garbage {
                letters.push(letter(&record, Reason::BadMagic));
            } else {
                let at = i64::try_from(valid.len()).unwrap();
                valid.push(stamped(&record, at));
            }
            raw.push(record);
        }
        Self { ledger, raw, valid, letters }
    }

    fn flaws(&self, due_late: &[Source]) -> Vec<(Flaw, u64)> {
        let mut outcomes = Outcomes::new(&self.ledger);
        self.raw.iter().for_each(|record| outcomes.raw(record));
        for record in &self.valid {
            outcomes.valid(record);
        }
        self.letters.iter().for_each(|letter| outcomes.letter(letter));
        outcomes.conclude(&due_late.iter().copied().collect());
        assert_eq!(outcomes.flaws.told.is_empty(), outcomes.flaws.counts.is_empty());
        outcomes.flaws.counts.into_iter().collect()
    }
}

fn record(sent: &Outgoing, offset: i64) -> Record {
    Record {
        topic: Arc::from("t"),
        partition: 0,
        offset,
        timestamp_ms: sent.timestamp_ms.unwrap(),
        key: sent.key.clone(),
        value: sent.value.clone(),
        headers: sent.headers.clone(),
    }
}

fn stamped(raw: &Record, offset: i64) -> Record {
    let mut valid = Record { offset, ..raw.clone() };
    let header = |name: &str, text: String| -> Header { (name.to_owned(), Some(text.into())) };
    valid.headers.push(header(SOURCE_TOPIC, Topic::Events.name(PREFIX)));
    valid.headers.push(header(SOURCE_PARTITION, raw.partition.to_string()));
    valid.headers.push(header(SOURCE_OFFSET, raw.offset.to_string()));
    valid
}

fn letter(raw: &Record, reason: Reason) -> Record {
    let topic = Topic::Events.name(PREFIX);
    let origin = Origin {
        topic: &topic,
        partition: raw.partition,
        offset: raw.offset,
        timestamp_ms: raw.timestamp_ms,
        processor: "p",
    };
    let headers = headers(&raw.headers, &Rejection::new(reason, "", ""), &origin, 0);
    Record { headers, ..raw.clone() }
}

#[track_caller]
fn check(spoil: impl FnOnce(&mut World), expected: &[(Flaw, u64)]) {
    let mut world = World::sound();
    spoil(&mut world);
    assert_eq!(world.flaws(&[]), expected);
}

#[test]
fn a_sound_ingest_has_no_flaw() {
    check(|_| {}, &[]);
}

#[test]
fn repeats_are_no_flaw() {
    check(
        |world| {
            let again = world.valid[3..].to_vec();
            world.valid.extend(again);
            world.letters.push(world.letters[0].clone());
        },
        &[],
    );
}

#[test]
fn what_was_sent_and_what_is_there_are_held_against_each_other() {
    check(
        |world| {
            world.raw.pop();
            world.valid.pop();
        },
        &[(Flaw::Lost, 1)],
    );
    // As many as were sent, and yet not those that were.
    check(
        |world| {
            world.raw[9] = Record { offset: 9, ..world.raw[8].clone() };
            world.valid[8] = stamped(&world.raw[9], 8);
        },
        &[(Flaw::Lost, 1), (Flaw::Foreign, 1)],
    );
    check(
        |world| {
            world.raw[9].headers.clear();
            world.valid[8] = stamped(&world.raw[9], 8);
        },
        &[(Flaw::Lost, 1), (Flaw::Foreign, 1)],
    );
    check(
        |world| {
            let (seven, eight) = (world.raw[7].clone(), world.raw[8].clone());
            world.raw[7] = Record { offset: 7, ..eight };
            world.raw[8] = Record { offset: 8, ..seven };
            world.valid[6] = stamped(&world.raw[7], 6);
            world.valid[7] = stamped(&world.raw[8], 7);
        },
        &[(Flaw::Disordered, 1)],
    );
    check(|world| world.raw[2].timestamp_ms += 1, &[(Flaw::Altered, 1)]);
}

#[test]
fn every_record_has_one_outcome() {
    check(|world| drop(world.valid.remove(2)), &[(Flaw::Open, 1)]);
    check(|world| drop(world.letters.pop()), &[(Flaw::Open, 1)]);
    check(
        |world| {
            world.raw.remove(2);
        },
        &[(Flaw::Lost, 1), (Flaw::Odd, 1)],
    );
    let both = |world: &mut World| world.letters.push(letter(&world.raw[2], Reason::Range));
    check(both, &[(Flaw::Odd, 1), (Flaw::Misjudged, 1)]);
}

#[test]
fn the_garbage_is_dead_and_nothing_else_for_the_reason_that_is_due() {
    // As many dead as there were garbage, but others.
    check(
        |world| {
            world.letters = vec![letter(&world.raw[5], Reason::BadMagic)];
            world.valid.retain(|record| record.key.as_deref() != Some(b"b") || record.offset != 4);
            world.valid.push(stamped(&world.raw[4], 9));
        },
        &[(Flaw::Misjudged, 2), (Flaw::Overtaken, 1)],
    );
    check(
        |world| world.letters = vec![letter(&world.raw[4], Reason::Range)],
        &[(Flaw::Misjudged, 1)],
    );
}

#[test]
fn an_event_that_comes_too_late_to_count_is_found() {
    check(
        |world| {
            let overtaken = world.valid.remove(3);
            world.valid.push(overtaken);
        },
        &[(Flaw::Overtaken, 1)],
    );
}

#[test]
fn valid_records_say_what_was_sent_under_their_position() {
    check(|world| world.valid[0].timestamp_ms += 1, &[(Flaw::Altered, 1)]);
    check(|world| world.valid[0].value = Some(Bytes::from_static(b"x")), &[(Flaw::Altered, 1)]);
    check(|world| world.letters[0].value = None, &[(Flaw::Altered, 1)]);
    check(|world| world.valid[0].headers.truncate(1), &[(Flaw::Open, 1), (Flaw::Unmarked, 1)]);
    check(|world| world.valid[0].headers.remove(0).1.unwrap().clear(), &[(Flaw::Altered, 1)]);
    // One record under another's position: its own is missing.
    check(
        |world| world.valid[0] = stamped(&Record { offset: 1, ..world.raw[0].clone() }, 0),
        &[(Flaw::Altered, 2), (Flaw::Open, 1)],
    );
    check(|world| world.valid[8].partition = 1, &[(Flaw::Moved, 1)]);
}

#[test]
fn late_letters_are_those_that_are_due() {
    let mut world = World::sound();
    assert_eq!(world.flaws(&[(0, 1)]), [(Flaw::Letter, 1)]);
    world.letters.push(letter(&world.raw[1], Reason::Late));
    assert_eq!(world.flaws(&[(0, 1)]), []);
    assert_eq!(world.flaws(&[]), [(Flaw::Letter, 1)]);
    world.letters.push(letter(&world.raw[4], Reason::Late));
    assert_eq!(world.flaws(&[(0, 1)]), [(Flaw::Misjudged, 1), (Flaw::Letter, 1)]);
}
