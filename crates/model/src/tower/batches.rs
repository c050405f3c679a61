//! Sessions cut into chunks and packed into batches of like length.

use crate::noise::Noise;

/// Sessions without immediate repeats, in pieces of at most `chunk_events`; pieces of one event teach nothing.
pub(super) fn chunks(sequences: &[Vec<u32>], chunk_events: usize) -> Vec<Vec<u32>> {
    let mut chunks = Vec::new();
    for sequence in sequences {
        let mut collapsed = sequence.clone();
        collapsed.dedup();
        let pieces = collapsed.chunks(chunk_events).filter(|piece| piece.len() > 1);
        chunks.extend(pieces.map(<[u32]>::to_vec));
    }
    chunks
}

/// Indices of chunks by batch, in random order; a batch holds at most `positions` places with padding (or one chunk).
pub(super) fn pack(chunks: &[Vec<u32>], positions: usize, noise: &mut Noise) -> Vec<Vec<usize>> {
    let mut order: Vec<(f64, usize)> = chunks
        .iter()
        .enumerate()
        .map(|(index, chunk)| (chunk.len() as f64 + noise.unit(), index))
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut batch: Vec<usize> = Vec::new();
    for (_, index) in order {
        // Ascending: this chunk is the longest so far.
        if !batch.is_empty() && (batch.len() + 1) * chunks[index].len() > positions {
            batches.push(std::mem::take(&mut batch));
        }
        batch.push(index);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    noise.shuffle(&mut batches);
    batches
}

/// A batch of chunks, one item behind the other: what was seen and what came next.
#[derive(Debug, PartialEq)]
pub(super) struct Batch {
    /// Places in each sequence.
    pub(super) length: usize,
    /// Items `[sequences × length]`, oldest first; the padding at the end repeats the last item and is never read.
    pub(super) input: Vec<u32>,
    /// Places in `input` after which an item is known.
    pub(super) positions: Vec<u32>,
    /// That item, for each position.
    pub(super) targets: Vec<u32>,
}

impl Batch {
    pub(super) fn of(chunks: &[Vec<u32>], indices: &[usize]) -> Self {
        let length = indices.iter().map(|index| chunks[*index].len() - 1).max().unwrap_or(0);
        let mut batch =
            Self { length, input: Vec::new(), positions: Vec::new(), targets: Vec::new() };
        let mut start = 0;
        for index in indices {
            let (seen, next) = (&chunks[*index][..chunks[*index].len() - 1], &chunks[*index][1..]);
            batch.input.extend_from_slice(seen);
            batch.input.resize(batch.input.len() + length - seen.len(), seen[0]);
            batch.targets.extend_from_slice(next);
            batch.positions.extend((start..).take(next.len()));
            start += length as u32;
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_collapsed_and_cut() {
        let sequences = [vec![1, 1, 2, 3, 3, 4], vec![5, 5], vec![6]];
        assert_eq!(chunks(&sequences, 3), [vec![1, 2, 3]]);
        assert_eq!(chunks(&sequences, 2), [vec![1, 2], vec![3, 4]]);
    }

    #[test]
    fn every_chunk_is_in_one_batch_within_the_limit() {
        let chunks: Vec<Vec<u32>> = (0..50).map(|n| vec![0; 2 + n % 7]).collect();
        let batches = pack(&chunks, 24, &mut Noise::new(1));
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        for batch in batches {
            let longest = batch.iter().map(|index| chunks[*index].len()).max().unwrap();
            assert!(batch.len() * longest <= 24, "{batch:?}");
        }
    }

    #[test]
    fn a_batch_pairs_what_was_seen_with_what_came_next() {
        let chunks = [vec![1, 2, 3], vec![4, 5]];
        let batch = Batch::of(&chunks, &[0, 1]);
        assert_eq!(batch.length, 2);
        assert_eq!(batch.input, [1, 2, 4, 4]);
        assert_eq!(batch.positions, [0, 1, 2]);
        assert_eq!(batch.targets, [2, 3, 5]);
    }
}
