//! Every operation and its derivative against the backend's own.

use candle_core::{D, IndexOp, Var};
use candle_nn::ops::log_softmax;

use super::*;
use crate::noise::Noise;

/// Value and gradient of `Σ weights · op(x)` for two ways to compute the same thing.
#[track_caller]
fn check(shape: &[usize], ours: impl Fn(&Tensor) -> Tensor, theirs: impl Fn(&Tensor) -> Tensor) {
    let mut noise = Noise::new(5);
    let count = shape.iter().product();
    let x = Var::from_slice(&noise.normal(count, 1.0), shape, &Device::Cpu).unwrap();
    let results = [ours(&x), theirs(&x)].map(|y| {
        let weights = Noise::new(9).normal(y.elem_count(), 1.0);
        let weights = Tensor::from_vec(weights, y.shape(), &Device::Cpu).unwrap();
        let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        let grad = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (y.flatten_all().unwrap().to_vec1::<f32>().unwrap(), grad)
    });
    let [(y, grad), (their_y, their_grad)] = results;
    for (ours, theirs) in y.iter().zip(&their_y).chain(grad.iter().zip(&their_grad)) {
        assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
    }
    assert_eq!((y.len(), grad.len()), (their_y.len(), their_grad.len()));
}

fn pick(x: &Tensor, rows: &[u32]) -> Tensor {
    x.index_select(&Tensor::new(rows, &Device::Cpu).unwrap(), 0).unwrap()
}

#[test]
fn masked_is_a_product() {
    let mask = [0.0, 2.0, 1.0, 0.0, 0.5, 1.0];
    let constants = Tensor::from_slice(&mask, (2, 3), &Device::Cpu).unwrap();
    check(&[2, 3], |x| x.apply_op1(Masked(mask.to_vec())).unwrap(), |x| (x * &constants).unwrap());
}

#[test]
fn bias_is_a_broadcast_sum_for_both_operands() {
    let mut noise = Noise::new(8);
    let bias = Tensor::from_vec(noise.normal(3, 1.0), 3, &Device::Cpu).unwrap();
    let x = Tensor::from_vec(noise.normal(12, 1.0), (4, 3), &Device::Cpu).unwrap();
    let plain = || Bias { rectifies: false };
    let ours = |x: &Tensor| x.apply_op2(&bias, plain()).unwrap();
    check(&[4, 3], ours, |x| x.broadcast_add(&bias).unwrap());
    let ours = |bias: &Tensor| x.apply_op2(bias, plain()).unwrap();
    check(&[3], ours, |bias| x.broadcast_add(bias).unwrap());
    let rectified = |bias: &Tensor| x.apply_op2(bias, Bias { rectifies: true }).unwrap();
    check(&[3], rectified, |bias| x.broadcast_add(bias).unwrap().relu().unwrap());
    let rectified = |x: &Tensor| x.apply_op2(&bias, Bias { rectifies: true }).unwrap();
    check(&[4, 3], rectified, |x| x.broadcast_add(&bias).unwrap().relu().unwrap());
}

#[test]
fn gelu_is_the_backends() {
    check(&[4, 5], |x| x.apply_op1(Gelu).unwrap(), |x| x.gelu().unwrap());
}

#[test]
fn lookups_are_index_selects() {
    let rows = [2, 0, 2, 3];
    check(&[4, 3], |x| x.apply_op1(RowMeans::single(rows.to_vec())).unwrap(), |x| pick(x, &rows));
}

#[test]
fn bags_are_means_and_an_empty_bag_is_zero() {
    let bags: [&[u32]; 3] = [&[0, 1], &[], &[3, 3, 2]];
    check(
        &[4, 3],
        |x| x.apply_op1(RowMeans::bags(bags.into_iter())).unwrap(),
        |x| {
            let empty = (pick(x, &[0]).mean(0).unwrap() * 0.0).unwrap();
            let means =
                [pick(x, bags[0]).mean(0).unwrap(), empty, pick(x, bags[2]).mean(0).unwrap()];
            Tensor::stack(&means, 0).unwrap()
        },
    );
}

#[test]
fn shifts_are_padded_narrows() {
    let (sequences, length, dim, taps) = (2, 4, 3, 5);
    check(
        &[sequences * length, taps * dim],
        |x| x.apply_op1(Shifts { length, dim }).unwrap(),
        |x| {
            let x = x.reshape((sequences, length, taps * dim)).unwrap();
            let mut sum = x.narrow(2, 0, dim).unwrap();
            for tap in 1..length {
                let part = x.narrow(2, tap * dim, dim).unwrap().narrow(1, 0, length - tap).unwrap();
                sum = (sum + part.pad_with_zeros(1, tap, 0).unwrap()).unwrap();
            }
            sum.reshape((sequences * length, dim)).unwrap()
        },
    );
}

#[test]
fn the_catalogue_loss_leaves_out_the_current_item_and_corrects_the_others() {
    let offsets = [0.5, -1e9, -0.3, 0.0, 0.2];
    let loss = || CatalogueLoss {
        current: vec![0, 4, 3],
        targets: vec![2, 1, 0],
        offsets: offsets.to_vec(),
    };
    check(
        &[3, 5],
        |x| x.apply_op1(loss()).unwrap(),
        |x| {
            let rows: Vec<Tensor> = (0..3)
                .map(|row| {
                    let CatalogueLoss { current, targets, .. } = loss();
                    let mut added = offsets;
                    added[current[row] as usize] = -1e9;
                    added[targets[row] as usize] = 0.0;
                    let logits =
                        (x.i(row).unwrap() + Tensor::new(&added, &Device::Cpu).unwrap()).unwrap();
                    let shares = log_softmax(&logits, D::Minus1).unwrap();
                    shares.i(targets[row] as usize).unwrap().neg().unwrap()
                })
                .collect();
            Tensor::stack(&rows, 0).unwrap()
        },
    );
}

#[test]
fn the_slate_loss_sums_over_targets() {
    let targets = vec![vec![1], vec![0, 3]];
    check(
        &[7],
        |x| {
            let loss = SlateLoss { ends: vec![3, 7], targets: targets.clone() };
            x.apply_op1(loss).unwrap()
        },
        |x| {
            let first = log_softmax(&x.i(..3).unwrap(), 0).unwrap();
            let second = log_softmax(&x.i(3..).unwrap(), 0).unwrap();
            let second = (second.i(0).unwrap() + second.i(3).unwrap()).unwrap();
            Tensor::stack(&[first.i(1).unwrap(), second], 0).unwrap().neg().unwrap()
        },
    );
}

#[test]
fn strided_input_is_an_error_not_a_wrong_answer() {
    let x = Tensor::zeros((2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(x.t().unwrap().apply_op1(Gelu).is_err());
}
