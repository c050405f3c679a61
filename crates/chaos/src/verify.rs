//! The verifier: what stands in Redis against a single pass over the logs, byte for byte.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::Serialize;
use upnext_common::clock::Clock;
use upnext_common::deadline::Deadline;
use upnext_common::item::ItemHash;
use upnext_state::replay::OwnedSubject;
use upnext_store::{Cursor, Reader, Stage};

use crate::ledger::Ledger;
use crate::logs::{Logs, difference};
use crate::outcomes::{Flaw, Flaws};
use crate::scene::Scene;

const CHUNK: usize = 200;
const ANSWER_BOUND: Duration = Duration::from_secs(10);
/// Differences that are told one by one, of each sort.
const TOLD_MAX: u64 = 4;

/// What was compared, and what is wrong. Every count below `wrong_users` has to be 0.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Verdict {
    /// Which state was compared.
    pub(crate) generation: u32,
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
    /// What is wrong with records, by name.
    pub(crate) flaws: BTreeMap<&'static str, u64>,
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
    fn of(flaws: &Flaws) -> Self {
        let flaws_by_name = Flaw::ALL.iter().map(|flaw| (flaw.name(), flaws.count(*flaw)));
        Self { flaws: flaws_by_name.collect(), differences: flaws.told.clone(), ..Self::default() }
    }

    pub(crate) fn has_open_records(&self) -> bool {
        self.flaws.get(Flaw::Open.name()).is_some_and(|count| *count > 0)
    }

    pub(crate) fn is_right(&self) -> bool {
        let wrong = self.wrong_users + self.wrong_items + self.flaws.values().sum::<u64>();
        let signals = self.lost_signals + self.foreign_signals + self.contradictions;
        wrong + signals == 0
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
pub(crate) async fn verify(scene: &Scene, ledger: &Ledger) -> anyhow::Result<Verdict> {
    let (generation, store) = scene.serving().await?;
    let logs = Logs::read(scene, generation, ledger).await?;
    let outcomes = &logs.outcomes;
    let mut verdict = Verdict {
        generation: generation.0,
        raw: outcomes.raw.len() as u64,
        valid: outcomes.valid.len() as u64,
        dead: outcomes.dead.len() as u64,
        late: outcomes.late.len() as u64,
        repeats: outcomes.repeats,
        duplicates: logs.duplicates,
        signals: logs.heard.values().map(|heard| heard.len() as u64).sum(),
        signal_repeats: logs.signal_repeats,
        contradictions: logs.contradictions,
        ..Verdict::of(&outcomes.flaws)
    };
    verdict.differences.extend(logs.told.iter().cloned());
    let unheard = signals(&mut verdict, &logs);
    users(&mut verdict, &logs, &store).await?;
    items(&mut verdict, &logs, &store, unheard).await?;
    Ok(verdict)
}

/// The signals topic says what the events say, each position once. Gives the items it is silent or wrong about.
fn signals(verdict: &mut Verdict, logs: &Logs<'_>) -> HashSet<ItemHash> {
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

async fn users(verdict: &mut Verdict, logs: &Logs<'_>, store: &Reader) -> anyhow::Result<()> {
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
            known.insert(store.keys().user(subject.as_subject()));
            if blob.as_deref() != expected.as_deref() {
                verdict.wrong_users += 1;
                let (found, due) = (shown(blob.as_deref()), shown(expected.as_deref()));
                verdict
                    .tell(verdict.wrong_users, || format!("{subject:?}: {found}, should be {due}"));
            }
        }
    }
    let mut cursor = Some(Cursor::default());
    while let Some(from) = cursor {
        let (next, stored) = store.scanned(Stage::Users, from).await?;
        // A key may be told twice.
        let foreign = stored.into_iter().filter(|key| known.insert(key.clone()));
        for stored in foreign {
            verdict.wrong_users += 1;
            verdict.tell(verdict.wrong_users, || format!("{stored} is nobody of the log"));
        }
        cursor = next;
    }
    Ok(())
}

async fn items(
    verdict: &mut Verdict,
    logs: &Logs<'_>,
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
    fn anything_that_is_wrong_is_wrong() {
        assert!(Verdict::of(&Flaws::default()).is_right());
        for name in Flaw::ALL.map(Flaw::name) {
            let mut verdict = Verdict::of(&Flaws::default());
            assert_eq!(verdict.flaws.insert(name, 1), Some(0), "{name}");
            assert!(!verdict.is_right(), "{name}");
            assert_eq!(verdict.has_open_records(), name == Flaw::Open.name());
        }
    }
}
