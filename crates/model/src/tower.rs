//! Two towers: a user as the last items of the session, an item as its id and its attributes.
//!
//! With d dimensions, `e₀` the newest item's vector, `e₁` the one before, …:
//! `h = e₀ + Σₖ eₖ·Tₖ + attention(e₀; e₀ … e₁₉)·O`, `u = h + gelu(h·A + a)·B + b`, `logit(i) = u·Vᵢ + biasᵢ`.
//! Training is in [`fit`]; what is here answers requests and needs no tensor library.

mod batches;
mod fit;
mod network;
mod sampling;
mod stored;

pub use fit::{TowerConfig, TowerInput, fit};

use upnext_kernels::{Dense, add_scaled, dot, gelu, softmax_in_place};

/// Sizes of a tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TowerShape {
    pub dim: usize,
    /// Attention heads; divides `dim`.
    pub heads: usize,
    /// How many of the newest items are looked at.
    pub window: usize,
    /// How many of them have a matrix of their own, by distance.
    pub taps: usize,
}

/// A trained tower, ready to answer. Equal inputs give equal bits, whatever else is computed around them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tower {
    shape: TowerShape,
    /// `[items × dim]`: id embedding plus mean attribute embedding.
    items: Vec<f32>,
    biases: Vec<f32>,
    unseen_bias: f32,
    /// `[attribute_count × dim]`
    attributes: Vec<f32>,
    query: Dense,
    /// `[dim × dim]`, inputs by rows.
    key: Vec<f32>,
    value: Dense,
    output: Dense,
    taps: Vec<Dense>,
    /// `[heads × window]`, added to the attention scores by distance.
    distance: Vec<f32>,
    up: Dense,
    down: Dense,
}

impl Tower {
    #[must_use]
    pub fn dim(&self) -> usize {
        self.shape.dim
    }

    #[must_use]
    pub fn shape(&self) -> TowerShape {
        self.shape
    }

    /// How many items it was trained with (rows).
    #[must_use]
    pub fn items(&self) -> usize {
        self.biases.len()
    }

    #[must_use]
    pub fn attribute_count(&self) -> usize {
        self.attributes.len() / self.shape.dim
    }

    /// The vector of an item of the training catalogue; an item without events there is its content alone.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn item_vector(&self, row: usize) -> &[f32] {
        &self.items[row * self.shape.dim..][..self.shape.dim]
    }

    /// What is added to every user's logit of this item.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn bias(&self, row: usize) -> f32 {
        self.biases[row]
    }

    /// The bias of an item that was never seen: the lower quartile of the seen ones.
    #[must_use]
    pub fn unseen_bias(&self) -> f32 {
        self.unseen_bias
    }

    /// The vector of an item known by its attributes alone: their mean; ids outside the vocabulary are left out.
    #[must_use]
    pub fn content_vector(&self, attributes: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.shape.dim];
        let mut known = 0.0_f32;
        for attribute in attributes {
            let start = *attribute as usize * self.shape.dim;
            if let Some(vector) = self.attributes.get(start..start + self.shape.dim) {
                add_scaled(&mut sum, 1.0, vector);
                known += 1.0;
            }
        }
        if known > 0.0 {
            sum.iter_mut().for_each(|x| *x /= known);
        }
        sum
    }

    /// The user's vector after these items, newest first; only the newest `window` count. Zero for no items, so that
    /// the biases alone decide.
    ///
    /// # Panics
    /// If an item vector is not `dim` long.
    #[must_use]
    pub fn user_vector(&self, newest_first: &[&[f32]]) -> Vec<f32> {
        let seen = &newest_first[..newest_first.len().min(self.shape.window)];
        let Some(newest) = seen.first() else {
            return vec![0.0; self.shape.dim];
        };
        let mut h = newest.to_vec();
        let mut part = vec![0.0; self.shape.dim];
        for (tap, item) in self.taps.iter().zip(seen) {
            tap.apply(item, &mut part);
            add_scaled(&mut h, 1.0, &part);
        }
        self.output.apply(&self.attend(seen), &mut part);
        add_scaled(&mut h, 1.0, &part);
        let mut hidden = vec![0.0; self.up.outputs()];
        self.up.apply(&h, &mut hidden);
        gelu(&mut hidden);
        self.down.apply(&hidden, &mut part);
        add_scaled(&mut h, 1.0, &part);
        h
    }

    /// `u·V + bias`.
    #[must_use]
    pub fn logit(user: &[f32], item: &[f32], bias: f32) -> f32 {
        dot(user, item) + bias
    }

    /// All heads' attention of the newest item over all, before the output matrix.
    ///
    /// Keys and values are never formed: `q·(e·K) = (K·q)·e`, and the weighted mean of values is the value of the
    /// weighted mean.
    fn attend(&self, seen: &[&[f32]]) -> Vec<f32> {
        let dim = self.shape.dim;
        let width = dim / self.shape.heads;
        let mut query = vec![0.0; dim];
        self.query.apply(seen[0], &mut query);
        let mut out = vec![0.0; dim];
        let mut value = vec![0.0; dim];
        for head in 0..self.shape.heads {
            let span = head * width..(head + 1) * width;
            let weights = self.attention_weights(head, &query[span.clone()], seen);
            let mut mean = vec![0.0; dim];
            for (weight, item) in weights.iter().zip(seen) {
                add_scaled(&mut mean, *weight, item);
            }
            self.value.apply(&mean, &mut value);
            out[span.clone()].copy_from_slice(&value[span]);
        }
        out
    }

    /// One head's shares over the items, newest first.
    fn attention_weights(&self, head: usize, query: &[f32], seen: &[&[f32]]) -> Vec<f32> {
        let dim = self.shape.dim;
        let width = query.len();
        let lens: Vec<f32> = self
            .key
            .chunks_exact(dim)
            .map(|row| dot(&row[head * width..][..width], query))
            .collect();
        let scale = 1.0 / (width as f32).sqrt();
        let distance = &self.distance[head * self.shape.window..];
        let mut weights: Vec<f32> =
            seen.iter().zip(distance).map(|(item, bias)| dot(&lens, item) * scale + bias).collect();
        softmax_in_place(&mut weights);
        weights
    }
}

#[cfg(test)]
mod tests;
