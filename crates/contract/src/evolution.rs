//! What a change of the contracts does to those who write and read events, told before it is deployed.
//!
//! A registry asks one question: can the bytes still be read? Here stand the others too: do they still mean the
//! same, does the head stay common, is anything lost without a word, which rules reject what passed. Pure: files in,
//! [`Change`]s out. Which features a change breaks is not known here; a change says which fields it reaches.

mod contracts;
mod change;
mod units;
mod compare;
mod fields;
mod read;
mod rule_changes;
mod standing;

pub use change::{Change, Harm, Kind, Reach};
pub use contracts::{ContractSchema, Contracts, ContractsError, SourceFile};
pub use standing::{Flaw, lint};

use crate::compat::Level;

/// Everything that `new` changes against the older contracts (oldest first; the last is what it replaces), worst
/// first within each schema. `level` decides whose inability to read counts, and how far back.
#[must_use]
pub fn changes(old: &[Contracts], new: &Contracts, level: Level) -> Vec<Change> {
    let Some(last) = old.last() else { return Vec::new() };
    let mut found = Vec::new();
    for (before, after) in last.paired_with(new) {
        let mut of_schema = compare::schemas(before, after);
        if let Some(after) = after {
            read::add_conflicts(&mut of_schema, old, after, level);
        }
        of_schema.sort_by_key(|change| std::cmp::Reverse(change.harm));
        found.append(&mut of_schema);
    }
    found.extend(standing::drift(last, new));
    found.extend(rule_changes::changes(last, new));
    found
}

#[cfg(test)]
mod tests;
