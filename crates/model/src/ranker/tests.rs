//! Learning, and scores against the tensors that were trained.

use std::sync::LazyLock;

use proptest::prelude::*;
use upnext_common::clock::Clock;

use super::*;
use crate::error::ModelError;
use crate::noise::Noise;

/// Slates of ten rows; what is taken has the highest x₀ · sign(x₁) + bump, which no linear score can tell.
fn slates(count: usize, seed: u64) -> Slates {
    let mut noise = Noise::new(seed);
    let mut slates = Slates::new(4);
    for _ in 0..count {
        let rows = noise.normal(40, 1.0);
        let value = |row: &[f32]| row[0] * row[1].signum();
        let best = rows.chunks(4).enumerate().max_by(|a, b| value(a.1).total_cmp(&value(b.1)));
        let best = u32::try_from(best.unwrap().0).unwrap();
        slates.push(&rows, vec![best]);
    }
    slates
}

fn fitted(slates: &Slates, config: &RankerConfig) -> Ranker {
    fit(slates, config, &Clock::manual(0), &mut |_| ()).unwrap()
}

fn share_right(ranker: &Ranker, slates: &Slates) -> f64 {
    let right = (0..slates.len()).filter(|slate| {
        let mut scores = Vec::new();
        ranker.score(slates.values(*slate), &mut scores);
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        slates.targets[*slate].contains(&u32::try_from(best).unwrap())
    });
    right.count() as f64 / slates.len() as f64
}

#[test]
fn the_net_learns_what_the_wide_part_cannot() {
    let (train, test) = (slates(3_000, 1), slates(300, 2));
    let deep = share_right(&fitted(&train, &RankerConfig::default()), &test);
    let config = RankerConfig { hidden: Vec::new(), ..RankerConfig::default() };
    let wide = share_right(&fitted(&train, &config), &test);
    assert!(deep > 0.75, "{deep}");
    assert!(wide < 0.4, "{wide}");
}

#[test]
fn all_targets_of_a_slate_count() {
    let mut noise = Noise::new(3);
    let mut slates = Slates::new(1);
    for _ in 0..400 {
        slates.push(&noise.normal(6, 1.0), Vec::new());
        let mut rows = noise.normal(6, 1.0);
        rows[1] = 3.0;
        rows[4] = 3.0;
        slates.push(&rows, vec![1, 4]);
    }
    let ranker = fitted(&slates, &RankerConfig::default());
    let mut scores = Vec::new();
    ranker.score(&[3.0, 0.0, -1.0], &mut scores);
    assert!(scores[0] > scores[1] + 1.0 && scores[1] > scores[2], "{scores:?}");
}

#[test]
fn the_same_seed_gives_the_same_ranker() {
    let config = RankerConfig { epochs: 1, ..RankerConfig::default() };
    let slates = slates(100, 1);
    assert_eq!(fitted(&slates, &config), fitted(&slates, &config));
    assert_ne!(
        fitted(&slates, &config),
        fitted(&slates, &RankerConfig { seed: 8, ..config.clone() })
    );
}

#[test]
fn scores_equal_the_tensors() {
    let slates = slates(60, 5);
    let config = RankerConfig { epochs: 2, ..RankerConfig::default() };
    let ranker = fitted(&slates, &config);
    let mut rows = slates.rows[..80].to_vec();
    let mut scores = Vec::new();
    ranker.score(&rows, &mut scores);
    normalise(&mut rows, &ranker.means, &ranker.deviations);
    let theirs = fit::reference(&ranker, &rows);
    assert_eq!(scores.len(), theirs.len());
    for (ours, theirs) in scores.iter().zip(&theirs) {
        assert!((ours - theirs).abs() < 1e-5 * (1.0 + theirs.abs()), "{ours} {theirs}");
    }
}

proptest! {
    #[test]
    fn a_batch_equals_single_rows(rows in prop::collection::vec(-9.0_f32..9.0, 4 * 7)) {
        static RANKER: LazyLock<Ranker> = LazyLock::new(|| {
            let config = RankerConfig { epochs: 1, hidden: vec![40, 9], ..RankerConfig::default() };
            fitted(&slates(30, 1), &config)
        });
        let ranker = &*RANKER;
        let mut together = Vec::new();
        ranker.score(&rows, &mut together);
        let mut alone = Vec::new();
        for (row, score) in rows.chunks(4).zip(&together) {
            ranker.score(row, &mut alone);
            prop_assert_eq!(alone[0].to_bits(), score.to_bits());
        }
    }
}

#[test]
fn what_is_not_finite_counts_as_the_mean_and_extremes_are_clipped() {
    let ranker = fitted(&slates(100, 1), &RankerConfig { epochs: 1, ..RankerConfig::default() });
    let score = |row: [f32; 4]| {
        let mut scores = Vec::new();
        ranker.score(&row, &mut scores);
        scores[0].to_bits()
    };
    let mean = ranker.means[2];
    assert_eq!(score([1.0, 2.0, f32::NAN, 0.0]), score([1.0, 2.0, mean, 0.0]));
    assert_eq!(score([1e9, 2.0, 1.0, 0.0]), score([1e6, 2.0, 1.0, 0.0]));
}

#[test]
fn a_constant_column_keeps_the_floor() {
    let mut slates = Slates::new(2);
    for number in 0..40_u8 {
        slates.push(&[f32::from(number), 5.0, 0.0, 5.0], vec![0]);
    }
    let ranker = fitted(&slates, &RankerConfig { epochs: 1, ..RankerConfig::default() });
    assert!((ranker.deviations[1] - 0.2).abs() < 1e-6 && (ranker.means[1] - 5.0).abs() < 1e-6);
    assert!(ranker.deviations[0] > 1.0);
}

#[test]
fn no_rows_have_no_scores() {
    let ranker = fitted(&slates(30, 1), &RankerConfig { epochs: 1, ..RankerConfig::default() });
    let mut scores = vec![1.0];
    ranker.score(&[], &mut scores);
    assert!(scores.is_empty());
}

#[test]
fn it_comes_back_from_tensors_bit_by_bit() {
    for hidden in [vec![64, 32], vec![3], Vec::new()] {
        let config = RankerConfig { epochs: 1, hidden, ..RankerConfig::default() };
        let ranker = fitted(&slates(30, 1), &config);
        assert_eq!(Ranker::from_tensors(ranker.to_tensors()), Ok(ranker.clone()));
        let mut torn = ranker.to_tensors();
        torn.put("deviations", &[4], &[1.0, 0.0, 1.0, 1.0]);
        assert!(Ranker::from_tensors(torn).is_err());
    }
}

#[track_caller]
fn check_refused(slates: &Slates, expected: &str) {
    let error = fit(slates, &RankerConfig::default(), &Clock::manual(0), &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn contradictions_and_empty_input_are_refused() {
    let mut one = Slates::new(2);
    one.push(&[1.0, 2.0, 3.0, 4.0], Vec::new());
    check_refused(&one, "nothing to learn: no slate has a target and something beside it");
    check_refused(&Slates::new(0), "the number of values is 0, expected whole rows of 0 columns");
    let target = Slates { targets: vec![vec![2]], ..one.clone() };
    check_refused(&target, "a target is 2, expected below 2");
    let lists = Slates { targets: Vec::new(), ..one.clone() };
    check_refused(&lists, "the number of target lists is 0, expected 1");
    let starts = Slates { starts: vec![3], ..one.clone() };
    check_refused(&starts, "a slate's first row is 2, expected ascending");
    let torn = Slates { rows: vec![1.0; 3], ..one };
    check_refused(&torn, "the number of values is 3, expected whole rows of 2 columns");
}

#[test]
fn a_loss_that_is_no_number_ends_the_fit() {
    let config = RankerConfig { learning_rate: f64::NAN, ..RankerConfig::default() };
    let error = fit(&slates(60, 1), &config, &Clock::manual(0), &mut |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { step: 1 }), "{error}");
}
