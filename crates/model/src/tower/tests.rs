//! Learning, and inference against the tensors that were trained.

use candle_core::Device;
use upnext_common::clock::Clock;

use super::batches::Batch;
use super::network::Network;
use super::sampling::{Catalogue, Step};
use super::*;
use crate::adam::Parameter;
use crate::error::ModelError;
use crate::noise::Noise;
use crate::ops::CatalogueLoss;
use crate::schedule::Progress;

/// A ring of items: after item i comes i + 1. Attribute: the tens of the item.
fn ring(items: u32, sessions: usize) -> (Vec<Vec<u32>>, Vec<Vec<u32>>) {
    let mut noise = Noise::new(11);
    let attributes = (0..items).map(|item| vec![item / 10]).collect();
    let sequences = (0..sessions)
        .map(|_| {
            let (start, length) = (noise.below(items as usize) as u32, 3 + noise.below(5) as u32);
            (0..length).map(|step| (start + step) % items).collect()
        })
        .collect();
    (attributes, sequences)
}

fn small() -> TowerConfig {
    TowerConfig { dim: 16, dropout: 0.1, epochs: 8, ..TowerConfig::default() }
}

fn fitted(items: u32, sessions: usize, config: &TowerConfig) -> (Tower, Vec<Progress>) {
    let (attributes, sequences) = ring(items, sessions);
    let input = TowerInput {
        items: items as usize,
        attributes: &attributes,
        attribute_count: items.div_ceil(10) as usize,
        sequences: &sequences,
    };
    let mut log = Vec::new();
    let tower = fit(&input, config, &Clock::manual(0), &mut |progress| log.push(progress)).unwrap();
    (tower, log)
}

/// The item with the highest logit after a session, newest first; the newest is no candidate.
fn next(tower: &Tower, newest_first: &[usize]) -> usize {
    let seen: Vec<&[f32]> = newest_first.iter().map(|row| tower.item_vector(*row)).collect();
    let user = tower.user_vector(&seen);
    let logit = |row: &usize| Tower::logit(&user, tower.item_vector(*row), tower.bias(*row));
    (0..tower.items())
        .filter(|row| *row != newest_first[0])
        .max_by(|a, b| logit(a).total_cmp(&logit(b)))
        .unwrap()
}

fn share_right(tower: &Tower) -> f64 {
    let items = tower.items();
    let right = (0..items)
        .filter(|item| next(tower, &[*item, (item + items - 1) % items]) == (item + 1) % items);
    right.count() as f64 / items as f64
}

#[test]
fn a_small_catalogue_is_learned() {
    let (tower, log) = fitted(40, 600, &small());
    let (first, last) = (log[0].loss, log[log.len() - 1].loss);
    assert!(first > 3.0 && last < 1.5, "the loss went from {first} to {last}");
    assert!(share_right(&tower) > 0.9, "{}", share_right(&tower));
}

#[test]
fn a_catalogue_is_learned_from_samples_too() {
    let config = TowerConfig { catalogue_full_max: 10, samples: 20, ..small() };
    let (tower, _) = fitted(60, 900, &config);
    assert!(share_right(&tower) > 0.8, "{}", share_right(&tower));
}

#[test]
fn the_same_seed_gives_the_same_tower() {
    let config = TowerConfig { epochs: 1, ..small() };
    let tower = fitted(30, 60, &config).0;
    assert_eq!(tower, fitted(30, 60, &config).0);
    assert_ne!(tower, fitted(30, 60, &TowerConfig { seed: 8, ..config }).0);
}

#[test]
fn an_unseen_item_is_its_content_with_the_lower_quartile_of_the_biases() {
    let (mut attributes, sequences) = ring(40, 200);
    attributes.push(vec![1, 2]);
    attributes.push(Vec::new());
    let input = TowerInput {
        items: 42,
        attributes: &attributes,
        attribute_count: 4,
        sequences: &sequences,
    };
    let tower = fit(&input, &small(), &Clock::manual(0), &mut |_| ()).unwrap();
    assert_eq!(tower.item_vector(40), tower.content_vector(&[1, 2]));
    assert!(tower.item_vector(41).iter().all(|x| *x == 0.0));
    assert_ne!(tower.item_vector(3), tower.content_vector(&attributes[3]));
    let below = (0..40).filter(|row| tower.bias(*row) < tower.unseen_bias()).count();
    assert!((9..=11).contains(&below), "{below}");
    assert!((tower.bias(40) - tower.unseen_bias()).abs() < 1e-9);
    // Attributes outside the vocabulary are left out of the mean.
    assert_eq!(tower.content_vector(&[1, 99]), tower.content_vector(&[1]));
}

/// A network whose every part differs from its starting value and matters.
fn shaken(config: &TowerConfig, items: usize, attributes: usize) -> Network {
    let mut network = Network::new(config, items, attributes);
    let mut noise = Noise::new(77);
    let mut shake = |parameter: &mut Parameter| {
        let added = noise.normal(parameter.values.len(), 0.2);
        parameter.values.iter_mut().zip(added).for_each(|(value, added)| *value += added);
    };
    shake(&mut network.biases);
    shake(&mut network.distance);
    shake(&mut network.ids);
    network
}

#[test]
fn inference_equals_the_tensors_at_every_place_of_every_session() {
    let config = TowerConfig { dim: 24, heads: 3, window: 6, ..TowerConfig::default() };
    let (attributes, _) = ring(30, 0);
    let network = shaken(&config, 30, 3);
    let tower = network.tower(&attributes, 0.0).unwrap();
    let mut noise = Noise::new(4);
    let sessions: Vec<Vec<u32>> = [2, 5, 12, 12]
        .iter()
        .map(|length| (0..*length).map(|_| noise.below(30) as u32).collect())
        .collect();
    let batch = Batch::of(&sessions, &[0, 1, 2, 3]);
    let step = Catalogue::new(&[1; 30], 100, 0).step(&batch, &mut noise);
    let variables = network.variables(&step.rows).unwrap();
    let places = (batch.length, batch.positions.as_slice());
    let logits = variables.forward(network.shape, &step, places, (&attributes, None)).unwrap();
    let logits = logits.to_vec2::<f32>().unwrap();
    for (position, logits) in batch.positions.iter().zip(&logits) {
        let position = *position as usize;
        let start = position - position % batch.length;
        let seen = batch.input[start..=position].iter().rev();
        let seen: Vec<&[f32]> = seen.map(|row| tower.item_vector(*row as usize)).collect();
        let user = tower.user_vector(&seen);
        for (row, logit) in logits.iter().enumerate() {
            let ours = Tower::logit(&user, tower.item_vector(row), tower.bias(row));
            assert!((ours - logit).abs() < 1e-5 * (1.0 + logit.abs()), "{ours} {logit}");
        }
    }
}

#[test]
fn gradients_are_those_of_small_differences() {
    let config = TowerConfig { dim: 8, window: 4, taps: 2, ..TowerConfig::default() };
    let (attributes, _) = ring(12, 0);
    let sessions = [vec![1, 2, 3, 4, 5, 6], vec![7, 3]];
    let batch = Batch::of(&sessions, &[0, 1]);
    let loss = |network: &Network| {
        let Step { rows, offsets, input, current, targets } =
            Catalogue::new(&[1; 12], 100, 0).step(&batch, &mut Noise::new(1));
        let variables = network.variables(&rows).unwrap();
        let offsets_of =
            CatalogueLoss { current: current.clone(), targets: targets.clone(), offsets };
        let step = Step { rows, offsets: Vec::new(), input, current, targets };
        let places = (batch.length, batch.positions.as_slice());
        let logits = variables.forward(network.shape, &step, places, (&attributes, None)).unwrap();
        (variables, logits.apply_op1(offsets_of).unwrap().mean_all().unwrap())
    };
    let mut network = shaken(&config, 12, 2);
    let (variables, at) = loss(&network);
    let gradients = at.backward().unwrap();
    let rows: Vec<u32> = (0..12).collect();
    let mut directions = Vec::new();
    network
        .update(&variables, &gradients, &rows, |updates| {
            for (parameter, _, gradient) in updates {
                let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
                assert!(norm > 1e-4, "a parameter of shape {:?} does not matter", parameter.shape);
                // Along its gradient, the loss rises by the gradient's length.
                let step = 2e-3 / norm;
                for (value, gradient) in parameter.values.iter_mut().zip(gradient.iter()) {
                    *value += gradient * step;
                }
                directions.push(2e-3 * norm);
            }
        })
        .unwrap();
    let expected: f32 = directions.iter().sum();
    let (_, after) = loss(&network);
    let rise = after.to_scalar::<f32>().unwrap() - at.to_scalar::<f32>().unwrap();
    assert!((rise / expected - 1.0).abs() < 0.05, "{rise} {expected}");
}

#[test]
fn no_items_leave_the_biases_and_old_items_do_not_count() {
    let (tower, _) = fitted(30, 60, &TowerConfig { epochs: 1, ..small() });
    assert_eq!(tower.user_vector(&[]), vec![0.0; 16]);
    let long: Vec<&[f32]> = (0..25).map(|row| tower.item_vector(row)).collect();
    assert_eq!(tower.user_vector(&long), tower.user_vector(&long[..20]));
    assert_ne!(tower.user_vector(&long), tower.user_vector(&long[..19]));
}

#[test]
fn it_comes_back_from_tensors_bit_by_bit() {
    let (tower, _) = fitted(30, 60, &TowerConfig { epochs: 1, ..small() });
    assert_eq!(Tower::from_tensors(tower.to_tensors()), Ok(tower.clone()));
    let mut torn = tower.to_tensors();
    torn.0.remove("distance");
    assert!(Tower::from_tensors(torn).is_err());
}

#[track_caller]
fn check_refused(items: usize, attributes: &[Vec<u32>], sequences: &[Vec<u32>], expected: &str) {
    let input = TowerInput { items, attributes, attribute_count: 1, sequences };
    let error = fit(&input, &small(), &Clock::manual(0), &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn contradictions_and_empty_input_are_refused() {
    let tokens = [vec![0], vec![0]];
    check_refused(3, &tokens, &[], "the number of attribute lists is 2, expected 3");
    check_refused(2, &[vec![0], vec![1]], &[], "an attribute id is 1, expected below 1");
    check_refused(2, &tokens, &[vec![0, 2]], "an item row is 2, expected below 2");
    check_refused(2, &tokens, &[vec![0], vec![1, 1]], "nothing to learn: no session has two items");
    let input =
        TowerInput { items: 2, attributes: &tokens, attribute_count: 1, sequences: &[vec![0, 1]] };
    let config = TowerConfig { dim: 15, ..small() };
    let error = fit(&input, &config, &Clock::manual(0), &mut |_| ()).unwrap_err();
    assert!(matches!(error, ModelError::Shape { what: "the tower's dim", .. }), "{error}");
}

#[test]
fn a_tower_needs_no_attributes() {
    let (_, sequences) = ring(20, 100);
    let attributes = vec![Vec::new(); 20];
    let input = TowerInput {
        items: 20,
        attributes: &attributes,
        attribute_count: 0,
        sequences: &sequences,
    };
    let tower = fit(&input, &TowerConfig { epochs: 1, ..small() }, &Clock::manual(0), &mut |_| ());
    assert_eq!(tower.unwrap().content_vector(&[0]), vec![0.0; 16]);
}

#[test]
fn the_budget_ends_a_fit_with_its_schedule_complete() {
    let (attributes, sequences) = ring(30, 600);
    let input = TowerInput {
        items: 30,
        attributes: &attributes,
        attribute_count: 3,
        sequences: &sequences,
    };
    let config = TowerConfig { seconds_max: Some(4.0), ..small() };
    let clock = Clock::manual(0);
    let mut log = Vec::new();
    let mut slow = |progress| {
        clock.advance(std::time::Duration::from_millis(100));
        log.push(progress);
    };
    fit(&input, &config, &clock, &mut slow).unwrap();
    let last: Progress = log[log.len() - 1];
    assert!(log[0].steps > 100, "{}", log[0].steps);
    assert!((36..=46).contains(&last.step) && last.step == last.steps, "{last:?}");
}

#[test]
fn the_starting_values_can_be_held_by_the_backend() {
    let network = Network::new(&small(), 5, 0);
    let variables = network.variables(&[0, 4]).unwrap();
    assert_eq!(variables.ids.dims(), [2, 16]);
    assert!(variables.ids.device().same_device(&Device::Cpu));
}
