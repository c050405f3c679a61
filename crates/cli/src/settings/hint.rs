//! What was probably meant by a wrong key or value.

use toml::{Table, Value};
use upnext_common::config::{Config, ConfigError};

const SHOW: &str = "`upnext config show` prints every key";

/// What to do about `error`.
pub(super) fn of(error: &ConfigError) -> String {
    match error {
        ConfigError::Unreadable { .. } => {
            "name an existing file by --config, or leave it out to use the defaults".to_owned()
        }
        ConfigError::InFile { message, source_text, span, .. } => closest_key(message)
            .or_else(|| default_at(source_text, span.start))
            .unwrap_or_else(|| SHOW.to_owned()),
        ConfigError::Override { message, .. } => {
            closest_key(message).unwrap_or_else(|| SHOW.to_owned())
        }
    }
}

/// From "unknown field `deadlin_ms`, expected one of `listen`, `deadline_ms`": the likeliest, or else all of them.
fn closest_key(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.contains("unknown field").then(|| quoted.next()).flatten()?;
    let known: Vec<&str> = quoted.collect();
    let nearest = known.iter().min_by_key(|key| distance(unknown, key))?;
    if distance(unknown, nearest) <= unknown.len().div_ceil(2) {
        return Some(format!("did you mean `{nearest}`? {SHOW}"));
    }
    match elsewhere(unknown) {
        Some(section) => Some(format!("`{unknown}` belongs to section [{section}]")),
        None => Some(format!("known here: {}", known.join(", "))),
    }
}

/// The section that does have this key.
fn elsewhere(key: &str) -> Option<String> {
    let defaults = Table::try_from(Config::default()).ok()?;
    let has = |value: &Value| value.as_table().is_some_and(|table| table.contains_key(key));
    defaults.iter().find(|(_, value)| has(value)).map(|(section, _)| section.clone())
}

/// The default of the key on the line at byte `at`, as an example of the right type.
fn default_at(text: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let key = text.get(start..)?.lines().next()?.split('=').next()?.trim();
    let section = text
        .get(..start)?
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    let defaults = Table::try_from(Config::default()).ok()?;
    let value = match section {
        Some(section) => defaults.get(section)?.get(key)?.clone(),
        None => defaults.get(key)?.clone(),
    };
    Some(format!("the default is `{key} = {value}`"))
}

/// How many letters must be changed, added or left out to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_letters() {
        for (a, b, expected) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn a_misspelt_key_is_corrected() {
        let message = "unknown field `deadlin_ms`, expected one of `listen`, `deadline_ms`";
        assert!(closest_key(message).unwrap().starts_with("did you mean `deadline_ms`?"));
    }

    #[test]
    fn a_key_of_another_section_is_shown_its_place() {
        let message = "unknown field `flush_ms`, expected one of `listen`, `connections_max`";
        assert_eq!(closest_key(message).unwrap(), "`flush_ms` belongs to section [features]");
    }

    #[test]
    fn a_wrong_type_is_shown_its_default() {
        let text = "[serve]\ndeadline_ms = \"soon\"\n";
        assert_eq!(default_at(text, 22).unwrap(), "the default is `deadline_ms = 150`");
    }
}
