//! The configuration of a run: flag > environment > file > default, and what is said when it is wrong.

mod hint;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};
use thiserror::Error;
use upnext_common::config::{self, Config, ConfigError, Log, Override};

use crate::failure::Failure;

/// Read from the working directory unless `--config` names another file.
const FILE: &str = "upnext.toml";
/// What verbs for people log.
const QUIET: &str = "warn,upnext_broker=error,upnext_registry=error";

/// Options that every verb takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Configuration file [default: upnext.toml in the working directory, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, for example --set serve.deadline_ms=100; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where the embedded parts, Redis and the artifacts keep their files
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Allow listeners that are not loopback although there are no API keys yet
    #[arg(long, global = true)]
    insecure: bool,
}

impl Settings {
    /// The configuration in force.
    ///
    /// # Errors
    /// [`Failure::Misconfigured`] or [`Failure::Refused`] (exit 78), [`Failure::Usage`] for a `--set` without `=`.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let config = config::load(self.file().as_deref(), &self.overrides()?)
            .map_err(|error| Failure::Misconfigured(Box::new(Misconfigured::from(error))))?;
        self.refuse_open_listeners(&config)?;
        Ok(config)
    }

    /// The file that is read, if any.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| Path::new(FILE).exists().then(|| PathBuf::from(FILE)))
    }

    pub(crate) fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Keeps a person's terminal free of what only operators read, unless `log.filter` was set to something.
    pub(crate) fn quieten(config: &mut Config) {
        if config.log == Log::default() {
            config.log.filter = QUIET.to_owned();
        }
    }

    fn overrides(&self) -> Result<Vec<Override>, Failure> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut found = config::from_environment(variables);
        for pair in &self.set {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                Failure::usage(format!("--set {pair}: no `=`"), "write --set serve.deadline_ms=100")
            })?;
            let origin = format!("--set {key}");
            found.push(Override { key: key.to_owned(), value: value.to_owned(), origin });
        }
        if let Some(directory) = &self.data_dir {
            let value = toml::Value::from(directory.display().to_string()).to_string();
            let origin = "--data-dir".to_owned();
            found.push(Override { key: "data_dir".to_owned(), value, origin });
        }
        Ok(found)
    }

    fn refuse_open_listeners(&self, config: &Config) -> Result<(), Failure> {
        let listeners = [("serve.listen", config.serve.listen), ("ops.listen", config.ops.listen)];
        let is_open = |address: SocketAddr| !address.ip().is_loopback();
        match listeners.into_iter().find(|(_, address)| is_open(*address)) {
            Some((key, address)) if !self.insecure => Err(Failure::refused(
                format!("{key} = \"{address}\" is not loopback, and there are no API keys"),
                "listen on 127.0.0.1 behind a proxy, or pass --insecure to open it all the same",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// A configuration error as it is shown: where it stands, and what was probably meant.
#[derive(Debug, Error)]
#[error("{}", shortened(error))]
pub(crate) struct Misconfigured {
    error: ConfigError,
    hint: String,
    source_code: Option<NamedSource<String>>,
}

impl Diagnostic for Misconfigured {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.hint))
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source_code.as_ref().map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match &self.error {
            ConfigError::InFile { span, .. } => {
                let one = LabeledSpan::new(Some("here".to_owned()), span.start, span.len().max(1));
                Some(Box::new(std::iter::once(one)))
            }
            ConfigError::Unreadable { .. } | ConfigError::Override { .. } => None,
        }
    }
}

/// The first line, without the list of all keys: the hint names the likely one.
fn shortened(error: &ConfigError) -> String {
    let full = error.to_string();
    let first = full.lines().next().unwrap_or_default();
    first.split_once(", expected one of").map_or(first, |(short, _)| short).to_owned()
}

impl From<ConfigError> for Misconfigured {
    fn from(error: ConfigError) -> Self {
        let hint = hint::of(&error);
        let source_code = match &error {
            ConfigError::InFile { path, source_text, .. } => {
                Some(NamedSource::new(path, source_text.clone()))
            }
            ConfigError::Unreadable { .. } | ConfigError::Override { .. } => None,
        };
        Self { error, hint, source_code }
    }
}

impl Misconfigured {
    /// What is wrong in one line, then the lines of the file around the place, then the hint.
    pub(crate) fn drawn(&self) -> String {
        let mut drawing = String::new();
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
        let in_file = self.source_code.is_some();
        if in_file && handler.render_report(&mut drawing, self).is_ok() {
            // The drawing repeats the message above its frame: keep the frame.
            let frame = drawing.find('╭').and_then(|at| drawing[..at].rfind('\n')).unwrap_or(0);
            return format!("{self}{}", drawing[frame..].trim_end());
        }
        format!("{self}\n  hint: {}", self.hint)
    }
}

#[cfg(test)]
mod tests;
