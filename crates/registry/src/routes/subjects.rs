//! Subjects and their versions.

use serde_json::{Value, json};
use upnext_contract::compat;

use super::{Answer, Ask, compatibility, described, pick};
use crate::ask;
use crate::refusal::Refusal;
use crate::schemas::{Change, Mode, Scope, Unusable, Version};

pub(super) fn list(ask: &Ask<'_>) -> Value {
    let prefix = ask.switches.value("subjectPrefix").unwrap_or_default();
    let subjects = ask.schemas().subjects(ask.switches.scope());
    subjects.filter(|subject| subject.starts_with(prefix)).collect()
}

/// The version of a subject that holds the schema in the body.
pub(super) fn look_up(ask: &Ask<'_>, subject: &str) -> Answer {
    let written = ask::written(ask.body)?;
    ask.schemas().parse(&written).map_err(unusable)?;
    if ask.schemas().versions(subject, ask.switches.scope()).is_empty() {
        return Err(Refusal::subject_not_found(subject));
    }
    match ask.schemas().find(subject, &written, ask.switches.scope()) {
        Some(version) => described(ask.schemas(), subject, version),
        None => Err(Refusal::new(40_403, "Schema not found")),
    }
}

/// The same schema again gives the same id; a new one must get along with what stands there.
pub(super) fn register(ask: &mut Ask<'_>, subject: String) -> Answer {
    let written = ask::written(ask.body)?;
    let types = ask.schemas().parse(&written).map_err(unusable)?;
    if let Some(version) = ask.schemas().find(&subject, &written, Scope::Live) {
        return Ok(registered(ask, version.id));
    }
    writable(ask, &subject)?;
    let level = ask.schemas().effective_level(&subject);
    let old = compatibility::live(ask.schemas(), &subject);
    compat::check(&types, &old, level).map_err(|found| {
        let details: Vec<String> = found.iter().map(ToString::to_string).collect();
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", \
             details: {details:?}, {{compatibility: '{}'}}",
            level.name()
        );
        Refusal::new(409, message)
    })?;
    let known = ask.schemas().id_of(&written);
    let id = known.unwrap_or_else(|| ask.schemas().next_id());
    let version = ask.schemas().next_version(&subject);
    let schema = if known.is_some() { None } else { Some(written) };
    commit(ask, Change::Register { subject, version, id, schema })?;
    Ok(registered(ask, id))
}

/// Clients that name schemas in a header take the GUID from here.
fn registered(ask: &Ask<'_>, id: u32) -> Value {
    match ask.schemas().guid(id) {
        Some(guid) => json!({ "id": id, "guid": guid.to_string() }),
        None => json!({ "id": id }),
    }
}

pub(super) fn versions(ask: &Ask<'_>, subject: &str) -> Answer {
    let versions = ask.schemas().versions(subject, ask.switches.scope());
    if versions.is_empty() {
        return Err(Refusal::subject_not_found(subject));
    }
    Ok(versions.iter().map(|version| version.version).collect())
}

pub(super) fn version(ask: &Ask<'_>, subject: &str, named: &str) -> Answer {
    let version = pick(ask.schemas(), subject, named, ask.switches.scope())?;
    described(ask.schemas(), subject, version)
}

pub(super) fn version_schema(ask: &Ask<'_>, subject: &str, named: &str) -> Answer {
    let version = pick(ask.schemas(), subject, named, ask.switches.scope())?;
    super::ids::parsed(ask.schemas(), version.id)
}

pub(super) fn referenced_by(ask: &Ask<'_>, subject: &str, named: &str) -> Answer {
    let version = pick(ask.schemas(), subject, named, Scope::All)?;
    Ok(json!(ask.schemas().referring_to(subject, version.version)))
}

/// All versions: softly, or for good what was softly deleted before.
pub(super) fn delete(ask: &mut Ask<'_>, subject: &str) -> Answer {
    let all = ask.schemas().versions(subject, Scope::All);
    if all.is_empty() {
        return Err(Refusal::subject_not_found(subject));
    }
    writable(ask, subject)?;
    let (live, deleted): (Vec<Version>, Vec<Version>) =
        all.into_iter().partition(|version| !version.is_deleted);
    let is_permanent = ask.switches.is_on("permanent");
    let chosen = match (is_permanent, live.is_empty()) {
        (true, true) => deleted,
        (true, false) => {
            let message = format!(
                "Subject '{subject}' was not deleted first before being permanently deleted"
            );
            return Err(Refusal::new(40_405, message));
        }
        (false, false) => live,
        (false, true) => {
            let message = format!(
                "Subject '{subject}' was soft deleted. Set permanent=true to delete permanently"
            );
            return Err(Refusal::new(40_404, message));
        }
    };
    for version in &chosen {
        unreferenced(ask, subject, version.version)?;
    }
    for version in &chosen {
        remove(ask, subject, version.version, is_permanent)?;
    }
    Ok(chosen.iter().map(|version| version.version).collect())
}

pub(super) fn delete_version(ask: &mut Ask<'_>, subject: &str, named: &str) -> Answer {
    let is_permanent = ask.switches.is_on("permanent");
    let scope = if named == "latest" || named == "-1" { Scope::Live } else { Scope::All };
    let version = pick(ask.schemas(), subject, named, scope)?;
    writable(ask, subject)?;
    let number = version.version;
    match (is_permanent, version.is_deleted) {
        (true, false) => {
            let message = format!(
                "Subject '{subject}' Version {number} was not deleted first before being permanently deleted"
            );
            return Err(Refusal::new(40_407, message));
        }
        (false, true) => {
            let message = format!(
                "Subject '{subject}' Version {number} was soft deleted. Set permanent=true to delete permanently"
            );
            return Err(Refusal::new(40_406, message));
        }
        (true, true) | (false, false) => {}
    }
    unreferenced(ask, subject, number)?;
    remove(ask, subject, number, is_permanent)?;
    Ok(json!(number))
}

fn remove(
    ask: &mut Ask<'_>,
    subject: &str,
    version: u32,
    is_permanent: bool,
) -> Result<(), Refusal> {
    let subject = subject.to_owned();
    commit(
        ask,
        if is_permanent {
            Change::HardDelete { subject, version }
        } else {
            Change::SoftDelete { subject, version }
        },
    )
}

fn unreferenced(ask: &Ask<'_>, subject: &str, version: u32) -> Result<(), Refusal> {
    if ask.schemas().referring_to(subject, version).is_empty() {
        return Ok(());
    }
    let message = format!(
        "One or more references exist to the schema {{subject={subject},version={version}}}"
    );
    Err(Refusal::new(42_206, message))
}

fn writable(ask: &Ask<'_>, subject: &str) -> Result<(), Refusal> {
    match ask.schemas().effective_mode(subject) {
        Mode::ReadWrite => Ok(()),
        Mode::ReadOnly => {
            Err(Refusal::new(42_205, format!("Subject {subject} is in read-only mode")))
        }
    }
}

pub(super) fn commit(ask: &mut Ask<'_>, change: Change) -> Result<(), Refusal> {
    ask.ledger.commit(change).map_err(Refusal::store)
}

pub(super) fn unusable(error: Unusable) -> Refusal {
    match error {
        Unusable::Invalid(detail) => Refusal::invalid_schema(detail),
        Unusable::MissingReference(reference) => Refusal::invalid_schema(format!(
            "no version {} of subject {} for the reference {}",
            reference.version, reference.subject, reference.name
        )),
    }
}
