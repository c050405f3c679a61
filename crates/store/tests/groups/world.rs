//! Workers, faults, and the verdict.

use std::collections::BTreeMap;

use upnext_store::Stage;

use crate::events::{Die, ITEMS, SIGNALS, Said, VALID, chain, log, pass};
use crate::nodes::{NODES, Node, group_of, node_of};
use crate::worker::{Outcome, Shared, Worker, state_key};

const EVENTS_EACH: usize = 40;
/// Steps with faults; then steps until nothing moves any more.
const FAULTY_STEPS: usize = 1_500;
const STEPS_MAX: usize = 60_000;
const SEATS: usize = VALID + SIGNALS;

/// What is done as it is built, or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    AsBuilt,
    ResumeAtHighest,
    SourcesOfHighest,
    BlobsBeforeSignals,
    OneWatermark,
    NoClaims,
}

pub(crate) struct World {
    die: Die,
    rules: Rules,
    shared: Shared,
    workers: Vec<Worker>,
    /// Stopped, and replaced; they may wake up.
    zombies: Vec<Worker>,
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let mut die = Die::new(seed + 1);
        let valid = log(&mut die, EVENTS_EACH);
        let nodes = std::array::from_fn::<Node, NODES, _>(|_| Node::default());
        let shared = Shared { nodes, valid, signals: vec![Vec::new(); SIGNALS] };
        let mut world = Self { die, rules, shared, workers: Vec::new(), zombies: Vec::new() };
        world.workers = (0..SEATS).map(|seat| world.begun(seat)).collect();
        world
    }

    fn begun(&self, seat: usize) -> Worker {
        let (stage, partition) =
            if seat < VALID { (Stage::Users, seat) } else { (Stage::Items, seat - VALID) };
        Worker::begin(&self.shared, stage, partition, self.rules)
    }

    pub(crate) fn run(mut self) -> Self {
        let mut idle = 0;
        for step in 0..STEPS_MAX {
            if step < FAULTY_STEPS {
                self.fault();
                idle = 0;
            } else if idle > 20 * SEATS && self.zombies.is_empty() {
                return self;
            }
            if !self.zombies.is_empty() && self.die.roll(10) == 0 {
                let at = self.die.roll(self.zombies.len());
                if self.zombies[at].step(&mut self.shared, &mut self.die) != Outcome::Worked {
                    self.zombies.swap_remove(at);
                }
                continue;
            }
            let seat = self.die.roll(SEATS);
            match self.workers[seat].step(&mut self.shared, &mut self.die) {
                Outcome::Worked => idle = 0,
                Outcome::Idle => idle += 1,
                Outcome::Broken => {
                    self.workers[seat] = self.begun(seat);
                    idle = 0;
                }
            }
        }
        panic!("it never comes to rest");
    }

    fn fault(&mut self) {
        let seat = self.die.roll(SEATS);
        match self.die.roll(1_000) {
            0..20 => self.workers[seat] = self.begun(seat),
            20..30 => {
                let next = self.begun(seat);
                self.zombies.push(std::mem::replace(&mut self.workers[seat], next));
            }
            30..36 => {
                let (node, writes) = (self.die.roll(NODES), self.die.roll(30));
                self.shared.nodes[node].lose(writes);
            }
            36..38 => self.shared.nodes[self.die.roll(NODES)].empty(),
            _ => {}
        }
    }

    /// Whether every state is that of a single pass, and the log of signals says everything once, in order.
    pub(crate) fn is_right(&self) -> bool {
        let (users, expected) = pass(&self.shared.valid);
        let mut said: BTreeMap<(usize, u64), Vec<Said>> = BTreeMap::new();
        let mut items: BTreeMap<u64, u64> = BTreeMap::new();
        for records in &self.shared.signals {
            let mut last: BTreeMap<i32, (i64, u32)> = BTreeMap::new();
            for (source, entry) in records.iter().flatten() {
                let at = (entry.offset, entry.index);
                if last.get(source).is_some_and(|last| *last >= at) {
                    continue;
                }
                last.insert(*source, at);
                let state = items.entry(entry.item).or_default();
                *state = chain(*state, entry.word);
                let source = usize::try_from(*source).unwrap();
                said.entry((source, entry.item)).or_default().push(*entry);
            }
        }
        let stored = |stage, number| {
            let node = &self.shared.nodes[node_of(group_of(number))];
            node.blob(&state_key(stage, number)).map(|(_, state)| state)
        };
        said == expected
            && users.iter().all(|(user, state)| stored(Stage::Users, *user) == Some(*state))
            && (0..ITEMS).all(|item| stored(Stage::Items, item) == items.get(&item).copied())
    }
}
