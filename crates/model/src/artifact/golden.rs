//! Golden requests: inputs with the answers the model gave when it was saved.

use serde::{Deserialize, Serialize};

use super::Artifact;

/// Largest difference from a stored answer, relative to 1 plus its size: room for another machine's rounding.
const TOLERANCE: f32 = 1e-5;
/// Items in the longest golden session.
const LONGEST: usize = 24;

/// Stored requests and answers of both models.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Golden {
    tower: Vec<TowerAnswer>,
    ranker: Vec<RankerAnswer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TowerAnswer {
    /// Item rows, newest first.
    newest_first: Vec<usize>,
    user_vector: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RankerAnswer {
    row: Vec<f32>,
    score: f32,
}

impl Golden {
    /// Asks the models of an artifact the golden requests: sessions of three lengths spread over the catalogue, and
    /// rows around the ranker's column means.
    pub(super) fn ask(artifact: &Artifact) -> Self {
        let mut golden = Self::default();
        if let Some(tower) = &artifact.tower {
            let items = tower.items();
            for length in [1, 3, LONGEST] {
                let newest_first: Vec<usize> =
                    (0..length).map(|k| (k * 7 + length) % items.max(1)).collect();
                golden.tower.push(TowerAnswer { newest_first, user_vector: Vec::new() });
            }
        }
        if let Some(ranker) = &artifact.ranker {
            for number in 0..3 {
                golden.ranker.push(RankerAnswer { row: ranker.probe(number), score: 0.0 });
            }
        }
        golden.answered_by(artifact)
    }

    /// The same requests with this artifact's answers; requests it cannot answer get none.
    fn answered_by(&self, artifact: &Artifact) -> Self {
        let mut golden = self.clone();
        for answer in &mut golden.tower {
            answer.user_vector.clear();
            if let Some(tower) = &artifact.tower {
                let rows = answer.newest_first.iter().filter(|row| **row < tower.items());
                let items: Vec<&[f32]> = rows.map(|row| tower.item_vector(*row)).collect();
                answer.user_vector = tower.user_vector(&items);
            }
        }
        for answer in &mut golden.ranker {
            answer.score = f32::NAN;
            if let Some(ranker) = &artifact.ranker
                && ranker.columns() == answer.row.len()
            {
                let mut scores = Vec::new();
                ranker.score(&answer.row, &mut scores);
                answer.score = scores[0];
            }
        }
        golden
    }

    /// The first request whose stored answer is not the artifact's, in words.
    pub(super) fn mismatch(&self, artifact: &Artifact) -> Option<String> {
        if self.tower.is_empty() == artifact.tower.is_some() {
            return Some("tower and its golden requests do not belong together".to_owned());
        }
        if self.ranker.is_empty() == artifact.ranker.is_some() {
            return Some("ranker and its golden requests do not belong together".to_owned());
        }
        let now = self.answered_by(artifact);
        for (number, (stored, now)) in self.tower.iter().zip(&now.tower).enumerate() {
            let same_length = stored.user_vector.len() == now.user_vector.len();
            let mut pairs = stored.user_vector.iter().zip(&now.user_vector);
            if !same_length || pairs.any(|(stored, now)| !are_close(*stored, *now)) {
                return Some(format!("tower request {number} is answered differently"));
            }
        }
        let mut pairs = self.ranker.iter().zip(&now.ranker).enumerate();
        let differing = pairs.find(|(_, (stored, now))| !are_close(stored.score, now.score));
        differing.map(|(number, _)| format!("ranker request {number} is answered differently"))
    }
}

/// False also when either is not a number.
fn are_close(stored: f32, now: f32) -> bool {
    (stored - now).abs() <= TOLERANCE * (1.0 + stored.abs())
}
