//! Levels of compatibility and modes, of a subject or of all.

use serde_json::json;
use upnext_contract::compat::Level;

use super::subjects::commit;
use super::{Answer, Ask};
use crate::ask;
use crate::refusal::Refusal;
use crate::schemas::{Change, Mode, Scope};

pub(super) fn level(ask: &Ask<'_>, subject: Option<&str>) -> Answer {
    let own = ask.schemas().level(subject);
    let level = match (own, subject) {
        (Some(level), _) => level,
        (None, None) => Level::Backward,
        (None, Some(subject)) if ask.switches.is_on("defaultToGlobal") => {
            ask.schemas().effective_level(subject)
        }
        (None, Some(subject)) => return Err(no_level(subject)),
    };
    Ok(json!({ "compatibilityLevel": level.name() }))
}

pub(super) fn set_level(ask: &mut Ask<'_>, subject: Option<String>) -> Answer {
    subject.as_deref().map_or(Ok(()), ask::check_subject)?;
    ask::check_only(ask.body, "compatibility")?;
    let word = ask::word(ask.body, "compatibility")?;
    let Some(level) = Level::from_name(&word) else {
        let words = Level::ALL.map(Level::name).join(", ");
        let message = format!("Invalid compatibility level. Valid values are {words}");
        return Err(Refusal::new(42_203, message));
    };
    commit(ask, Change::SetLevel { subject, level: Some(level.name().to_owned()) })?;
    Ok(json!({ "compatibility": level.name() }))
}

/// Answers with the level that was taken back.
pub(super) fn clear_level(ask: &mut Ask<'_>, subject: Option<String>) -> Answer {
    let old = match (ask.schemas().level(subject.as_deref()), &subject) {
        (Some(level), _) => level,
        (None, None) => Level::Backward,
        (None, Some(subject)) => return Err(no_level(subject)),
    };
    commit(ask, Change::SetLevel { subject, level: None })?;
    Ok(json!({ "compatibilityLevel": old.name() }))
}

pub(super) fn mode(ask: &Ask<'_>, subject: Option<&str>) -> Answer {
    let own = ask.schemas().mode(subject);
    let mode = match (own, subject) {
        (Some(mode), _) => mode,
        (None, None) => Mode::ReadWrite,
        (None, Some(subject)) if ask.switches.is_on("defaultToGlobal") => {
            ask.schemas().effective_mode(subject)
        }
        (None, Some(subject)) => return Err(no_mode(subject)),
    };
    Ok(json!({ "mode": mode.name() }))
}

pub(super) fn set_mode(ask: &mut Ask<'_>, subject: Option<String>) -> Answer {
    subject.as_deref().map_or(Ok(()), ask::check_subject)?;
    let word = ask::word(ask.body, "mode")?;
    let Some(mode) = Mode::from_name(&word) else {
        let words = Mode::ALL.map(Mode::name).join(", ");
        return Err(Refusal::new(42_204, format!("Invalid mode. Valid values are {words}")));
    };
    if mode == Mode::Import && !ask.switches.is_on("force") {
        importable(ask, subject.as_deref())?;
    }
    commit(ask, Change::SetMode { subject, mode: Some(mode) })?;
    Ok(json!({ "mode": mode.name() }))
}

/// Ids that come from elsewhere could be taken already: importing begins with nothing, or with `force=true`.
fn importable(ask: &Ask<'_>, subject: Option<&str>) -> Result<(), Refusal> {
    let is_empty = match subject {
        Some(subject) => ask.schemas().versions(subject, Scope::Live).is_empty(),
        None => ask.schemas().subjects(Scope::Live).next().is_none(),
    };
    let message = "Cannot import since found existing subjects; force=true imports all the same";
    if is_empty { Ok(()) } else { Err(Refusal::new(42_205, message)) }
}

/// Answers with the mode that was taken back.
pub(super) fn clear_mode(ask: &mut Ask<'_>, subject: Option<String>) -> Answer {
    let old = match (ask.schemas().mode(subject.as_deref()), &subject) {
        (Some(mode), _) => mode,
        (None, None) => Mode::ReadWrite,
        (None, Some(subject)) => return Err(no_mode(subject)),
    };
    commit(ask, Change::SetMode { subject, mode: None })?;
    Ok(json!({ "mode": old.name() }))
}

fn no_level(subject: &str) -> Refusal {
    let message =
        format!("Subject '{subject}' does not have subject-level compatibility configured");
    Refusal::new(40_408, message)
}

fn no_mode(subject: &str) -> Refusal {
    Refusal::new(40_409, format!("Subject '{subject}' does not have subject-level mode configured"))
}
