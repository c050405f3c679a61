//! Columns that say how a candidate stands among the others of its slate.

use super::spec::{Column, WIDTH};

/// Fills in, for every compared column, `log2(1 + rank)` (rank from 0, equal values in slate order) and the
/// difference to the slate's largest value.
pub(super) fn fill(rows: &mut [f32]) {
    let count = rows.len() / WIDTH;
    let mut order = (0..count).collect::<Vec<_>>();
    for (nth, column) in Column::COMPARED.into_iter().enumerate() {
        let value = |at: &usize| rows[at * WIDTH + column.at()];
        order.sort_by(|a, b| value(b).total_cmp(&value(a)).then(a.cmp(b)));
        let best = order.first().map_or(0.0, value);
        let to = Column::ALL.len() + 2 * nth;
        for (rank, at) in order.iter().enumerate() {
            let row = &mut rows[at * WIDTH..(at + 1) * WIDTH];
            row[to] = log2_of_place(rank);
            row[to + 1] = row[column.at()] - best;
        }
    }
}

fn log2_of_place(rank: usize) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "slates hold far fewer than 2^24 items")]
    let place = (rank + 1) as f32;
    place.log2()
}
