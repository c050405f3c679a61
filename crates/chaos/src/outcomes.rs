//! What became of every record that was sent: the raw topic, the valid one and the dead letters, each read once in the
//! order of its partitions, against what the producer wrote down.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use upnext_common::position::{SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC};
use upnext_common::topic::Topic;
use upnext_contract::letter::said as letter_said;
use upnext_kafka::Record;

use crate::ledger::{Content, Entry, Fate, Ledger, number_of};
use crate::scene::PREFIX;

/// Partition and offset in the raw topic.
pub(crate) type Source = (i32, i64);

/// Flaws that are told one by one, of each sort.
const TOLD_MAX: u64 = 4;

/// What can be wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// Sent and acknowledged, and not in the raw topic.
    Lost,
    /// In the raw topic, and nobody sent it, or it stands there twice.
    Foreign,
    /// In the raw topic behind one of its partition that was sent later.
    Disordered,
    /// Its key, value or timestamp is not what it has to be, or it bears another record's position.
    Altered,
    /// In the raw topic, and neither valid nor dead.
    Open,
    /// Both valid and dead, or it stands for no raw record.
    Odd,
    /// Garbage that is valid, an event that is dead, or dead for another reason.
    Misjudged,
    /// Valid or dead without saying which raw record it stands for.
    Unmarked,
    /// Valid for the first time behind a later record of its partition: whoever counts positions passes over it.
    Overtaken,
    /// In another partition of the valid topic than the records of its key before it.
    Moved,
    /// A late event without its letter, or a letter without a late event.
    Letter,
}

impl Flaw {
    pub(crate) const ALL: [Self; 11] = [
        Self::Lost,
        Self::Foreign,
        Self::Disordered,
        Self::Altered,
        Self::Open,
        Self::Odd,
        Self::Misjudged,
        Self::Unmarked,
        Self::Overtaken,
        Self::Moved,
        Self::Letter,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lost => "records lost by the producer",
            Self::Foreign => "records nobody sent, or twice",
            Self::Disordered => "records not in their order",
            Self::Altered => "records that say something else",
            Self::Open => "records without outcome",
            Self::Odd => "records with an odd outcome",
            Self::Misjudged => "records with a wrong verdict",
            Self::Unmarked => "outcomes without their position",
            Self::Overtaken => "valid records that were overtaken",
            Self::Moved => "valid records in another partition",
            Self::Letter => "late letters missing or odd",
        }
    }
}

/// How often each flaw was found, and the first of each in words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flaws {
    counts: BTreeMap<Flaw, u64>,
    pub(crate) told: Vec<String>,
}

impl Flaws {
    pub(crate) fn count(&self, flaw: Flaw) -> u64 {
        self.counts.get(&flaw).copied().unwrap_or(0)
    }

    fn note(&mut self, flaw: Flaw, what: impl FnOnce() -> String) {
        let count = self.counts.entry(flaw).or_default();
        *count += 1;
        if *count <= TOLD_MAX {
            self.told.push(format!("{}: {}", flaw.name(), what()));
        }
    }
}

/// A valid record as whoever counts positions takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whether it is counted at all.
    pub(crate) is_news: bool,
    /// The raw record it stands for.
    pub(crate) source: Option<Source>,
}

/// Everything that was found so far.
pub(crate) struct Outcomes<'a> {
    ledger: &'a Ledger,
    /// With the number of each record, where it bears one that was sent.
    pub(crate) raw: BTreeMap<Source, Option<u64>>,
    numbers: HashSet<u64>,
    newest_number: HashMap<i32, u64>,
    /// Raw positions of valid records.
    pub(crate) valid: BTreeSet<Source>,
    /// Raw positions of what ingest rejected.
    pub(crate) dead: BTreeSet<Source>,
    /// Raw positions of what features found too late.
    pub(crate) late: BTreeSet<Source>,
    /// Newest raw offset by partition of the valid and of the raw topic.
    newest: HashMap<(i32, i32), i64>,
    /// In which partition of the valid topic a key stands.
    places: HashMap<Option<Bytes>, i32>,
    /// Records that stand in the valid topic or in the dead letters once more.
    pub(crate) repeats: u64,
    pub(crate) flaws: Flaws,
}

impl<'a> Outcomes<'a> {
    pub(crate) fn new(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            raw: BTreeMap::new(),
            numbers: HashSet::new(),
            newest_number: HashMap::new(),
            valid: BTreeSet::new(),
            dead: BTreeSet::new(),
            late: BTreeSet::new(),
            newest: HashMap::new(),
            places: HashMap::new(),
            repeats: 0,
            flaws: Flaws::default(),
        }
    }

    /// The next raw record of its partition.
    pub(crate) fn raw(&mut self, record: &Record) {
        let source = (record.partition, record.offset);
        let number = number_of(record);
        let entry = number.and_then(|number| self.ledger.get(number));
        let (Some(number), Some(entry)) = (number, entry) else {
            self.raw.insert(source, None);
            return self.flaws.note(Flaw::Foreign, || format!("raw {source:?}"));
        };
        self.raw.insert(source, Some(number));
        if !self.numbers.insert(number) {
            self.flaws.note(Flaw::Foreign, || format!("raw {source:?} is number {number} again"));
        }
        let newest = self.newest_number.entry(record.partition).or_insert(number);
        if number < *newest {
            let newest = *newest;
            self.flaws.note(Flaw::Disordered, || {
                format!("raw {source:?} is number {number}, after number {newest}")
            });
        } else {
            *newest = number;
        }
        if Content::of_record(record) != entry.sent {
            self.flaws.note(Flaw::Altered, || format!("raw {source:?}, number {number}"));
        }
    }

    /// The next valid record of its partition.
    pub(crate) fn valid(&mut self, record: &Record) -> Taken {
        let here = (record.partition, record.offset);
        let place = *self.places.entry(record.key.clone()).or_insert(record.partition);
        if place != record.partition {
            self.flaws.note(Flaw::Moved, || format!("valid {here:?}, before it in {place}"));
        }
        let says = |name| std::str::from_utf8(record.header(name).unwrap_or_default()).ok();
        let topic = says(SOURCE_TOPIC);
        let Some(source) = source_of(topic, says(SOURCE_PARTITION), says(SOURCE_OFFSET)) else {
            self.flaws.note(Flaw::Unmarked, || format!("valid {here:?}"));
            return Taken { is_news: true, source: None };
        };
        if let Some(entry) = self.original(record, source) {
            match entry.fate {
                Fate::Valid(due) if due == Content::of_record(record) => {}
                Fate::Valid(_) => {
                    self.flaws.note(Flaw::Altered, || format!("valid {here:?} of raw {source:?}"));
                }
                Fate::Dead(reason) => self.flaws.note(Flaw::Misjudged, || {
                    format!("raw {source:?} is valid, should be dead: {}", reason.code())
                }),
            }
        }
        let is_first = self.valid.insert(source);
        self.repeats += u64::from(!is_first);
        let newest = self.newest.entry((record.partition, source.0)).or_insert(-1);
        let is_news = source.1 > *newest;
        *newest = source.1.max(*newest);
        if is_first && !is_news {
            let newest = *newest;
            self.flaws.note(Flaw::Overtaken, || {
                format!("valid {here:?} of raw {source:?}, after raw offset {newest}")
            });
        }
        Taken { is_news, source: Some(source) }
    }

    /// A dead letter.
    pub(crate) fn letter(&mut self, letter: &Record) {
        let here = (letter.partition, letter.offset);
        let says = |name| letter_said(&letter.headers, name);
        let Some(source) = source_of(says("topic"), says("partition"), says("offset")) else {
            return self.flaws.note(Flaw::Unmarked, || format!("letter {here:?}"));
        };
        let reason = says("reason").unwrap_or_default();
        let is_late = reason == "late" && says("stage") == Some("stream");
        if let Some(entry) = self.original(letter, source) {
            let (is_due, content) = match entry.fate {
                Fate::Valid(content) => (is_late, content),
                Fate::Dead(due) => (!is_late && due.code() == reason, entry.sent),
            };
            if !is_due {
                let due = entry.fate;
                self.flaws.note(Flaw::Misjudged, || {
                    format!("raw {source:?} is dead: {reason}, should be {due:?}")
                });
            } else if content != Content::of_record(letter) {
                self.flaws.note(Flaw::Altered, || format!("letter {here:?} of raw {source:?}"));
            }
        }
        if is_late {
            self.late.insert(source);
        } else {
            self.repeats += u64::from(!self.dead.insert(source));
        }
    }

    /// What was sent as the raw record that this one says it stands for.
    fn original(&mut self, record: &Record, source: Source) -> Option<Entry> {
        // One that stands for no raw record is found at the end.
        let number = *self.raw.get(&source)?;
        if number_of(record) != number {
            self.flaws
                .note(Flaw::Altered, || format!("it is not raw {source:?} what it stands for"));
        }
        self.ledger.get(number?).copied()
    }

    /// Once everything has been read: every record has exactly one outcome, and what is late has its letter.
    pub(crate) fn conclude(&mut self, due_late: &BTreeSet<Source>) {
        let Self { ledger, raw, valid, dead, late, flaws, numbers, .. } = self;
        for number in (0..ledger.len()).filter(|number| !numbers.contains(number)) {
            flaws.note(Flaw::Lost, || format!("number {number}"));
        }
        let outcomes: BTreeSet<Source> = valid.union(dead).copied().collect();
        for source in raw.keys().filter(|source| !outcomes.contains(source)) {
            flaws.note(Flaw::Open, || format!("raw {source:?}"));
        }
        for source in outcomes.iter().filter(|source| !raw.contains_key(source)) {
            flaws.note(Flaw::Odd, || format!("there is no raw {source:?}"));
        }
        for source in valid.intersection(dead) {
            flaws.note(Flaw::Odd, || format!("raw {source:?} is valid and dead"));
        }
        for source in late.symmetric_difference(due_late) {
            let is_there = late.contains(source);
            flaws.note(Flaw::Letter, || format!("raw {source:?}: there {is_there}"));
        }
    }
}

fn source_of(topic: Option<&str>, partition: Option<&str>, offset: Option<&str>) -> Option<Source> {
    let is_raw = topic == Some(&Topic::Events.name(PREFIX));
    let source = (partition?.parse().ok()?, offset?.parse().ok()?);
    is_raw.then_some(source)
}

#[cfg(test)]
mod tests;
