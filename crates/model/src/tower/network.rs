//! The tower as tensors with gradients: what training runs, and what inference must equal.

use candle_core::backprop::GradStore;
use candle_core::{D, Device, Result, Tensor, Var};

use super::sampling::Step;
use super::{Tower, TowerConfig, TowerShape};
use crate::adam::{Parameter, Part, gradient_of};
use crate::noise::Noise;
use crate::ops::{Bias, Gelu, Masked, RowMeans, Shifts};
use crate::tensors::TensorError;
use crate::tower::stored::square;

/// A place that attention must not see.
const HIDDEN: f32 = -1e9;

/// Everything that is trained, in the order of [`Network::variables`].
pub(super) struct Network {
    pub(super) shape: TowerShape,
    /// `[items × dim]`
    pub(super) ids: Parameter,
    /// `[items × 1]`
    pub(super) biases: Parameter,
    /// `[attributes × dim]`
    pub(super) attributes: Parameter,
    pub(super) query: Parameter,
    pub(super) key: Parameter,
    pub(super) value: Parameter,
    pub(super) output: Parameter,
    /// `[dim × taps · dim]`
    pub(super) taps: Parameter,
    /// `[heads · window × 1]`
    pub(super) distance: Parameter,
    pub(super) up: [Parameter; 2],
    pub(super) down: [Parameter; 2],
}

/// The variables of one step.
pub(super) struct Variables {
    pub(super) ids: Var,
    pub(super) biases: Var,
    pub(super) attributes: Var,
    pub(super) query: Var,
    pub(super) key: Var,
    pub(super) value: Var,
    pub(super) output: Var,
    pub(super) taps: Var,
    pub(super) distance: Var,
    pub(super) up: [Var; 2],
    pub(super) down: [Var; 2],
}

/// Shares of what is dropped in training.
pub(super) struct Dropouts<'a> {
    pub(super) noise: &'a mut Noise,
    pub(super) share: f64,
    pub(super) id_share: f64,
}

impl Network {
    /// Starting values: embeddings normal with variance 1/dim (attributes half as wide), layers uniform within
    /// 1/√inputs, biases and distances zero.
    pub(super) fn new(config: &TowerConfig, items: usize, attributes: usize) -> Self {
        let TowerConfig { dim, heads, window, taps, seed, .. } = *config;
        let mut noise = Noise::new(seed);
        let deviation = 1.0 / (dim as f64).sqrt();
        let mut layer = |inputs: usize, outputs: usize| {
            let limit = 1.0 / (inputs as f64).sqrt();
            Parameter::new(&[inputs, outputs], noise.uniform(inputs * outputs, limit))
        };
        let (query, key, value, output) =
            (layer(dim, dim), layer(dim, dim), layer(dim, dim), layer(dim, dim));
        let taps_layer = layer(dim, taps * dim);
        let (up, down) = (layer(dim, 2 * dim), layer(2 * dim, dim));
        let up_bias = noise.uniform(2 * dim, deviation);
        let down_bias = noise.uniform(dim, 1.0 / (2.0 * dim as f64).sqrt());
        let ids = noise.normal(items * dim, deviation);
        let attribute_values = noise.normal(attributes * dim, 0.5 * deviation);
        Self {
            shape: TowerShape { dim, heads, window, taps },
            ids: Parameter::new(&[items, dim], ids),
            biases: Parameter::new(&[items, 1], vec![0.0; items]),
            attributes: Parameter::new(&[attributes, dim], attribute_values),
            query,
            key,
            value,
            output,
            taps: taps_layer,
            distance: Parameter::new(&[heads * window, 1], vec![0.0; heads * window]),
            up: [up, Parameter::new(&[2 * dim], up_bias)],
            down: [down, Parameter::new(&[dim], down_bias)],
        }
    }

    /// Variables of a step that looks at these items.
    pub(super) fn variables(&self, rows: &[u32]) -> Result<Variables> {
        Ok(Variables {
            ids: self.ids.variable_of_rows(rows)?,
            biases: self.biases.variable_of_rows(rows)?,
            attributes: self.attributes.variable()?,
            query: self.query.variable()?,
            key: self.key.variable()?,
            value: self.value.variable()?,
            output: self.output.variable()?,
            taps: self.taps.variable()?,
            distance: self.distance.variable()?,
            up: [self.up[0].variable()?, self.up[1].variable()?],
            down: [self.down[0].variable()?, self.down[1].variable()?],
        })
    }

    /// Hands every parameter with its gradient to `apply`, tables by the step's rows.
    pub(super) fn update(
        &mut self,
        variables: &Variables,
        gradients: &GradStore,
        rows: &[u32],
        apply: impl FnOnce(&mut [(&mut Parameter, Part<'_>, Vec<f32>)]),
    ) -> Result<()> {
        let of = |variable: &Var| gradient_of(gradients, variable);
        let v = variables;
        let [up, up_bias] = &mut self.up;
        let [down, down_bias] = &mut self.down;
        apply(&mut [
            (&mut self.ids, Part::Rows(rows), of(&v.ids)?),
            (&mut self.biases, Part::Rows(rows), of(&v.biases)?),
            (&mut self.attributes, Part::Whole, of(&v.attributes)?),
            (&mut self.query, Part::Whole, of(&v.query)?),
            (&mut self.key, Part::Whole, of(&v.key)?),
            (&mut self.value, Part::Whole, of(&v.value)?),
            (&mut self.output, Part::Whole, of(&v.output)?),
            (&mut self.taps, Part::Whole, of(&v.taps)?),
            (&mut self.distance, Part::Whole, of(&v.distance)?),
            (up, Part::Whole, of(&v.up[0])?),
            (up_bias, Part::Whole, of(&v.up[1])?),
            (down, Part::Whole, of(&v.down[0])?),
            (down_bias, Part::Whole, of(&v.down[1])?),
        ]);
        Ok(())
    }

    /// The trained tower as inference holds it; `tokens` are the attributes of every item.
    pub(super) fn tower(
        &self,
        tokens: &[Vec<u32>],
        unseen_bias: f32,
    ) -> std::result::Result<Tower, TensorError> {
        let TowerShape { dim, taps, .. } = self.shape;
        let dense = |[weight, bias]: &[Parameter; 2]| {
            let actual = weight.shape.clone();
            upnext_kernels::Dense::new(weight.shape[0], weight.values.clone(), bias.values.clone())
                .ok_or_else(|| TensorError::Misfit { name: "dense layer".to_owned(), actual })
        };
        let tap = |number: usize| {
            let rows = self.taps.values.chunks_exact(taps * dim);
            let weights = rows.flat_map(|row| row[number * dim..][..dim].iter().copied());
            square(dim, weights.collect())
        };
        let mut tower = Tower {
            shape: self.shape,
            items: self.ids.values.clone(),
            biases: self.biases.values.clone(),
            unseen_bias,
            attributes: self.attributes.values.clone(),
            query: square(dim, self.query.values.clone())?,
            key: self.key.values.clone(),
            value: square(dim, self.value.values.clone())?,
            output: square(dim, self.output.values.clone())?,
            taps: (0..taps).map(tap).collect::<std::result::Result<_, _>>()?,
            distance: self.distance.values.clone(),
            up: dense(&self.up)?,
            down: dense(&self.down)?,
        };
        for (item, tokens) in tokens.iter().enumerate() {
            let content = tower.content_vector(tokens);
            let vector = &mut tower.items[item * dim..][..dim];
            vector.iter_mut().zip(content).for_each(|(x, content)| *x += content);
        }
        Ok(tower)
    }
}

impl Variables {
    /// Item vectors of the step's rows `[rows × dim]`; `tokens` are the attributes of every item.
    pub(super) fn items(
        &self,
        rows: &[u32],
        tokens: &[Vec<u32>],
        dropouts: Option<&mut Dropouts<'_>>,
    ) -> Result<Tensor> {
        let dim = self.ids.dim(1)?;
        let ids = match dropouts {
            Some(dropouts) if dropouts.id_share > 0.0 => {
                let mask = dropouts.noise.mask(rows.len(), dropouts.id_share, 1.0);
                let mask = mask.iter().flat_map(|kept| std::iter::repeat_n(*kept, dim)).collect();
                self.ids.apply_op1(Masked(mask))?
            }
            Some(_) | None => self.ids.as_tensor().clone(),
        };
        if self.attributes.dim(0)? == 0 {
            return Ok(ids);
        }
        let bags = RowMeans::bags(rows.iter().map(|row| tokens[*row as usize].as_slice()));
        ids + self.attributes.apply_op1(bags)?
    }

    /// User vectors `[positions × dim]` after the given places of `input`, sequences of `length` local rows.
    pub(super) fn users(
        &self,
        shape: TowerShape,
        items: &Tensor,
        (input, length, positions): (&[u32], usize, &[u32]),
        mut dropouts: Option<&mut Dropouts<'_>>,
    ) -> Result<Tensor> {
        let e = items.apply_op1(RowMeans::single(input.to_vec()))?;
        let e = dropped(e, &mut dropouts)?;
        let attended = self.attend(shape, &e, length)?.matmul(&self.output)?;
        let taps = e.matmul(&self.taps)?.apply_op1(Shifts { length, dim: shape.dim })?;
        let h = ((e + attended)? + taps)?.apply_op1(RowMeans::single(positions.to_vec()))?;
        let h = dropped(h, &mut dropouts)?;
        let plain = || Bias { rectifies: false };
        let hidden = h.matmul(&self.up[0])?.apply_op2(&self.up[1], plain())?.apply_op1(Gelu)?;
        let hidden = dropped(hidden, &mut dropouts)?;
        let out = hidden.matmul(&self.down[0])?.apply_op2(&self.down[1], plain())?;
        h + out
    }

    /// `u·V + bias` for all users and the step's rows.
    pub(super) fn logits(&self, users: &Tensor, items: &Tensor) -> Result<Tensor> {
        users.matmul(&items.t()?)?.apply_op2(&self.biases, Bias { rectifies: false })
    }

    /// Causal attention over whole sequences: at every place the newest item asks the last `window`, as if it were
    /// the end of the session.
    fn attend(&self, shape: TowerShape, e: &Tensor, length: usize) -> Result<Tensor> {
        let TowerShape { dim, heads, .. } = shape;
        let (places, width) = (e.dim(0)?, dim / heads);
        let split = |weights: &Var| {
            e.matmul(weights)?
                .reshape((places / length, length, heads, width))?
                .transpose(1, 2)?
                .contiguous()
        };
        let query = (split(&self.query)? * (1.0 / (width as f64).sqrt()))?;
        let scores = query.matmul(&split(&self.key)?.transpose(2, 3)?)?;
        let scores = scores.broadcast_add(&self.distances(shape, length)?)?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        weights.matmul(&split(&self.value)?)?.transpose(1, 2)?.reshape((places, dim))
    }

    /// What is added to attention scores `[heads × length × length]`: the learned value of the distance, or hidden.
    fn distances(
        &self,
        TowerShape { heads, window, .. }: TowerShape,
        length: usize,
    ) -> Result<Tensor> {
        let (mut rows, mut mask) = (Vec::new(), Vec::new());
        for head in 0..heads {
            for asking in 0..length {
                for asked in 0..length {
                    let distance = asking.checked_sub(asked).filter(|distance| *distance < window);
                    rows.push((head * window + distance.unwrap_or(0)) as u32);
                    mask.push(if distance.is_some() { 0.0 } else { HIDDEN });
                }
            }
        }
        let learned = self.distance.apply_op1(RowMeans::single(rows))?;
        let mask = Tensor::from_vec(mask, (heads, length, length), &Device::Cpu)?;
        learned.reshape((heads, length, length))? + mask
    }

    /// Logits of a step `[positions × rows]`.
    pub(super) fn forward(
        &self,
        shape: TowerShape,
        step: &Step,
        (length, positions): (usize, &[u32]),
        (tokens, mut dropouts): (&[Vec<u32>], Option<&mut Dropouts<'_>>),
    ) -> Result<Tensor> {
        let items = self.items(&step.rows, tokens, dropouts.as_deref_mut())?;
        let users = self.users(shape, &items, (&step.input, length, positions), dropouts)?;
        self.logits(&users, &items)
    }
}

fn dropped(x: Tensor, dropouts: &mut Option<&mut Dropouts<'_>>) -> Result<Tensor> {
    match dropouts {
        Some(dropouts) if dropouts.share > 0.0 => {
            x.apply_op1(Masked(dropouts.noise.dropout(x.elem_count(), dropouts.share)))
        }
        Some(_) | None => Ok(x),
    }
}
