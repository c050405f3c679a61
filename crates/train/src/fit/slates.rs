//! Slates by replay: what would have been considered at each moment of the windows, and what was taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use upnext_common::clock::Clock;
use upnext_common::event::Subject;
use upnext_common::item::{ItemHash, stable_hash};
use upnext_model::artifact::Artifact;
use upnext_model::ranker::Slates;
use upnext_model::row::{CONTEXT_ITEMS_MAX, WIDTH};
use upnext_recommend::{Prepared, Query, Slate, Snapshot, candidates};

use super::births::Births;
use super::plan::{Plan, Window};
use super::{Input, Stage};
use crate::dataset::Row;
use crate::live_replay::LiveReplay;

/// Rows of a slate that are learned from: what was taken, and a sample of the rest.
const ROWS_MAX: usize = 50;
/// A session's interactions at one instant are a basket from this many items on: its first half is then also given, to
/// learn what completes it.
const BASKET_ITEMS_MIN: usize = 4;

/// What slates are made of.
#[derive(Clone, Copy)]
pub(super) struct Material<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) plan: &'a Plan,
    /// By window: an artifact with a tower that was fitted on what lies before it.
    pub(super) towers: &'a [Arc<Artifact>],
    pub(super) seed: u64,
    pub(super) clock: &'a Clock,
}

/// The slates of two replays: the history as it was, and with simulated births.
pub(super) fn both(material: &Material<'_>, on_progress: &mut dyn FnMut(Stage)) -> Slates {
    let share = share_asked(material);
    let births = Births::simulated(material.input.rows, material.plan, material.seed);
    let mut slates = Slates::new(WIDTH);
    for (births, nth) in [Births::none(), births].into_iter().zip(0..) {
        let mut pass = Pass::new(material, births, share, nth);
        pass.run(&mut slates, on_progress);
    }
    slates
}

/// Which part of the moments is asked about, so that the slates of both replays stay below the limit.
fn share_asked(material: &Material<'_>) -> f64 {
    let in_windows = material.input.rows.iter().filter(|row| {
        row.event.event_type().is_interaction() && material.plan.window_at(row.record_ms).is_some()
    });
    let expected = super::wide(2 * in_windows.count());
    (super::wide(material.plan.slates_max) / expected.max(1.0)).min(1.0)
}

/// What one user took at one instant in one session, in order.
struct Taking<'a> {
    subject: Subject<'a>,
    session: u64,
    items: Vec<ItemHash>,
}

/// One replay.
struct Pass<'a> {
    material: &'a Material<'a>,
    births: Births,
    share: f64,
    nth: usize,
    replay: LiveReplay,
    prepared: Prepared,
    window: Option<usize>,
    /// When the time for this replay's slates is up; it goes on without asking.
    until: Option<Instant>,
}

impl<'a> Pass<'a> {
    fn new(material: &'a Material<'a>, births: Births, share: f64, nth: usize) -> Self {
        let replay = LiveReplay::new(material.input.items);
        let prepared = Prepared::without_artifact();
        Self { material, births, share, nth, replay, prepared, window: None, until: None }
    }

    /// Instants in order: first everything is asked that happened at it, then all of it becomes visible.
    fn run(&mut self, slates: &mut Slates, on_progress: &mut dyn FnMut(Stage)) {
        let rows = self.material.input.rows;
        let mut done = 0;
        for instant in rows.chunk_by(|one, other| one.record_ms == other.record_ms) {
            let now_ms = instant[0].record_ms;
            let exists = |row: &&Row| {
                row.event
                    .body
                    .item_id()
                    .is_none_or(|id| self.births.exists(ItemHash::of(id), now_ms))
            };
            let instant_rows = instant.iter().filter(exists).collect::<Vec<_>>();
            if let Some(window) = self.material.plan.window_at(now_ms) {
                for taking in takings(&instant_rows) {
                    self.ask(&taking, now_ms, window, slates);
                }
            }
            for row in instant_rows {
                self.replay.apply(&row.event, row.record_ms);
            }
            done += instant.len();
            if done % 4_096 < instant.len() {
                let (done, of) = (done + self.nth * rows.len(), 2 * rows.len());
                on_progress(Stage::Slates { done, of });
            }
        }
    }

    fn ask(&mut self, taking: &Taking<'_>, now_ms: i64, window: usize, slates: &mut Slates) {
        let draw = self.draw(taking, now_ms);
        #[expect(clippy::cast_precision_loss, reason = "a draw needs no more than 53 bits")]
        let is_asked = (draw >> 11) as f64 / (1_u64 << 53) as f64 <= self.share;
        if !is_asked || self.is_time_up() {
            return;
        }
        let targets = self.fresh(taking);
        if targets.is_empty() {
            return;
        }
        self.look(window);
        let query = Query {
            session: Some(taking.session),
            exclude: self.births.unborn(now_ms).collect(),
            ..Query::new(now_ms, 1)
        };
        self.add(taking, &query, &targets, slates);
        if targets.len() >= BASKET_ITEMS_MIN {
            let (given, wanted) = targets.split_at(targets.len() / 2);
            let exclude = query.exclude.iter().chain(given).copied().collect();
            let query = Query { seeds: given.to_vec(), exclude, ..query };
            self.add(taking, &query, wanted, slates);
        }
    }

    /// The time for slates starts with the first moment asked about.
    fn is_time_up(&mut self) -> bool {
        let Some(seconds) = self.material.plan.seconds else {
            return false;
        };
        let now = self.material.clock.instant();
        let share = Duration::from_secs_f64(seconds.slates / 2.0);
        now > *self.until.get_or_insert(now + share)
    }

    /// What is taken, without repeats of what is in view; nothing once the session is too long to be asked about.
    fn fresh(&self, taking: &Taking<'_>) -> Vec<ItemHash> {
        let user = self.replay.user(taking.subject);
        let before = user.map(|user| user.sequence(Some(taking.session))).unwrap_or_default();
        if before.len() > CONTEXT_ITEMS_MAX {
            return Vec::new();
        }
        let mut targets = taking.items.clone();
        targets.retain(|item| before.first() != Some(item));
        targets
    }

    /// Everything applied becomes visible, scored by the window's tower.
    fn look(&mut self, window: usize) {
        self.replay.refresh();
        let is_current =
            self.window == Some(window) && self.prepared.is_current(self.replay.live());
        if is_current {
            return;
        }
        let of: &Window = &self.material.plan.windows[window];
        let knows = |id: &str| self.births.is_known_to_tower(ItemHash::of(id), of);
        let tower = Arc::clone(&self.material.towers[window]);
        self.prepared = Prepared::with_birth(tower, self.replay.live(), &knows);
        self.window = Some(window);
    }

    fn add(&self, taking: &Taking<'_>, query: &Query, targets: &[ItemHash], slates: &mut Slates) {
        let snapshot = Snapshot { live: self.replay.live(), prepared: &self.prepared };
        let slate = candidates(query, self.replay.user(taking.subject), &snapshot);
        let wanted = targets.iter().filter_map(|item| self.replay.live().index_of(*item));
        let wanted = wanted.collect::<std::collections::HashSet<_>>();
        let (rows, taken) = thinned(&slate, &wanted, self.draw(taking, query.now_ms));
        if !taken.is_empty() {
            slates.push(&rows, taken);
        }
    }

    fn draw(&self, taking: &Taking<'_>, now_ms: i64) -> u64 {
        let nth = u64::try_from(self.nth).unwrap_or(0);
        let words = [self.material.seed, taking.session, now_ms.cast_unsigned(), nth];
        stable_hash(&words.map(u64::to_le_bytes).concat())
    }
}

/// Interactions of one instant by user and session, in order of first appearance; each item once.
fn takings<'a>(instant: &[&'a Row]) -> Vec<Taking<'a>> {
    let mut takings = Vec::<Taking<'a>>::new();
    for event in instant.iter().map(|row| &row.event) {
        if !event.event_type().is_interaction() {
            continue;
        }
        let Some((subject, item)) = event.subject().zip(event.body.item_id().map(ItemHash::of))
        else {
            continue;
        };
        let session = stable_hash(event.session_id.as_bytes());
        let known = takings.iter_mut().find(|t| t.subject == subject && t.session == session);
        match known {
            Some(taking) if !taking.items.contains(&item) => taking.items.push(item),
            Some(_) => {}
            None => takings.push(Taking { subject, session, items: vec![item] }),
        }
    }
    takings
}

/// The rows of what was taken and of a random part of the rest, at most 50 of them, and where the taken ones are.
fn thinned(
    slate: &Slate,
    wanted: &std::collections::HashSet<u32>,
    draw: u64,
) -> (Vec<f32>, Vec<u32>) {
    let is_wanted = |at: &usize| wanted.contains(&slate.index[*at]);
    let (taken, mut rest) = (0..slate.len()).partition::<Vec<_>, _>(is_wanted);
    let key = |at: &usize| {
        stable_hash(&[draw, u64::from(slate.index[*at])].map(u64::to_le_bytes).concat())
    };
    rest.sort_by_cached_key(key);
    rest.truncate(ROWS_MAX.saturating_sub(taken.len()).max(1));
    let mut rows = Vec::with_capacity((taken.len() + rest.len()) * slate.width);
    for at in taken.iter().chain(&rest) {
        rows.extend_from_slice(slate.row(*at));
    }
    let targets = (0..).take(taken.len()).collect();
    (rows, targets)
}
