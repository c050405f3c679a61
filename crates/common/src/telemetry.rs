//! Logs: one subscriber for the process, text for people or JSON for machines, always on standard error.

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    #[error("log.filter `{filter}` is not understood: {cause}")]
    Filter { filter: String, cause: tracing_subscriber::filter::ParseError },
    #[error("logging was set up already")]
    Twice,
}

/// Installs the process-wide subscriber.
///
/// # Errors
/// When the filter does not parse or a subscriber stands already.
pub fn install(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&log.filter)
        .map_err(|cause| TelemetryError::Filter { filter: log.filter.clone(), cause })?;
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let done = match log.format {
        LogFormat::Text => base.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => base.json().flatten_event(true).try_init(),
    };
    done.map_err(|_| TelemetryError::Twice)
}
