//! Units, as names of fields and their docs state them.

use std::collections::BTreeSet;

/// A unit; units of one dimension are told apart by their factor only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit {
    dimension: &'static str,
    pub(super) name: &'static str,
}

const UNITS: &[(&str, &str, &[&str], &[&str])] = &[
    // dimension, unit, endings of names, words of docs
    ("time", "nanoseconds", &["ns", "nanos"], &["ns", "nanosecond", "nanoseconds", "nanos"]),
    (
        "time",
        "microseconds",
        &["us", "micros"],
        &["us", "µs", "microsecond", "microseconds", "micros"],
    ),
    ("time", "milliseconds", &["ms", "millis"], &["ms", "millisecond", "milliseconds", "millis"]),
    ("time", "seconds", &["s", "sec", "secs", "seconds"], &["sec", "second", "seconds"]),
    ("time", "minutes", &["min", "mins", "minutes"], &["minute", "minutes"]),
    ("time", "hours", &["h", "hours"], &["hour", "hours"]),
    ("time", "days", &["d", "days"], &["day", "days"]),
    ("money", "minor units", &["minor", "cents"], &["minor", "cent", "cents", "pence"]),
    ("money", "major units", &["major", "euros", "dollars"], &["major", "euros", "dollars"]),
    ("share", "percent", &["pct", "percent"], &["percent", "percentage"]),
    ("share", "fraction", &["ratio", "fraction", "share"], &["ratio", "fraction"]),
    ("size", "bytes", &["bytes"], &["byte", "bytes"]),
    ("size", "kilobytes", &["kb", "kib"], &["kb", "kib", "kilobyte", "kilobytes"]),
    ("size", "megabytes", &["mb", "mib"], &["mb", "mib", "megabyte", "megabytes"]),
    ("length", "metres", &["m", "metres", "meters"], &["metre", "metres", "meter", "meters"]),
    ("length", "kilometres", &["km"], &["km", "kilometre", "kilometres", "kilometers"]),
    ("length", "miles", &["miles"], &["mile", "miles"]),
];

/// The unit that a field's name ends in: `dwell_ms` is in milliseconds.
pub(super) fn of_name(name: &str) -> Option<Unit> {
    let (_, ending) = name.rsplit_once('_')?;
    let ending = ending.to_lowercase();
    find(|(_, _, endings, _)| endings.contains(&ending.as_str()))
}

/// The units a doc speaks of. One that follows a number is a bound ("at most 24 hours"), not the field's unit.
pub(super) fn of_doc(doc: &str) -> BTreeSet<Unit> {
    let words: Vec<String> = doc
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let mut found = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let is_bound = at > 0 && words[at - 1].chars().all(|letter| letter.is_ascii_digit());
        if !is_bound {
            found.extend(find(|(_, _, _, words)| words.contains(&word.as_str())));
        }
    }
    found
}

type Row = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

fn find(is_it: impl Fn(&Row) -> bool) -> Option<Unit> {
    let (dimension, name, _, _) = UNITS.iter().find(|row| is_it(row))?;
    Some(Unit { dimension, name })
}

/// The unit of `before` that gave way to another of its dimension, or to silence.
pub(super) fn changed(
    before: &BTreeSet<Unit>,
    after: &BTreeSet<Unit>,
) -> Option<(Unit, Option<Unit>)> {
    let gone = *before.difference(after).next()?;
    let instead = after.difference(before).find(|unit| unit.dimension == gone.dimension);
    Some((gone, instead.copied()))
}

/// The unit of a doc that contradicts the one in the name.
pub(super) fn contradiction(name: &str, doc: &str) -> Option<(Unit, Unit)> {
    let named = of_name(name)?;
    let of_doc = of_doc(doc);
    let other = of_doc.iter().find(|unit| unit.dimension == named.dimension)?;
    if of_doc.contains(&named) { None } else { Some((named, *other)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_docs_say_their_unit_and_bounds_do_not() {
        let name = |text| of_name(text).map(|unit| unit.name);
        assert_eq!(name("dwell_ms"), Some("milliseconds"));
        assert_eq!(name("price_minor"), Some("minor units"));
        assert_eq!(name("item_id"), None);
        let doc = |text| of_doc(text).iter().map(|unit| unit.name).collect::<Vec<_>>();
        assert_eq!(doc("Time spent, milliseconds, at most 24 hours."), ["milliseconds"]);
        assert_eq!(doc("What people read."), [""; 0]);
    }

    #[test]
    fn a_change_of_unit_is_within_its_dimension() {
        let between = |before, after| {
            changed(&of_doc(before), &of_doc(after))
                .map(|(from, to)| (from.name, to.map(|unit| unit.name)))
        };
        assert_eq!(between("in ms", "in seconds"), Some(("milliseconds", Some("seconds"))));
        assert_eq!(between("in ms", "in bytes"), Some(("milliseconds", None)));
        assert_eq!(between("plain", "in ms"), None);
        let found = contradiction("dwell_ms", "Time spent, seconds.");
        assert_eq!(found.map(|(_, said)| said.name), Some("seconds"));
        assert_eq!(contradiction("dwell_ms", "Time spent."), None);
    }
}
