//! When to stop: Ctrl-C, SIGTERM, or the time that `--for` gave.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use upnext_common::drain::Drain;

use crate::failure::Failure;

/// How long a run lasts: `90`, `60s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let seconds = match &text[digits.len()..] {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            unit => return Err(format!("unknown unit `{unit}`: write 60s, 5m or 1h")),
        };
        let count: u64 = digits.parse().map_err(|_| "write 60s, 5m or 1h".to_owned())?;
        Ok(Self(Duration::from_secs(count.saturating_mul(seconds))))
    }
}

/// Starts `drain` at the first Ctrl-C or SIGTERM.
///
/// # Errors
/// When the process cannot listen for signals.
pub(crate) fn listen(drain: &Drain) -> Result<(), Failure> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let drain = drain.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        drain.start();
    });
    Ok(())
}

/// Resolves once `span` has passed; never without one.
pub(crate) async fn after(span: Option<Span>) {
    match span {
        Some(Span(limit)) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit() {
        for (text, seconds) in [("90", 90), ("60s", 60), ("5m", 300), ("1h", 3_600)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        for wrong in ["", "s", "5d", "-1s", "1.5s"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_span_passes_and_none_never_does() {
        tokio::select! {
            () = after(None) => panic!("it never passes"),
            () = after(Some(Span(Duration::from_secs(60)))) => {}
        }
    }

    #[tokio::test]
    async fn a_signal_starts_the_drain() {
        let drain = Drain::new();
        listen(&drain).unwrap();
        let pid = std::process::id();
        let mut kill = tokio::process::Command::new("sh");
        assert!(kill.args(["-c", &format!("kill -TERM {pid}")]).status().await.unwrap().success());
        drain.started().await;
    }
}
