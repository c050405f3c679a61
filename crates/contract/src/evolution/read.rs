//! What cannot be read, by Avro's resolution at a level, told with the change that causes it.

use super::change::{Change, Harm, Kind, Reach};
use super::compare::Noted;
use super::contracts::{ContractSchema, Contracts};
use crate::compat::{self, Direction, Incompatibility, Level};

/// Raises every change that makes something unreadable, and adds what no change explains.
pub(super) fn add_conflicts(
    changes: &mut Vec<Change>,
    old: &[Contracts],
    schema: &ContractSchema,
    level: Level,
) {
    let former: Vec<compat::Types> =
        old.iter().filter_map(|contracts| Some(contracts.former(schema)?.types.clone())).collect();
    for conflict in compat::check(&schema.types, &former, level).err().unwrap_or_default() {
        let reach = match conflict.direction {
            Direction::Backward => Reach::Field,
            Direction::Forward => Reach::Event,
        };
        let why = said(&conflict, former.len());
        let path = &conflict.conflict.path;
        match changes.iter_mut().find(|change| explains(change, path)) {
            Some(change) => change.worsen(Harm::Breaking, reach, &why),
            None => {
                let what = conflict.conflict.kind.name().to_owned();
                let (kind, harm) = (Kind::Unreadable, Harm::Breaking);
                changes.push(Noted { kind, place: path, what, harm, reach, why }.of(schema));
            }
        }
    }
}

/// Whether the change stands at the place, or at one that holds it.
fn explains(change: &Change, path: &str) -> bool {
    let holds = |place: &str| {
        path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_silent = match change.kind {
        Kind::DocMissing | Kind::DocChanged | Kind::UnitChanged | Kind::LogicalTypeChanged => true,
        Kind::SchemaAdded
        | Kind::SchemaRemoved
        | Kind::NamespaceChanged
        | Kind::NameChanged
        | Kind::FieldAdded
        | Kind::FieldRemoved
        | Kind::FieldRenamed
        | Kind::TypeChanged
        | Kind::TypePromoted
        | Kind::NullabilityChanged
        | Kind::ScaleChanged
        | Kind::EnumSymbolAdded
        | Kind::EnumSymbolRemoved
        | Kind::EnumDefaultChanged
        | Kind::DefaultAdded
        | Kind::DefaultRemoved
        | Kind::DefaultChanged
        | Kind::AliasChanged
        | Kind::HeadDrift
        | Kind::Unreadable
        | Kind::RuleAdded
        | Kind::RuleRemoved
        | Kind::RuleTightened
        | Kind::RuleLoosened => false,
    };
    if change.kind == Kind::NameChanged && change.place.is_empty() {
        return path.is_empty();
    }
    let places = [Some(change.place.as_str()), change.was.as_deref()];
    !is_silent && places.into_iter().flatten().any(|place| !place.is_empty() && holds(place))
}

fn said(conflict: &Incompatibility, versions: usize) -> String {
    let which = if versions > 1 {
        format!(" (version {} of the {versions} compared)", conflict.old + 1)
    } else {
        String::new()
    };
    match conflict.direction {
        Direction::Backward => format!("events written before{which} cannot be read with it"),
        Direction::Forward => {
            format!(
                "whoever reads with the old schema{which}, ingest too, cannot read new events: dead letters"
            )
        }
    }
}
