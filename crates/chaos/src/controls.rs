//! The negative controls: the same faults against a daemon that lacks one guard, which the verifier has to notice.

use std::path::Path;
use std::time::Duration;

use crate::crowd::Habits;
use crate::drive::{self, Course};
use crate::lack::Lack;
use crate::plan::{self, Kind, Planned};
use crate::report::Report;
use crate::scene::Settings;

const FAULTS: usize = 14;
const EVENTS: u64 = 40_000;
const USERS: u64 = 1_000;
/// Between two commits a bot tells more than a user remembers, so that ids alone do not recognise a repeat.
const COMMIT_MS: u64 = 6_000;
/// What is committed too early is acknowledged soon after: so it is committed all the time.
const COMMIT_EARLY_MS: u64 = 100;
/// Longer than the session of a group's member that was killed.
const PEACE: Duration = Duration::from_secs(14);
const BOUND: Duration = Duration::from_secs(300);

/// Runs the whole daemon, then each weakened one, through the same faults. Gives what each run found.
///
/// # Errors
/// When a run cannot be made.
pub(crate) async fn run(
    directory: &Path,
    settings: &Settings,
    modes: &[Lack],
    seed: u64,
) -> anyhow::Result<Vec<(Lack, Report)>> {
    let habits =
        Habits { users: USERS, events: EVENTS, repeat_every: 0, bot_every: 2, erase_every: 0 };
    let course = Course { seed, plan: plan(seed), habits, bound: BOUND };
    let mut reports = Vec::new();
    for mode in modes {
        println!("== {}", mode.name());
        let commit_ms = commit_ms(*mode);
        let settings = Settings { weakened: Some(*mode), commit_ms, ..settings.clone() };
        let report = drive::run(&directory.join(mode.name()), &settings, &course).await?;
        println!("{report}\n");
        reports.push((*mode, report));
    }
    Ok(reports)
}

fn commit_ms(mode: Lack) -> u64 {
    match mode {
        Lack::Nothing | Lack::Features(_) => COMMIT_MS,
        Lack::Ingest(_) => COMMIT_EARLY_MS,
    }
}

/// After workers were killed comes peace until their partitions move on: a loss of state before that would be replayed
/// from where all is still well, and hide that signals were lost.
fn plan(seed: u64) -> Vec<Planned> {
    let mut plan = plan::plan(&Kind::OF_CONTROLS, FAULTS, seed);
    for at in 1..plan.len() {
        if plan[at - 1].kind == Kind::FeaturesKillBrokerMute {
            plan[at].after += PEACE;
        }
    }
    plan
}

/// Whether the whole daemon was right and each weakened one was found wrong.
pub(crate) fn hold(reports: &[(Lack, Report)]) -> bool {
    reports.iter().all(|(mode, report)| report.is_right == (*mode == Lack::Nothing))
}

/// One line a mode.
pub(crate) fn table(reports: &[(Lack, Report)]) -> String {
    let mut lines = vec![format!(
        "{:<24}{:>12}{:>12}{:>14}{:>15}{:>10}",
        "guard taken out", "wrong users", "wrong items", "signals lost", "wrong records", "found"
    )];
    for (mode, report) in reports {
        let found = &report.verdict;
        let state = if report.is_right { "right" } else { "wrong" };
        lines.push(format!(
            "{:<24}{:>12}{:>12}{:>14}{:>15}{:>10}",
            mode.name(),
            format!("{}/{}", found.wrong_users, found.users),
            format!("{}/{}", found.wrong_items, found.items),
            found.lost_signals,
            found.flaws.values().sum::<u64>(),
            state
        ));
    }
    lines.join("\n")
}
