//! Inputs: garbage, valid values of every event type with a few bytes wrong, and content for schemas made up.

use std::sync::Arc;

use upnext_common::event::EventType;
use upnext_contract::framing::{frame, guid_header};
use upnext_contract::writer_schema::SchemaFlaw;
use upnext_contract::{WriterSchema, schemas};
use uuid::Uuid;

use crate::dice::Dice;
use crate::{odd, writers};

/// Inputs that one made-up schema is used for.
const INPUTS_PER_WRITER: u64 = 24;

/// A schema as the client would have it.
pub(crate) type Parsed = Arc<Result<WriterSchema, SchemaFlaw>>;

/// A record, with what a registry would answer about its schema.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    pub(crate) schema_header: Option<Vec<u8>>,
    pub(crate) timestamp_ms: i64,
    pub(crate) schema: Parsed,
}

pub(crate) struct Forge {
    dice: Dice,
    /// For each event type its schema and a valid value's content.
    own: Vec<(Parsed, Vec<u8>)>,
    writer: Parsed,
    made: u64,
}

impl Forge {
    pub(crate) fn new(dice: Dice) -> Self {
        let own = EventType::ALL.into_iter().map(|kind| {
            let schema = WriterSchema::parse(1, schemas::of_event(kind).text, &[]);
            (Arc::new(schema), content(kind))
        });
        let own: Vec<_> = own.collect();
        let writer = Arc::clone(&own[0].0);
        Self { dice, own, writer, made: 0 }
    }

    pub(crate) fn next(&mut self) -> Input {
        if self.made.is_multiple_of(INPUTS_PER_WRITER) {
            let text = writers::schema(&mut self.dice);
            self.writer = Arc::new(WriterSchema::parse(2, &text, &[]));
        }
        self.made += 1;
        let place = self.dice.below(self.own.len());
        let (own, valid) = &self.own[place];
        let (own, mut content) = (Arc::clone(own), valid.clone());
        let schema = match self.dice.below(5) {
            0 => {
                content = self.dice.bytes(200);
                own
            }
            1 => {
                content = writers::content(&mut self.dice);
                Arc::clone(&self.writer)
            }
            2 => {
                self.mutilate(&mut content);
                Arc::clone(&self.writer)
            }
            3 => {
                content = odd::content(&mut self.dice, EventType::ALL[place]);
                own
            }
            _ => {
                self.mutilate(&mut content);
                own
            }
        };
        self.record(content, schema)
    }

    fn record(&mut self, content: Vec<u8>, schema: Parsed) -> Input {
        let dice = &mut self.dice;
        let (mut value, mut schema_header) = (frame(1, &content).to_vec(), None);
        match dice.below(16) {
            0 => value = dice.bytes(12),
            1 => schema_header = Some(dice.bytes(20)),
            2 => {
                value = content;
                schema_header = Some(guid_header(Uuid::nil()).to_vec());
            }
            _ => {}
        }
        let timestamp_ms = match dice.below(16) {
            0 => dice.number().cast_signed(),
            1 => *dice.one_of(&[0, -1, i64::MIN, i64::MAX]),
            _ => odd::NOW_MS,
        };
        let key = if dice.once_in(16) { None } else { Some(odd::USER.as_bytes().to_vec()) };
        Input { key, value, schema_header, timestamp_ms, schema }
    }

    /// None to three wounds.
    fn mutilate(&mut self, content: &mut Vec<u8>) {
        let dice = &mut self.dice;
        for _ in 0..dice.below(4) {
            let place = dice.below(content.len() + 1);
            match dice.below(6) {
                0 => content.truncate(place),
                1 => content.insert(place, dice.byte()),
                2 => drop(content.splice(place..place, [0xff; 9].into_iter().chain([1]))),
                3 => {
                    let end = (place + dice.below(9)).min(content.len());
                    content.drain(place..end);
                }
                4 => {
                    let copy = content[place..].to_vec();
                    content.extend_from_slice(&copy);
                }
                _ => {
                    if let Some(found) = content.get_mut(place) {
                        *found ^= 1 << dice.below(8);
                    }
                }
            }
        }
    }
}

/// The Avro of a valid event.
fn content(kind: EventType) -> Vec<u8> {
    odd::written(&odd::valid(kind))
}
