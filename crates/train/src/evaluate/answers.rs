//! The answers file: one JSON object per line, as the reference scorer reads it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::EvaluateError;
use super::score::Answer;
use crate::dataset::{DatasetError, Lines};

/// Writes the answers, one line each.
///
/// # Errors
/// When the file cannot be written.
pub fn write_answers(path: &Path, answers: &[Answer]) -> Result<(), EvaluateError> {
    let unwritable = |cause| EvaluateError::Unwritable { path: path.display().to_string(), cause };
    let mut file = BufWriter::new(File::create(path).map_err(unwritable)?);
    for answer in answers {
        serde_json::to_writer(&mut file, answer).map_err(|cause| unwritable(cause.into()))?;
        file.write_all(b"\n").map_err(unwritable)?;
    }
    file.flush().map_err(unwritable)
}

/// Reads an answers file (gzip too).
///
/// # Errors
/// When it cannot be read or a line is no answer.
pub fn read_answers(path: &Path) -> Result<Vec<Answer>, EvaluateError> {
    let mut lines = Lines::open(path)?;
    let mut answers = Vec::new();
    while let Some(read) = lines.next_line() {
        let (line, text) = read?;
        let answer = serde_json::from_str(&text)
            .map_err(|cause| DatasetError::BadRow { line, message: cause.to_string() })?;
        answers.push(answer);
    }
    Ok(answers)
}

/// The queries that both answered, but not with the same list of items.
#[must_use]
pub fn differences(one: &[Answer], other: &[Answer]) -> Vec<u64> {
    let by_id = other.iter().map(|answer| (answer.qid, &answer.items)).collect::<HashMap<_, _>>();
    let differs =
        |answer: &&Answer| by_id.get(&answer.qid).is_some_and(|items| **items != answer.items);
    one.iter().filter(differs).map(|answer| answer.qid).collect()
}
