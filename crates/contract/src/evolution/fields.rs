//! The fields of a record against what they were: added, removed, renamed, and what they say of themselves.

use serde_json::Value;

use super::change::{Harm, Kind, Reach};
use super::compare::{Noted, Walk};
use super::units;
use crate::compat::tree::Field;

pub(super) fn records<'a>(walk: &mut Walk<'a>, old: &'a [Field], new: &'a [Field], place: &str) {
    let mut gone: Vec<(usize, &Field)> = Vec::new();
    for (at, before) in old.iter().enumerate() {
        match new.iter().find(|after| after.name == before.name) {
            Some(after) => same(walk, before, after, &format!("{place}/{}", after.name)),
            None => gone.push((at, before)),
        }
    }
    let fresh = new.iter().enumerate();
    let fresh = fresh.filter(|(_, after)| !old.iter().any(|before| before.name == after.name));
    for (at, after) in fresh {
        let by_alias = |(_, before): &(usize, &Field)| after.aliases.contains(&before.name);
        let by_look = |(was_at, before): &(usize, &Field)| {
            before.kind == after.kind && (*was_at == at || before.doc == after.doc)
        };
        let former = gone.iter().position(by_alias).or_else(|| gone.iter().position(by_look));
        match former {
            Some(index) => {
                let (_, before) = gone.remove(index);
                renamed(walk, before, after, place);
            }
            None => added(walk, after, place),
        }
    }
    for (_, before) in gone {
        removed(walk, before, place);
    }
}

fn added(walk: &mut Walk<'_>, field: &Field, place: &str) {
    let place = format!("{place}/{}", field.name);
    let (harm, why) = match &field.default {
        Some(default) => (Harm::Harmless, format!("older events read as {default}")),
        None => (Harm::Risky, "older events lack it, and it has no default".to_owned()),
    };
    let reach = Reach::Nothing;
    let what = String::new();
    walk.note(Noted { kind: Kind::FieldAdded, place: &place, what, harm, reach, why });
    if field.doc.as_deref().is_none_or(str::is_empty) {
        undocumented(walk, &place, "nobody can know what the new field means, or in which unit");
    }
}

fn removed(walk: &mut Walk<'_>, field: &Field, place: &str) {
    let place = format!("{place}/{}", field.name);
    let why = match &field.default {
        Some(default) => format!("whoever reads it sees {default} from now on, without a word"),
        None => "its values are lost".to_owned(),
    };
    walk.risky(Kind::FieldRemoved, &place, String::new(), &why);
}

fn renamed<'a>(walk: &mut Walk<'a>, before: &'a Field, after: &'a Field, parent: &str) {
    let (was, place) = (format!("{parent}/{}", before.name), format!("{parent}/{}", after.name));
    let what = format!("{} → {}", before.name, after.name);
    let is_aliased = after.aliases.contains(&before.name);
    let why = if is_aliased {
        "the alias serves readers of the new schema; those of the old one look for the old name and do not find it"
    } else {
        "readers look for the field by its old name and do not find it; without an alias the new schema \
         does not find older values either"
    };
    let harm = if is_aliased { Harm::Risky } else { Harm::Breaking };
    let reach = Reach::Field;
    let kind = Kind::FieldRenamed;
    let noted = Noted { kind, place: &place, what, harm, reach, why: why.to_owned() };
    walk.note(noted).was = Some(was);
    let (old, new) = (units::of_name(&before.name), units::of_name(&after.name));
    let is_in_another_unit = old.is_some() && new.is_some() && old != new;
    if let (Some(old), Some(new), true) = (old, new, is_in_another_unit) {
        let what = format!("{} → {}", old.name, new.name);
        let why = "the name states another unit: values are read wrong by its factor";
        walk.breaking(Kind::UnitChanged, &place, what, why);
    }
    values(walk, before, after, &place);
    // Said by the name already.
    if !is_in_another_unit {
        docs(walk, before.doc.as_deref(), after.doc.as_deref(), &place);
    }
}

/// What a field says of itself, beside its name.
fn same<'a>(walk: &mut Walk<'a>, before: &'a Field, after: &'a Field, place: &str) {
    values(walk, before, after, place);
    docs(walk, before.doc.as_deref(), after.doc.as_deref(), place);
}

fn values<'a>(walk: &mut Walk<'a>, before: &'a Field, after: &'a Field, place: &str) {
    walk.types(&before.kind, &after.kind, place);
    defaults(walk, before.default.as_ref(), after.default.as_ref(), place);
    let lost: Vec<&str> = before
        .aliases
        .iter()
        .filter(|alias| !after.aliases.contains(alias))
        .map(String::as_str)
        .collect();
    if !lost.is_empty() {
        let what = format!("without {}", lost.join(", "));
        let why = "older events under that name are no longer found";
        walk.risky(Kind::AliasChanged, place, what, why);
    }
}

fn defaults(walk: &mut Walk<'_>, old: Option<&Value>, new: Option<&Value>, place: &str) {
    match (old, new) {
        (Some(old), None) => {
            let why =
                "an event without the field was read with the default, and cannot be read now";
            walk.risky(Kind::DefaultRemoved, place, format!("{old} → none"), why);
        }
        (Some(old), Some(new)) if old != new => {
            let why = "the same older events are read with another value than before";
            walk.risky(Kind::DefaultChanged, place, format!("{old} → {new}"), why);
        }
        (None, Some(new)) => {
            let why = "events without the field can be read now";
            walk.harmless(Kind::DefaultAdded, place, format!("none → {new}"), why);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// A doc that vanished, that names another unit, or that just reads otherwise.
pub(super) fn docs(walk: &mut Walk<'_>, old: Option<&str>, new: Option<&str>, place: &str) {
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    if old == new {
        return;
    }
    if new.is_empty() {
        undocumented(walk, place, "what it means, and in which unit, is no longer said");
        return;
    }
    match units::changed(&units::of_doc(old), &units::of_doc(new)) {
        Some((gone, Some(instead))) => {
            let what = format!("{} → {}", gone.name, instead.name);
            let why = "the doc names another unit, and no schema check reads docs: either the values change \
                       by its factor, or one of the two docs is wrong";
            walk.breaking_value(Kind::UnitChanged, place, what, why);
        }
        Some((gone, None)) => {
            let what = format!("{} → unsaid", gone.name);
            walk.risky(Kind::UnitChanged, place, what, "the doc no longer names the unit");
        }
        None => walk.harmless(Kind::DocChanged, place, String::new(), "only the words are others"),
    }
}

fn undocumented(walk: &mut Walk<'_>, place: &str, why: &str) {
    let (harm, reach) = (Harm::Risky, Reach::Nothing);
    let (kind, what) = (Kind::DocMissing, String::new());
    walk.note(Noted { kind, place, what, harm, reach, why: why.to_owned() });
}
