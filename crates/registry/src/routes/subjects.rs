//! Subjects and their versions.

use serde_json::{Value, json};
use upnext_contract::compat::{self, Types};

use super::{Answer, Ask, compatibility, described, pick};
use crate::ask::{self, Offered};
use crate::refusal::Refusal;
use crate::schemas::{Change, Mode, Scope, Unusable, Version};

/// Schemas kept in all: each costs memory, and time at the start.
const SCHEMAS_MAX: usize = 50_000;

pub(super) fn list(ask: &Ask<'_>) -> Value {
    let prefix = prefix(ask);
    let subjects = ask.schemas().subjects(ask.switches.scope());
    let is_deleted_only = ask.switches.is_on("deletedOnly");
    let is_asked = |subject: &&str| {
        subject.starts_with(prefix)
            && (!is_deleted_only || ask.schemas().versions(subject, Scope::Live).is_empty())
    };
    json!(ask.switches.page(subjects.filter(is_asked)))
}

/// What subjects asked for begin with. There is one context, so that all of them is it.
pub(super) fn prefix<'a>(ask: &'a Ask<'_>) -> &'a str {
    let prefix = ask.switches.value("subjectPrefix").unwrap_or_default();
    prefix.strip_prefix(":*:").unwrap_or(prefix)
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
    ask::check_subject(&subject)?;
    let offered = ask::offered(ask.body)?;
    let types = ask.schemas().parse(&offered.written).map_err(unusable)?;
    if let Some(version) = ask.schemas().find(&subject, &offered.written, Scope::Live)
        && offered.id.is_none_or(|id| id == version.id)
    {
        return Ok(registered(ask, version.id, version.version));
    }
    writable(ask, &subject)?;
    let is_import = ask.schemas().effective_mode(&subject) == Mode::Import;
    if !is_import {
        compatible(ask, &subject, &types)?;
    }
    if ask.schemas().count() >= SCHEMAS_MAX {
        let message = format!("There are {SCHEMAS_MAX} schemas, no more are taken");
        return Err(Refusal::new(50_001, message));
    }
    let known = ask.schemas().id_of(&offered.written);
    let (id, version) = place(ask, &subject, &offered, known, is_import)?;
    let schema = if known.is_some() { None } else { Some(offered.written) };
    commit(ask, Change::Register { subject, version, id, schema })?;
    Ok(registered(ask, id, version))
}

/// Clients that name schemas in a header take the GUID from here.
fn registered(ask: &Ask<'_>, id: u32, version: u32) -> Value {
    let guid = ask.schemas().guid(id).map(|guid| guid.to_string());
    json!({ "id": id, "version": version, "guid": guid })
}

fn compatible(ask: &Ask<'_>, subject: &str, types: &Types) -> Result<(), Refusal> {
    let level = ask.schemas().effective_level(subject);
    let old = compatibility::live(ask.schemas(), subject);
    compat::check(types, &old, level).map_err(|found| {
        let details: Vec<String> = found.iter().map(ToString::to_string).collect();
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", \
             details: {details:?}, {{compatibility: '{}'}}",
            level.name()
        );
        Refusal::new(409, message)
    })
}

/// The id and version a schema is to have: where it is imported those it comes with, else the next.
fn place(
    ask: &Ask<'_>,
    subject: &str,
    offered: &Offered,
    known: Option<u32>,
    is_import: bool,
) -> Result<(u32, u32), Refusal> {
    let not_permitted = |message: String| Err(Refusal::new(42_205, message));
    let next = ask.schemas().next_version(subject);
    if !is_import && offered.id.is_some() {
        return not_permitted(format!("Subject {subject} is not in import mode"));
    }
    let id = offered.id.or(known).unwrap_or_else(|| ask.schemas().next_id());
    let is_taken = known.is_some_and(|known| known != id)
        || (known.is_none() && ask.schemas().written(id).is_some());
    if is_taken {
        return not_permitted(format!("Overwrite new schema with id {id} is not permitted."));
    }
    let version = offered.version.filter(|_| is_import).unwrap_or(next);
    if version < next {
        return not_permitted(format!("Version {version} of {subject} is not after {}", next - 1));
    }
    Ok((id, version))
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
    Ok(json!(ask.schemas().referring_to(subject, version.version, Scope::Live)))
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
        unreferenced(ask, subject, version.version, is_permanent)?;
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
    unreferenced(ask, subject, number, is_permanent)?;
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

/// For good, also soft-deleted schemas must not refer to it: their ids are still resolved.
fn unreferenced(
    ask: &Ask<'_>,
    subject: &str,
    version: u32,
    is_permanent: bool,
) -> Result<(), Refusal> {
    let scope = if is_permanent { Scope::All } else { Scope::Live };
    if ask.schemas().referring_to(subject, version, scope).is_empty() {
        return Ok(());
    }
    let message = format!(
        "One or more references exist to the schema {{subject={subject},version={version}}}"
    );
    Err(Refusal::new(42_206, message))
}

fn writable(ask: &Ask<'_>, subject: &str) -> Result<(), Refusal> {
    match ask.schemas().effective_mode(subject) {
        Mode::ReadWrite | Mode::Import => Ok(()),
        Mode::ReadOnly | Mode::ReadOnlyOverride => {
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
