//! Progress: a bar on a terminal, one line every five seconds elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use upnext_common::clock::Clock;

use crate::output;

const LINE_EVERY: Duration = Duration::from_secs(5);

/// One thing that is under way.
pub(crate) struct Progress {
    name: &'static str,
    bar: Option<ProgressBar>,
    clock: Clock,
    told_at: Instant,
}

impl Progress {
    pub(crate) fn new(name: &'static str, clock: &Clock) -> Self {
        let bar = stderr().is_terminal().then(|| bar(name));
        Self { name, bar, clock: clock.clone(), told_at: clock.instant() }
    }

    /// `done` of `of`, and what else is worth saying.
    pub(crate) fn tell(&mut self, done: u64, of: u64, what: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(what.to_owned());
            }
            None if self.clock.instant() - self.told_at >= LINE_EVERY => {
                self.told_at = self.clock.instant();
                output::note(format!("{}: {done} of {of} {what}", self.name));
            }
            None => {}
        }
    }

    /// Says the outcome in place of the bar.
    pub(crate) fn finish(self, outcome: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_using_style();
        }
        output::note(format!("{}: {outcome}", self.name));
    }
}

fn bar(name: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix:>10} [{bar:30}] {pos}/{len} {msg} ({elapsed})");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_prefix(name)
        .with_finish(ProgressFinish::AndClear);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
