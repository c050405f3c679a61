//! One stage: its log replayed, held against its states in the store, while both go on.
//!
//! A partition's watermark is read first and its log replayed up to there; only then are states looked at. So every
//! state must hold at least what was replayed. One that holds more is compared at its own position: the log is read
//! on for its sake. What looks wrong is read again before it is believed, and a watermark that went back meanwhile
//! (the store lost something, or was given up for another) has the partition looked at anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use upnext_common::item::stable_hash;
use upnext_kafka::Record;
use upnext_kafka::scan::{self, Stretch};
use upnext_state::header;
use upnext_store::{Cursor, Watermark};

use super::held::Held;
use super::kind::{Kind, Told};
use super::ledger::Ledger;
use super::replay::Replay;
use super::report::{Compared, Report};
use super::sources::{Sources, patiently};
use super::{Meter, VerifyError};
use crate::anew::is_same;
use crate::stage::ReadError;

/// States asked for at once.
const KEYS_MAX: usize = 500;
/// States nobody was expected to have that are looked at in one go.
const STRANGERS_MAX: usize = 10_000;
/// How often a partition is looked at while its watermark goes back.
const ATTEMPTS_MAX: usize = 5;
/// How often, and after which pause, a registry is asked again.
const READ_TRIES_MAX: usize = 40;
const READ_WAIT: Duration = Duration::from_millis(250);

pub(crate) struct Side<K: Kind> {
    pub(crate) kind: K,
    pub(crate) sources: Sources,
    /// Whether replays are kept, to go on from in the next round.
    pub(crate) is_kept: bool,
    replays: BTreeMap<i32, Replay<K>>,
    /// How far each partition was replayed, without its states.
    bases: BTreeMap<i32, Replay<K>>,
    /// Hashes of all keys that were expected or found.
    seen: HashSet<u64>,
    /// Signals said or heard, where they are summed up, and the number of signals partitions.
    pub(crate) ledger: Option<(Ledger, i32)>,
}

/// Stored states that are to be compared where the log reaches their positions.
type Targets = HashMap<String, Bytes>;

impl<K: Kind> Side<K> {
    pub(crate) fn new(kind: K, sources: Sources, is_kept: bool) -> Self {
        Self {
            kind,
            sources,
            is_kept,
            replays: BTreeMap::new(),
            bases: BTreeMap::new(),
            seen: HashSet::new(),
            ledger: None,
        }
    }

    /// Offset up to which each partition was replayed.
    pub(crate) fn reached(&self) -> BTreeMap<i32, i64> {
        self.bases.iter().map(|(partition, base)| (*partition, base.next_offset)).collect()
    }

    pub(crate) async fn stretches(&self) -> Result<Vec<Stretch>, VerifyError> {
        Ok(scan::stretches(&self.sources.brokers, &self.sources.topic, None).await?)
    }

    /// Compares everything once.
    pub(crate) async fn round(
        &mut self,
        report: &mut Report,
        meter: &mut Meter<'_>,
    ) -> Result<(), VerifyError> {
        self.seen.clear();
        let mut compared = Compared::default();
        for stretch in self.stretches().await? {
            compared = self.partition(stretch, compared, meter).await?;
        }
        self.strangers(&mut compared, meter).await?;
        *report.of_mut(K::STAGE) = compared;
        Ok(())
    }

    /// Compares the states that one partition's log speaks of.
    async fn partition(
        &mut self,
        stretch: Stretch,
        before: Compared,
        meter: &mut Meter<'_>,
    ) -> Result<Compared, VerifyError> {
        for _ in 0..ATTEMPTS_MAX {
            let watermark = self.watermark(stretch.partition).await?;
            self.check_log(stretch.partition, &watermark).await?;
            let mut replay = self.begun(stretch, &watermark)?;
            replay.ledger.clone_from(&self.ledger);
            self.read(&mut replay, watermark.next_offset, meter, |_, _| {}).await?;
            let mut compared = before.clone();
            let ledger = self.compare(&mut replay, &mut compared, meter).await?;
            let after = self.watermark(stretch.partition).await?;
            if (after.epoch, after.next_offset) < (watermark.epoch, watermark.next_offset) {
                continue;
            }
            self.ledger = ledger;
            self.bases.insert(stretch.partition, replay.onward(Held::new()));
            if self.is_kept {
                self.replays.insert(stretch.partition, replay);
            }
            return Ok(compared);
        }
        Err(VerifyError::Unsettled { stage: K::STAGE.name(), partition: stretch.partition })
    }

    /// A log that was made anew, and that no daemon has begun yet, is not what the watermark speaks of.
    async fn check_log(&self, partition: i32, watermark: &Watermark) -> Result<(), VerifyError> {
        let Sources { brokers, topic, .. } = &self.sources;
        if watermark.next_offset == 0 || is_same(brokers, (topic, partition), watermark).await? {
            return Ok(());
        }
        Err(VerifyError::MadeAnew { topic: topic.clone(), partition, epoch: watermark.epoch + 1 })
    }

    /// The replay of the round before, if the store has not gone back since; else one from the beginning of the log.
    fn begun(&mut self, stretch: Stretch, watermark: &Watermark) -> Result<Replay<K>, VerifyError> {
        let Stretch { partition, start, .. } = stretch;
        if watermark.epoch > 0 {
            let topic = self.sources.topic.clone();
            return Err(VerifyError::MadeAnew { topic, partition, epoch: watermark.epoch });
        }
        let kept = self.replays.remove(&partition).filter(|replay| {
            replay.epoch == watermark.epoch && replay.next_offset <= watermark.next_offset
        });
        let replay = kept.unwrap_or_else(|| Replay::new(partition, watermark.epoch));
        if replay.next_offset < start {
            let topic = self.sources.topic.clone();
            return Err(VerifyError::Truncated { topic, partition, start });
        }
        Ok(replay)
    }

    /// Compares all states of a replay that stands at the watermark; gives the ledger as it is at the log's end.
    async fn compare(
        &mut self,
        replay: &mut Replay<K>,
        compared: &mut Compared,
        meter: &mut Meter<'_>,
    ) -> Result<Option<(Ledger, i32)>, VerifyError> {
        let mut doubtful = Vec::new();
        let keys = replay.held.keys();
        for keys in keys.chunks(KEYS_MAX) {
            for (key, blob) in keys.iter().zip(self.sources.stored(keys).await?) {
                self.seen.insert(stable_hash(key.as_bytes()));
                match blob {
                    Some(blob) if K::is_written_as(&replay.held.copy(key), &blob) => {
                        compared.equal::<K>();
                    }
                    None if !is_counted::<K>(&replay.held.copy(key)) => {}
                    Some(_) | None => doubtful.push(key.clone()),
                }
            }
        }
        let mut targets = Targets::new();
        let mut wanted = Held::new();
        for keys in doubtful.chunks(KEYS_MAX) {
            for (key, blob) in keys.iter().zip(self.sources.stored(keys).await?) {
                let expected = replay.held.copy(key);
                if let Some(blob) = settled::<K>(key, &expected, blob, compared) {
                    targets.insert(key.clone(), blob);
                    wanted.insert(key.clone(), expected);
                }
            }
        }
        self.onward(replay, (wanted, targets), compared, meter).await
    }

    /// Reads the log on from a replay's end, to compare states that are ahead of it.
    async fn onward(
        &self,
        replay: &mut Replay<K>,
        (wanted, mut targets): (Held<K>, Targets),
        compared: &mut Compared,
        meter: &mut Meter<'_>,
    ) -> Result<Option<(Ledger, i32)>, VerifyError> {
        // What users say after the watermark is not settled yet; what items hear is read to the end.
        let said = if K::HEARS { None } else { replay.ledger.take() };
        let mut further = replay.onward(wanted);
        if !targets.is_empty() || further.ledger.is_some() {
            let end = self.end(replay.partition).await?;
            let check =
                |key: &str, state: &K::State| reached::<K>(key, state, &mut targets, compared);
            self.read(&mut further, end, meter, check).await?;
        }
        for (key, blob) in targets {
            let expected = further.held.copy(&key);
            let expected = is_counted::<K>(&expected).then_some(&expected);
            compared.differs::<K>(&key, expected, Some(&blob));
        }
        Ok(said.or(further.ledger))
    }

    /// States in the store that no log was expected to speak of: those of whom it spoke only just now, and the rest.
    async fn strangers(
        &mut self,
        compared: &mut Compared,
        meter: &mut Meter<'_>,
    ) -> Result<(), VerifyError> {
        let (mut cursor, mut strangers) = (Some(Cursor::default()), Vec::new());
        while let Some(from) = cursor {
            let reader = &self.sources.reader;
            let (next, keys) = patiently(|| reader.scanned(K::STAGE, from)).await?;
            for key in keys.into_iter().filter(|key| self.kind.is_sampled(key)) {
                if self.seen.insert(stable_hash(key.as_bytes())) {
                    strangers.push(key);
                }
            }
            if strangers.len() >= STRANGERS_MAX || next.is_none() {
                self.resolve(std::mem::take(&mut strangers), compared, meter).await?;
            }
            cursor = next;
        }
        Ok(())
    }

    async fn resolve(
        &mut self,
        keys: Vec<String>,
        compared: &mut Compared,
        meter: &mut Meter<'_>,
    ) -> Result<(), VerifyError> {
        let mut targets = Targets::new();
        for keys in keys.chunks(KEYS_MAX) {
            let blobs = self.sources.stored(keys).await?;
            let found = keys.iter().cloned().zip(blobs);
            targets.extend(found.filter_map(|(key, blob)| Some((key, blob?))));
        }
        let mut bases = std::mem::take(&mut self.bases);
        for base in bases.values_mut() {
            if targets.is_empty() {
                break;
            }
            let mut wanted = Held::new();
            targets.keys().for_each(|key| wanted.insert(key.clone(), K::State::default()));
            let mut further = base.onward(wanted);
            let end = self.end(base.partition).await?;
            let check =
                |key: &str, state: &K::State| reached::<K>(key, state, &mut targets, compared);
            self.read(&mut further, end, meter, check).await?;
        }
        self.bases = bases;
        for (key, blob) in targets {
            compared.differs::<K>(&key, None, Some(&blob));
        }
        Ok(())
    }

    async fn end(&self, partition: i32) -> Result<i64, VerifyError> {
        let stretches = self.stretches().await?;
        let found = stretches.iter().find(|stretch| stretch.partition == partition);
        Ok(found.map_or(0, |stretch| stretch.end))
    }

    async fn watermark(&self, partition: i32) -> Result<Watermark, VerifyError> {
        let reader = &self.sources.reader;
        let found = patiently(|| reader.watermark(K::STAGE, partition)).await?;
        Ok(found.unwrap_or_default())
    }

    /// Applies the log up to `end`.
    async fn read(
        &self,
        replay: &mut Replay<K>,
        end: i64,
        meter: &mut Meter<'_>,
        mut changed: impl FnMut(&str, &K::State),
    ) -> Result<(), VerifyError> {
        let stretch = Stretch { partition: replay.partition, start: replay.next_offset, end };
        if stretch.is_empty() {
            return Ok(());
        }
        let mut records = scan::read(&self.sources.brokers, &self.sources.topic, &[stretch])?;
        while let Some(record) = records.recv().await {
            let record = record?;
            let told = self.told(&record).await?;
            replay.apply(record.offset, told, &mut changed);
            meter.count().await;
        }
        // The last offsets may hold no record.
        replay.next_offset = end;
        Ok(())
    }

    /// What nobody can read says nothing, to the daemon and to us.
    async fn told(&self, record: &Record) -> Result<Vec<Told<K::Entry>>, VerifyError> {
        let mut trouble = String::new();
        for _ in 0..READ_TRIES_MAX {
            match self.kind.read(record).await {
                Ok(told) => return Ok(told),
                Err(ReadError::Unreadable(_)) => return Ok(Vec::new()),
                Err(ReadError::Trouble(cause)) => trouble = cause,
            }
            tokio::time::sleep(READ_WAIT).await;
        }
        Err(VerifyError::Unread { cause: trouble })
    }
}

/// Whether the log has counted anything for this state: others are never stored.
fn is_counted<K: Kind>(state: &K::State) -> bool {
    K::position(state) != upnext_state::Position::default()
}

/// Compares a state at the watermark, unless the stored one is ahead of it: that one is given back.
fn settled<K: Kind>(
    key: &str,
    expected: &K::State,
    blob: Option<Bytes>,
    compared: &mut Compared,
) -> Option<Bytes> {
    let Some(blob) = blob else {
        if is_counted::<K>(expected) {
            compared.differs::<K>(key, Some(expected), None);
        }
        return None;
    };
    if header::peek(&blob).is_ok_and(|found| found > K::position(expected)) {
        return Some(blob);
    }
    if K::is_written_as(expected, &blob) {
        compared.equal::<K>();
    } else {
        compared.differs::<K>(key, Some(expected), Some(&blob));
    }
    None
}

/// Compares a state that has just changed, if it has come to where the stored one stands.
fn reached<K: Kind>(key: &str, state: &K::State, targets: &mut Targets, compared: &mut Compared) {
    let position = K::position(state);
    let Some(blob) = targets.get(key) else { return };
    if header::peek(blob).is_ok_and(|found| found > position) {
        return;
    }
    if K::is_written_as(state, blob) {
        compared.equal::<K>();
    } else {
        compared.differs::<K>(key, Some(state), Some(blob));
    }
    targets.remove(key);
}
