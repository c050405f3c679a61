//! Why a run ends without success: what is said, what to do about it, and with which exit code.

use std::fmt::Write as _;
use std::process::ExitCode;

use thiserror::Error;

use crate::output;
use crate::settings::Misconfigured;

const NO: u8 = 1;
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const CONFIGURATION: u8 = 78;

/// Every way in which a verb can fail; each has one exit code.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// What was asked makes no sense, though its grammar is right.
    #[error("{what}")]
    Usage { what: String, hint: String },
    /// A port, a program or a service that is needed is not there.
    #[error("{what}")]
    Unavailable { what: String, hint: String },
    /// The configuration is wrong where it stands.
    #[error(transparent)]
    Misconfigured(Box<Misconfigured>),
    /// The configuration is well formed and refused all the same.
    #[error("{what}")]
    Refused { what: String, hint: String },
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: hint.into() }
    }

    pub(crate) fn unavailable(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unavailable { what: what.into(), hint: hint.into() }
    }

    pub(crate) fn refused(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), hint: hint.into() }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage { .. } => USAGE,
            Self::Unavailable { .. } => UNAVAILABLE,
            Self::Misconfigured(_) | Self::Refused { .. } => CONFIGURATION,
            Self::Other(_) => NO,
        }
    }

    /// Says it on standard error and gives the exit code.
    pub(crate) fn show(&self) -> ExitCode {
        output::note(self.render());
        ExitCode::from(self.code())
    }

    /// One line that says what is wrong, then what to do.
    fn render(&self) -> String {
        if let Self::Misconfigured(wrong) = self {
            return format!("error: {}", wrong.drawn());
        }
        let mut text = format!("error: {self}");
        match self {
            Self::Usage { hint, .. }
            | Self::Unavailable { hint, .. }
            | Self::Refused { hint, .. } => {
                write!(text, "\n  hint: {hint}").ok();
            }
            Self::Misconfigured(_) | Self::Other(_) => {}
        }
        text
    }
}

/// What clap says: help and version are no failure; anything else is wrong usage.
pub(crate) fn show_usage(error: &clap::Error) -> ExitCode {
    error.print().ok();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_exit_code_and_hint() {
        let table = [
            (Failure::usage("a", "do b"), 64, "error: a\n  hint: do b"),
            (
                Failure::unavailable("port taken", "free it"),
                69,
                "error: port taken\n  hint: free it",
            ),
            (
                Failure::refused("not loopback", "--insecure"),
                78,
                "error: not loopback\n  hint: --insecure",
            ),
            (
                Failure::Other(anyhow::anyhow!("disk").context("cannot write")),
                1,
                "error: cannot write: disk",
            ),
        ];
        for (failure, code, text) in table {
            assert_eq!((failure.code(), failure.render().as_str()), (code, text));
        }
    }
}
