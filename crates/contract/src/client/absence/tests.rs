//! When a "no" is believed, for whom, and when it is asked for again.

use super::*;

const PATIENCE: Patience = Patience { grace: Duration::from_secs(30), ttl: Duration::from_secs(5) };
const KEY: SchemaKey = SchemaKey::Id(7);

struct Scene {
    absent: Absences,
    start: Instant,
}

impl Scene {
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the first one")]
    fn new() -> Self {
        Self { absent: Absences::new(PATIENCE), start: Instant::now() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn note(&mut self, key: SchemaKey, ms: u64) {
        let at = self.at(ms);
        self.absent.note(key, at);
    }

    #[track_caller]
    fn check(&self, key: SchemaKey, since_ms: u64, now_ms: u64, expected: Word) {
        let need = Need { since: self.at(since_ms), is_redriven: false };
        assert_eq!(self.absent.word_on(key, need, self.at(now_ms)), expected, "at {now_ms} ms");
    }

    fn flood(&mut self, from_ms: u64) {
        for ms in from_ms..from_ms + 16 {
            self.note(SchemaKey::Id(1_000 + u32::try_from(ms).unwrap()), ms);
        }
    }
}

#[test]
fn an_absent_id_is_asked_for_throughout_its_grace_and_then_believed() {
    let mut scene = Scene::new();
    scene.check(KEY, 0, 0, Word::Ask);
    for ms in (0..30_000).step_by(2_000) {
        scene.note(KEY, ms);
        scene.check(KEY, 0, ms + 1, Word::Wait);
        scene.check(KEY, 0, ms + 2_000, Word::Ask);
    }
    scene.note(KEY, 30_000);
    scene.check(KEY, 0, 30_001, Word::Absent);
    // Later records are told the same, until it is asked for again; then one "no" is enough.
    scene.check(KEY, 34_000, 34_999, Word::Absent);
    scene.check(KEY, 35_000, 35_000, Word::Ask);
    scene.note(KEY, 35_000);
    scene.check(KEY, 35_000, 35_001, Word::Absent);
}

#[test]
fn a_record_that_was_there_for_long_needs_one_answer() {
    let mut scene = Scene::new();
    scene.check(KEY, 0, 31_000, Word::Ask);
    scene.note(KEY, 31_000);
    scene.check(KEY, 0, 31_001, Word::Absent);
    scene.check(KEY, 20_000, 31_001, Word::Wait);
    scene.check(KEY, 2_000, 32_000, Word::Ask);
}

#[test]
fn a_redriven_record_wants_an_answer_of_its_own() {
    let mut scene = Scene::new();
    scene.note(KEY, 0);
    scene.note(KEY, 30_000);
    let need = Need { since: scene.at(31_000), is_redriven: true };
    assert_eq!(scene.absent.word_on(KEY, need, scene.at(31_001)), Word::Ask);
    scene.note(KEY, 31_001);
    assert_eq!(scene.absent.word_on(KEY, need, scene.at(31_002)), Word::Absent);
}

#[test]
fn in_a_flood_one_listing_answers_for_all_that_it_lacks() {
    let mut scene = Scene::new();
    scene.flood(0);
    // Whatever comes new is not asked for until its answer would count; then the list is.
    scene.check(KEY, 100, 200, Word::Wait);
    scene.check(KEY, 100, 30_100, Word::List);
    let at = scene.at(30_100);
    scene.absent.note_listing(Some(HashSet::from([1, 9])), at);
    scene.check(KEY, 100, 30_200, Word::Absent);
    scene.check(SchemaKey::Id(8), 50, 30_200, Word::Absent);
    // One that is on the list is asked for like any other.
    scene.check(SchemaKey::Id(9), 50, 30_200, Word::Ask);
    // A record that came later needs a later list, and an old list is read anew.
    scene.check(KEY, 200, 30_200, Word::List);
    scene.check(KEY, 100, 35_100, Word::List);
}

#[test]
fn a_registry_that_cannot_list_is_asked_id_by_id_and_again_later() {
    let mut scene = Scene::new();
    scene.flood(0);
    let at = scene.at(30_000);
    scene.absent.note_listing(None, at);
    scene.check(KEY, 0, 30_001, Word::Ask);
    scene.flood(85_000);
    scene.check(KEY, 0, 89_999, Word::Ask);
    scene.check(KEY, 0, 90_000, Word::List);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut scene = Scene::new();
    for id in 0..20_000 {
        scene.note(SchemaKey::Id(id), u64::from(id));
    }
    assert_eq!(scene.absent.ids.entries.len(), IDS_MAX);
    assert_eq!(scene.absent.recent.len(), FLOOD_IDS);
}
