//! The index against brute force.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Reproducible numbers, roughly normal: sums of uniform ones.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sum += (self.0 >> 40) as f32 / (1_u64 << 24) as f32 - 0.5;
        }
        sum
    }

    fn vector(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.next()).collect()
    }
}

type Model = BTreeMap<u32, (Vec<f32>, f32)>;

fn brute_force(model: &Model, query: &[f32], k: usize, admits: impl Fn(u32) -> bool) -> Vec<Found> {
    let admitted = model.iter().filter(|(key, _)| admits(**key));
    let mut found: Vec<Found> = admitted
        .map(|(key, (vector, bias))| Found { key: *key, score: dot(query, vector) + bias })
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key)));
    found.truncate(k);
    found
}

fn filled(count: u32, dim: usize) -> (Index, Model) {
    let mut numbers = Numbers(42);
    let (mut index, mut model) = (Index::new(dim), Model::new());
    for key in 0..count {
        let (vector, bias) = (numbers.vector(dim), numbers.next() * 0.3);
        index.upsert(key, &vector, bias).unwrap();
        model.insert(key, (vector, bias));
    }
    (index, model)
}

#[test]
fn recall_against_brute_force_is_nearly_one() {
    let (index, model) = filled(5_000, 64);
    let mut numbers = Numbers(7);
    let (mut hits, mut of) = (0, 0);
    for k in [1, 10, 50] {
        for _ in 0..40 {
            let query = numbers.vector(64);
            let found = index.search(&query, k, |_| true).unwrap();
            let exact = brute_force(&model, &query, k, |_| true);
            assert_eq!(found.len(), k);
            hits += exact.iter().filter(|one| found.contains(one)).count();
            of += k;
        }
    }
    assert!(hits * 1_000 >= of * 999, "{hits} of {of}");
}

#[test]
fn what_is_not_admitted_is_not_found_and_does_not_crowd_out() {
    let (index, model) = filled(1_000, 16);
    let query = Numbers(3).vector(16);
    let admits = |key: u32| key.is_multiple_of(50);
    let found = index.search(&query, 100, admits).unwrap();
    assert_eq!(found, brute_force(&model, &query, 100, admits));
    assert_eq!(found.len(), 20);
}

#[test]
fn equal_scores_go_by_key() {
    let mut index = Index::new(2);
    for key in [9, 3, 5] {
        index.upsert(key, &[1.0, 0.0], 0.0).unwrap();
    }
    let found = index.search(&[1.0, 1.0], 2, |_| true).unwrap();
    assert_eq!(found.iter().map(|found| found.key).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn what_cannot_be_compared_is_refused_and_changes_nothing() {
    let mut index = Index::new(2);
    index.upsert(1, &[1.0, 0.0], 0.0).unwrap();
    let dimensions = IndexError::Dimensions { expected: 2, actual: 3 };
    assert_eq!(index.upsert(1, &[0.0; 3], 0.0), Err(dimensions.clone()));
    assert_eq!(index.upsert(1, &[f32::NAN, 0.0], 0.0), Err(IndexError::NotFinite));
    assert_eq!(index.upsert(2, &[0.0, 0.0], f32::INFINITY), Err(IndexError::NotFinite));
    assert_eq!(index.search(&[0.0; 3], 1, |_| true), Err(dimensions));
    assert_eq!(index.search(&[f32::NAN, 0.0], 1, |_| true), Err(IndexError::NotFinite));
    assert_eq!(index.search(&[1.0, 0.0], 5, |_| true), Ok(vec![Found { key: 1, score: 1.0 }]));
}

#[test]
fn an_empty_index_finds_nothing() {
    assert_eq!(Index::new(4).search(&[1.0; 4], 3, |_| true), Ok(Vec::new()));
    assert!(Index::new(4).is_empty());
}

#[derive(Clone, Debug)]
enum Change {
    Put(u32, Vec<f32>, f32),
    Take(u32),
}

fn change() -> impl Strategy<Value = Change> {
    let put = (0_u32..12, prop::collection::vec(-2.0_f32..2.0, 5), -1.0_f32..1.0);
    prop_oneof![
        3 => put.prop_map(|(key, vector, bias)| Change::Put(key, vector, bias)),
        1 => (0_u32..12).prop_map(Change::Take),
    ]
}

proptest! {
    #[test]
    fn any_changes_leave_what_a_map_would_hold(
        changes in prop::collection::vec(change(), 0..60),
        query in prop::collection::vec(-2.0_f32..2.0, 5),
    ) {
        let (mut index, mut model) = (Index::new(5), Model::new());
        for change in changes {
            match change {
                Change::Put(key, vector, bias) => {
                    index.upsert(key, &vector, bias).unwrap();
                    model.insert(key, (vector, bias));
                }
                Change::Take(key) => prop_assert_eq!(index.remove(key), model.remove(&key).is_some()),
            }
        }
        prop_assert_eq!(index.len(), model.len());
        prop_assert!((0..12).all(|key| index.contains(key) == model.contains_key(&key)));
        // Fewer rows than candidates: the scan must be exact.
        let found = index.search(&query, 4, |_| true).unwrap();
        prop_assert_eq!(found, brute_force(&model, &query, 4, |_| true));
    }
}
