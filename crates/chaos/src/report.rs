//! What a run says while it goes on, and the table at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use upnext_common::clock::Clock;

use crate::ledger::Ledger;
use crate::outcomes::Flaw;
use crate::plan::Kind;
use crate::verify::Verdict;

/// The log of a run: one line a fault, with its time.
#[derive(Debug)]
pub(crate) struct Told {
    seed: u64,
    start: Instant,
    faults: BTreeMap<Kind, u64>,
    pub(crate) deaths: Vec<(String, u32)>,
}

impl Told {
    pub(crate) fn new(seed: u64) -> Self {
        let start = Clock::system().instant();
        Self { seed, start, faults: BTreeMap::new(), deaths: Vec::new() }
    }

    pub(crate) fn say(&self, what: &str) {
        println!("[{:7.1} s] {what}", self.seconds());
    }

    pub(crate) fn fault(&mut self, kind: Kind, detail: &str, sent: u64) {
        *self.faults.entry(kind).or_default() += 1;
        let number: u64 = self.faults.values().sum();
        self.say(&format!("fault {number}: {}: {detail} ({sent} events sent)", kind.name()));
    }

    pub(crate) fn report(self, ledger: &Ledger, verdict: Verdict) -> Report {
        let seconds = self.seconds();
        let faults = self.faults.into_iter().map(|(kind, count)| (kind.name(), count));
        Report {
            seed: self.seed,
            seconds,
            load_average: load_average(),
            faults: faults.collect(),
            sent: ledger.len(),
            garbage: ledger.dead(),
            ended_by_themselves: self.deaths.into_iter().collect(),
            is_right: verdict.is_right(),
            verdict,
        }
    }

    fn seconds(&self) -> f64 {
        (Clock::system().instant() - self.start).as_secs_f64()
    }
}

/// How busy the machine is, where it says so.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Everything about one run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    seconds: f64,
    /// Of the whole machine when the run was over.
    load_average: String,
    faults: BTreeMap<&'static str, u64>,
    sent: u64,
    garbage: u64,
    ended_by_themselves: BTreeMap<String, u32>,
    pub(crate) is_right: bool,
    pub(crate) verdict: Verdict,
}

impl Report {
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(reports: &[(String, Self)], path: &Path) -> anyhow::Result<()> {
        let by_mode: BTreeMap<_, _> = reports.iter().map(|(mode, told)| (mode, told)).collect();
        std::fs::write(path, serde_json::to_string_pretty(&by_mode)?)?;
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total: u64 = self.faults.values().sum();
        writeln!(out, "{:<36}{:>12}", "faults", total)?;
        for (kind, count) in &self.faults {
            writeln!(out, "  {kind:<34}{count:>12}")?;
        }
        let found = &self.verdict;
        let rows = [
            ("records sent", self.sent),
            ("  of them garbage", self.garbage),
            ("raw records", found.raw),
            ("valid records, each once", found.valid),
            ("dead letters, each once", found.dead),
            ("too late for their windows", found.late),
            ("repeats of records after crashes", found.repeats),
            ("repeats by the producer", found.duplicates),
            ("signals, each once", found.signals),
            ("repeats of signals after crashes", found.signal_repeats),
            ("generation compared", u64::from(found.generation)),
            ("users compared", found.users),
            ("items compared", found.items),
            ("wrong users", found.wrong_users),
            ("wrong items", found.wrong_items),
            ("signals lost", found.lost_signals),
            ("signals nobody said", found.foreign_signals),
            ("repeated signals that differ", found.contradictions),
        ];
        let flaws = Flaw::ALL.iter().map(|flaw| (flaw.name(), found.flaws[flaw.name()]));
        for (what, count) in rows.into_iter().chain(flaws) {
            writeln!(out, "{what:<36}{count:>12}")?;
        }
        for (name, count) in &self.ended_by_themselves {
            writeln!(out, "{:<36}{count:>12}", format!("{name} ended by itself"))?;
        }
        for difference in &found.differences {
            writeln!(out, "  {difference}")?;
        }
        let (seed, seconds, load) = (self.seed, self.seconds, &self.load_average);
        writeln!(out, "seed {seed}, {seconds:.0} s, load average {load}")?;
        let state = if self.is_right { "equals" } else { "DIFFERS FROM" };
        write!(out, "state {state} a single pass over the log")
    }
}
