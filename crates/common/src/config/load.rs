//! Reading the configuration: file, then environment, then flags, each checked where it stands.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use super::Config;

const ENVIRONMENT_PREFIX: &str = "UPNEXT_";

/// One key set from outside the file: `serve.deadline_ms` = `100`, and where it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Dotted key.
    pub key: String,
    /// The value as text; read as TOML where it parses as such, else as a string.
    pub value: String,
    /// How it is named in messages: `--listen`, `UPNEXT_SERVE__LISTEN`.
    pub origin: String,
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {cause}")]
    Unreadable { path: String, cause: std::io::Error },
    /// What stands in the file is wrong; `span` is the byte range in `source_text`.
    #[error("{path}:{line}:{column}: {message}")]
    InFile {
        path: String,
        line: usize,
        column: usize,
        message: String,
        source_text: String,
        span: Range<usize>,
    },
    #[error("{origin}: {message}")]
    Override { origin: String, message: String },
}

/// Reads `path` (or nothing), then applies the overrides in order.
///
/// # Errors
/// The first thing that is wrong, with where it stands.
pub fn load(path: Option<&Path>, overrides: &[Override]) -> Result<Config, ConfigError> {
    let (mut config, mut table) = match path {
        Some(path) => parse_file(path)?,
        None => (Config::default(), Table::new()),
    };
    for one in overrides {
        set(&mut table, one)?;
        config = Config::deserialize(Value::Table(table.clone())).map_err(|cause| {
            ConfigError::Override { origin: one.origin.clone(), message: one_line(&cause) }
        })?;
    }
    Ok(config)
}

/// Reads one file and says where it is wrong.
///
/// # Errors
/// When the file cannot be read, is no TOML, or holds an unknown key or a wrong type.
pub fn parse_file(path: &Path) -> Result<(Config, Table), ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ConfigError::Unreadable { path: shown.clone(), cause })?;
    let in_file = |cause: toml::de::Error| {
        let span = cause.span().unwrap_or(0..0);
        let (line, column) = line_and_column(&text, span.start);
        let message = cause.message().to_owned();
        let source_text = text.clone();
        ConfigError::InFile { path: shown.clone(), line, column, message, source_text, span }
    };
    let config = toml::from_str::<Config>(&text).map_err(in_file)?;
    let table = toml::from_str::<Table>(&text).map_err(in_file)?;
    Ok((config, table))
}

/// The overrides that the environment holds: `UPNEXT_SERVE__DEADLINE_MS=100` sets `serve.deadline_ms`.
#[must_use]
pub fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Override> {
    let mut found = variables
        .filter_map(|(name, value)| {
            let key = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_lowercase().replace("__", ".");
            Some(Override { key, value, origin: name })
        })
        .collect::<Vec<_>>();
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

fn set(table: &mut Table, one: &Override) -> Result<(), ConfigError> {
    let mut at = table;
    let mut parts = one.key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            at.insert(part.to_owned(), read_value(&one.value));
            return Ok(());
        }
        let below = at.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        at = below.as_table_mut().ok_or_else(|| ConfigError::Override {
            origin: one.origin.clone(),
            message: format!("`{part}` is a value, not a section"),
        })?;
    }
    Ok(())
}

fn read_value(text: &str) -> Value {
    toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn one_line(cause: &toml::de::Error) -> String {
    cause.message().trim().replace('\n', "; ")
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let directory = std::env::temp_dir();
        let path = directory.join(format!("upnext-config-{}.toml", uuid::Uuid::new_v4()));
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        let error = load(Some(&path), &[]).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains(expected), "{error}");
    }

    fn override_of(key: &str, value: &str) -> Override {
        Override { key: key.to_owned(), value: value.to_owned(), origin: "--flag".to_owned() }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        check_refused("data_dir = \"x\"\n[serve]\ndeadlin_ms = 3\n", ".toml:3:1: unknown field");
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_place() {
        check_refused("[serve]\ndeadline_ms = \"soon\"\n", ".toml:2:15: invalid type");
    }

    #[test]
    fn later_overrides_win() {
        let config = load(
            None,
            &[override_of("serve.deadline_ms", "100"), override_of("serve.deadline_ms", "90")],
        );
        assert_eq!(config.unwrap().serve.deadline_ms, 90);
    }

    #[test]
    fn text_needs_no_quotes_in_an_override() {
        let config = load(None, &[override_of("redis.url", "redis://127.0.0.1:1")]).unwrap();
        assert_eq!(config.redis.url.as_deref(), Some("redis://127.0.0.1:1"));
    }

    #[test]
    fn a_bad_override_names_its_origin() {
        let error = load(None, &[override_of("serve.deadline", "1")]).unwrap_err().to_string();
        assert!(error.starts_with("--flag: unknown field `deadline`"), "{error}");
    }

    #[test]
    fn the_environment_maps_to_dotted_keys() {
        let variables = [("UPNEXT_SERVE__DEADLINE_MS", "5"), ("HOME", "/")];
        let found = from_environment(
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key, "serve.deadline_ms");
    }
}
