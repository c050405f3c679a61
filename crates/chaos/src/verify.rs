//! The verifier: what stands in Redis against a single pass over the logs, byte for byte.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::deadline::Deadline;
use upnext_common::item::ItemHash;
use upnext_state::replay::OwnedSubject;
use upnext_store::{Keys, Reader};

use crate::load::Sent;
use crate::logs::{Logs, Source, difference};
use crate::scene::Scene;

const CHUNK: usize = 200;
const ANSWER_BOUND: Duration = Duration::from_secs(10);
/// Differences that are told one by one, of each sort.
const TOLD_MAX: u64 = 4;

/// What was compared, and what is wrong. Every count below `wrong_users` has to be 0.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Verdict {
    pub(crate) raw: u64,
    pub(crate) valid: u64,
    pub(crate) dead: u64,
    pub(crate) late: u64,
    pub(crate) repeats: u64,
    pub(crate) duplicates: u64,
    pub(crate) signals: u64,
    pub(crate) signal_repeats: u64,
    pub(crate) users: u64,
    pub(crate) items: u64,
    pub(crate) wrong_users: u64,
    pub(crate) wrong_items: u64,
    /// Sent and acknowledged, and not in the raw topic.
    pub(crate) lost_records: u64,
    /// Raw records that are neither valid nor dead.
    pub(crate) open_records: u64,
    /// Records that are both, or stand for no raw one.
    pub(crate) odd_records: u64,
    /// Late events without their letter, and letters without a late event.
    pub(crate) wrong_letters: u64,
    /// Signals that the events say and the topic does not.
    pub(crate) lost_signals: u64,
    /// Signals that the topic says and the events do not.
    pub(crate) foreign_signals: u64,
    /// Repeats of signals that say something else.
    pub(crate) contradictions: u64,
    /// The first things that are wrong.
    pub(crate) differences: Vec<String>,
}

impl Verdict {
    pub(crate) fn has_open_records(&self) -> bool {
        self.open_records > 0
    }

    pub(crate) fn is_right(&self) -> bool {
        let wrong = self.wrong_users + self.wrong_items + self.wrong_letters;
        let records = self.lost_records + self.open_records + self.odd_records;
        let signals = self.lost_signals + self.foreign_signals + self.contradictions;
        wrong + records + signals == 0
    }

    /// Notes the `count`th difference of its sort, unless there are enough of them.
    fn tell(&mut self, count: u64, difference: impl FnOnce() -> String) {
        if count <= TOLD_MAX {
            self.differences.push(difference());
        }
    }
}

/// Replays the logs and compares everything with what `scene`'s master holds.
///
/// # Errors
/// When the logs or the store cannot be read.
pub(crate) async fn verify(scene: &Scene, sent: Sent) -> anyhow::Result<Verdict> {
    let logs = Logs::read(scene).await?;
    let url = format!("redis://{}", scene.master().address);
    let redis = config::Redis { read_timeout_ms: 5_000, ..config::Redis::default() };
    let store = Reader::connect(&url, &redis, Clock::system())?;
    let mut verdict = Verdict {
        raw: logs.raw.len() as u64,
        valid: logs.valid.len() as u64,
        dead: logs.dead.len() as u64,
        late: logs.late.len() as u64,
        repeats: logs.repeats,
        duplicates: logs.duplicates,
        signals: logs.heard.values().map(|heard| heard.len() as u64).sum(),
        signal_repeats: logs.signal_repeats,
        contradictions: logs.contradictions,
        lost_records: sent.records.saturating_sub(logs.raw.len() as u64),
        ..Verdict::default()
    };
    records(&mut verdict, &logs);
    let unheard = signals(&mut verdict, &logs);
    users(&mut verdict, &logs, &store, scene).await?;
    items(&mut verdict, &logs, &store, unheard).await?;
    Ok(verdict)
}

/// Every raw record has exactly one outcome, and what is late has its letter.
fn records(verdict: &mut Verdict, logs: &Logs) {
    let outcomes: BTreeSet<Source> = logs.valid.union(&logs.dead).copied().collect();
    verdict.open_records = logs.raw.difference(&outcomes).count() as u64;
    let odd = outcomes.difference(&logs.raw).chain(logs.valid.intersection(&logs.dead));
    verdict.odd_records = odd.count() as u64;
    let letters: Vec<Source> = logs.late.symmetric_difference(&logs.due_late).copied().collect();
    verdict.wrong_letters = letters.len() as u64;
    for (source, count) in letters.into_iter().zip(1..) {
        let is_there = logs.late.contains(&source);
        verdict.tell(count, || format!("late letter of raw {source:?}: there {is_there}"));
    }
}

/// The signals topic says what the events say, each position once. Gives the items it is silent or wrong about.
fn signals(verdict: &mut Verdict, logs: &Logs) -> HashSet<ItemHash> {
    let mut wrong = HashSet::new();
    let mut count = 0;
    let places: BTreeSet<_> = logs.said.keys().chain(logs.heard.keys()).collect();
    for place in places {
        let of = |signals: &crate::logs::Signals| signals.get(place).cloned().unwrap_or_default();
        let (lost, foreign) = difference(&of(&logs.said), &of(&logs.heard));
        verdict.lost_signals += lost.len() as u64;
        verdict.foreign_signals += foreign.len() as u64;
        if let Some(first) = lost.first().or(foreign.first()) {
            let (lost, foreign) = (lost.len(), foreign.len());
            let first = format!("{place:?}: {lost} lost, {foreign} foreign, first {first:?}");
            count += 1;
            verdict.tell(count, || format!("signals from and in {first}"));
        }
        wrong.extend(lost.iter().chain(&foreign).map(|said| said.item));
    }
    wrong
}

async fn users(
    verdict: &mut Verdict,
    logs: &Logs,
    store: &Reader,
    scene: &Scene,
) -> anyhow::Result<()> {
    let keys = Keys::new(&config::Redis::default().key_prefix);
    let mut known = HashSet::new();
    let subjects: Vec<&OwnedSubject> = logs.replay.users.keys().collect();
    for subjects in subjects.chunks(CHUNK) {
        let asked: Vec<_> = subjects.iter().map(|subject| subject.as_subject()).collect();
        let deadline = Deadline::after(Clock::system().instant(), ANSWER_BOUND);
        let blobs = store.users(&asked, deadline).await?;
        for (subject, blob) in subjects.iter().zip(blobs) {
            let state = &logs.replay.users[*subject];
            // Whoever only repeated or came too late was never stored.
            let expected = (state.next_offset() > 0).then(|| state.encode());
            verdict.users += 1;
            known.insert(keys.user(subject.as_subject()));
            if blob.as_deref() != expected.as_deref() {
                verdict.wrong_users += 1;
                let (found, due) = (shown(blob.as_deref()), shown(expected.as_deref()));
                verdict
                    .tell(verdict.wrong_users, || format!("{subject:?}: {found}, should be {due}"));
            }
        }
    }
    for stored in stored_users(scene).await? {
        if !known.contains(&stored) {
            verdict.wrong_users += 1;
            verdict.tell(verdict.wrong_users, || format!("{stored} is nobody of the log"));
        }
    }
    Ok(())
}

/// Keys of all users' states.
async fn stored_users(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let prefix = config::Redis::default().key_prefix;
    let mut found = Vec::new();
    for kind in ["u:", "a:"] {
        let reply = scene.master().ask(&format!("KEYS {prefix}{kind}*")).await?;
        let start = format!("{prefix}{kind}");
        let keys = reply.split("\r\n").filter(|line| line.starts_with(&start));
        found.extend(keys.map(ToOwned::to_owned));
    }
    Ok(found)
}

async fn items(
    verdict: &mut Verdict,
    logs: &Logs,
    store: &Reader,
    mut wrong: HashSet<ItemHash>,
) -> anyhow::Result<()> {
    let mut count = 0;
    let mut stored = HashMap::new();
    store.all_items(|batch| stored.extend(batch)).await?;
    verdict.items = logs.items.len() as u64;
    for (item, state) in &logs.items {
        let (found, expected) = (stored.get(item).map(|blob| &blob[..]), state.encode());
        if found != Some(&expected[..]) {
            wrong.insert(*item);
            count += 1;
            let (id, found, due) = (state.item_id(), shown(found), shown(Some(&expected)));
            verdict.tell(count, || format!("item {id}: {found}, should be {due}"));
        }
    }
    wrong.extend(stored.keys().filter(|item| !logs.items.contains_key(item)));
    verdict.wrong_items = wrong.len() as u64;
    Ok(())
}

/// A blob by its position and size: enough to see whether it is behind, ahead or otherwise.
fn shown(blob: Option<&[u8]>) -> String {
    let Some(blob) = blob else { return "nothing".to_owned() };
    let (from, to) = upnext_store::POSITION_AT;
    let position: String =
        blob.get(from..to).unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes at {position}", blob.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_or_with_two_outcomes_are_found() {
        let mut logs = Logs::default();
        logs.raw.extend([(0, 1), (0, 2), (0, 3)]);
        logs.valid.extend([(0, 1), (0, 2)]);
        logs.dead.insert((0, 3));
        let check = |logs: &Logs| {
            let mut verdict = Verdict::default();
            records(&mut verdict, logs);
            (verdict.open_records, verdict.odd_records, verdict.wrong_letters, verdict.is_right())
        };
        assert_eq!(check(&logs), (0, 0, 0, true));
        logs.due_late.insert((0, 1));
        assert_eq!(check(&logs), (0, 0, 1, false));
        logs.late.insert((0, 1));
        logs.dead.insert((0, 2));
        assert_eq!(check(&logs), (0, 1, 0, false));
        logs.raw.insert((1, 0));
        logs.valid.insert((2, 0));
        assert_eq!(check(&logs), (1, 2, 0, false));
    }
}
