//! The append-only file of a Redis that is down: its newest bytes are cut off, as a power cut does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;

const FOLDER: &str = "appendonlydir";
const MANIFEST: &str = "appendonly.aof.manifest";

/// Cuts `bytes` off the newest increment, or all of it where it is shorter. What is left begins as it did, so a Redis
/// that accepts a truncated end loads it. Returns how many bytes are gone.
///
/// # Errors
/// When there is no such file.
pub(crate) fn cut_tail(directory: &Path, bytes: u64) -> anyhow::Result<u64> {
    let path = newest_increment(directory)?;
    let shown = path.display();
    let file = File::options().write(true).open(&path).with_context(|| format!("{shown}"))?;
    let length = file.metadata().with_context(|| format!("{shown}"))?.len();
    let left = length.saturating_sub(bytes);
    file.set_len(left).with_context(|| format!("cannot cut {shown}"))?;
    Ok(length - left)
}

fn newest_increment(directory: &Path) -> anyhow::Result<PathBuf> {
    let folder = directory.join(FOLDER);
    let manifest = folder.join(MANIFEST);
    let text = fs::read_to_string(&manifest).with_context(|| format!("{}", manifest.display()))?;
    let name = last_increment(&text).context("the manifest names no increment")?;
    Ok(folder.join(name))
}

/// Lines are `file NAME seq NUMBER type b|i|h`; increments stand in the order in which they were begun.
fn last_increment(manifest: &str) -> Option<&str> {
    let increment = |line: &'_ str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(2).any(|pair| pair == ["type", "i"])
    };
    let line = manifest.lines().rfind(|line| increment(line))?;
    line.split_whitespace().skip_while(|word| *word != "file").nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "file appendonly.aof.9.base.rdb seq 9 type b\n\
        file appendonly.aof.9.incr.aof seq 9 type i\n\
        file appendonly.aof.10.incr.aof seq 10 type i\n";

    #[test]
    fn the_last_increment_is_found_by_its_place() {
        assert_eq!(last_increment(TEXT), Some("appendonly.aof.10.incr.aof"));
        assert_eq!(last_increment("file appendonly.aof.1.base.rdb seq 1 type b\n"), None);
    }

    #[test]
    fn bytes_go_from_its_end_and_never_more_than_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        assert!(cut_tail(directory.path(), 1).is_err());
        fs::write(folder.join(MANIFEST), TEXT).unwrap();
        let newest = folder.join("appendonly.aof.10.incr.aof");
        fs::write(&newest, "0123456789").unwrap();
        assert_eq!(cut_tail(directory.path(), 4).unwrap(), 4);
        assert_eq!(fs::read_to_string(&newest).unwrap(), "012345");
        assert_eq!(cut_tail(directory.path(), 100).unwrap(), 6);
        assert_eq!(fs::read_to_string(&newest).unwrap(), "");
    }
}
