//! Rules against what they were: what passed and is rejected now, and what passes now and was rejected.

use toml::{Table, Value};

use super::change::{Change, Harm, Kind, Reach};
use super::contracts::{Contracts, RuleFile};

/// Nothing where one of the two places holds no rules at all, as a registry does.
pub(super) fn changes(old: &Contracts, new: &Contracts) -> Vec<Change> {
    if !old.has_rules || !new.has_rules {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (file, rule) in each(new) {
        let (old, new) = (find(old, id(rule)), Side { contracts: new, file, rule });
        match old {
            Some(old) => found.extend(new.against(old)),
            None => found.push(new.added()),
        }
    }
    let gone = each(old).filter(|(_, rule)| find(new, id(rule)).is_none());
    found.extend(gone.map(|(file, rule)| Side { contracts: old, file, rule }.removed()));
    found
}

fn each(contracts: &Contracts) -> impl Iterator<Item = (&RuleFile, &Table)> {
    contracts.rules.iter().flat_map(|file| file.rules.iter().map(move |rule| (file, rule)))
}

fn find<'a>(contracts: &'a Contracts, wanted: &str) -> Option<&'a Table> {
    each(contracts).map(|(_, rule)| rule).find(|rule| id(rule) == wanted)
}

fn id(rule: &Table) -> &str {
    text(rule, "id")
}

fn text<'a>(rule: &'a Table, key: &str) -> &'a str {
    rule.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn rejects(rule: &Table) -> bool {
    text(rule, "severity") != "warn"
}

struct Side<'a> {
    contracts: &'a Contracts,
    file: &'a RuleFile,
    rule: &'a Table,
}

impl Side<'_> {
    fn added(&self) -> Change {
        let what = described(self.rule);
        if rejects(self.rule) {
            let why = "events that passed become dead letters";
            self.change(Kind::RuleAdded, what, Harm::Breaking, why)
        } else {
            let why = "it counts, and lets everything pass";
            self.change(Kind::RuleAdded, what, Harm::Harmless, why)
        }
    }

    fn removed(&self) -> Change {
        let (harm, why) = if rejects(self.rule) {
            (Harm::Risky, "values that were rejected now reach features and models")
        } else {
            (Harm::Harmless, "it rejected nothing")
        };
        self.change(Kind::RuleRemoved, described(self.rule), harm, why)
    }

    fn against(&self, old: &Table) -> Vec<Change> {
        let mut found = Vec::new();
        let (was, is) = (rejects(old), rejects(self.rule));
        if was != is {
            let what =
                format!("severity {} → {}", text(old, "severity"), text(self.rule, "severity"));
            found.push(if is {
                let why = "events that were only counted become dead letters";
                self.change(Kind::RuleTightened, what, Harm::Breaking, why)
            } else {
                let why = "values that were rejected now reach features and models";
                self.change(Kind::RuleLoosened, what, Harm::Risky, why)
            });
        }
        let (before, after) = (described(old), described(self.rule));
        if before == after {
            return found;
        }
        let what = format!("{before} → {after}");
        let tightened = |harm, why| self.change(Kind::RuleTightened, what.clone(), harm, why);
        found.push(match (is, moved(old, self.rule)) {
            (false, _) => tightened(Harm::Harmless, "it counts, and lets everything pass"),
            (true, Moved::Wider) => {
                let why = "values that were rejected now reach features and models";
                self.change(Kind::RuleLoosened, what.clone(), Harm::Risky, why)
            }
            (true, Moved::Narrower) => {
                tightened(Harm::Breaking, "events that passed become dead letters")
            }
        });
        found
    }

    fn change(&self, kind: Kind, what: String, harm: Harm, why: &str) -> Change {
        let reach = match (harm, kind) {
            (Harm::Harmless, _) => Reach::Nothing,
            (Harm::Risky | Harm::Breaking, Kind::RuleAdded | Kind::RuleTightened) => Reach::Event,
            (Harm::Risky | Harm::Breaking, _) => Reach::Field,
        };
        Change {
            file: self.file.path.clone(),
            schema: String::new(),
            records: self.records(),
            kind,
            place: format!("/{}", self.field()),
            what: format!("rule {}: {what}", id(self.rule)),
            harm,
            why: why.to_owned(),
            reach,
            was: None,
        }
    }

    /// The field of the record that the rule looks at.
    fn field(&self) -> &str {
        let field = text(self.rule, "field");
        let field = field.strip_prefix("item.").unwrap_or(field);
        field.split('.').next().unwrap_or_default()
    }

    /// The records that have the field: an item's, or those of events.
    fn records(&self) -> Vec<String> {
        let is_of_item = text(self.rule, "field").starts_with("item.");
        let schemas = self.contracts.schemas.iter();
        schemas
            .filter(|schema| schema.is_event() != is_of_item && schema.has_field(self.field()))
            .filter(|schema| schema.is_event() || schema.path.starts_with("items/"))
            .map(|schema| schema.simple_name().to_owned())
            .collect()
    }
}

enum Moved {
    Wider,
    Narrower,
}

/// Wider only if everything that passed still passes.
fn moved(old: &Table, new: &Table) -> Moved {
    let bounds_hold =
        ["range", "length"].into_iter().all(|key| match (old.get(key), new.get(key)) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(old), Some(new)) => {
                number(new, "min") <= number(old, "min") && number(new, "max") >= number(old, "max")
            }
        });
    let words_hold = match (words(old), words(new)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(old), Some(new)) => old.iter().all(|word| new.contains(word)),
    };
    let format_holds = new.get("format").is_none_or(|format| old.get("format") == Some(format));
    let is_same_field = old.get("field") == new.get("field");
    if bounds_hold && words_hold && format_holds && is_same_field {
        Moved::Wider
    } else {
        Moved::Narrower
    }
}

fn number(bounds: &Value, key: &str) -> f64 {
    let open = if key == "min" { f64::NEG_INFINITY } else { f64::INFINITY };
    let bound = bounds.get(key);
    #[expect(clippy::cast_precision_loss, reason = "bounds of rules lie far below 2^53")]
    let whole = |bound: &Value| bound.as_integer().map(|whole| whole as f64);
    bound.and_then(|bound| bound.as_float().or_else(|| whole(bound))).unwrap_or(open)
}

fn words(rule: &Table) -> Option<Vec<&str>> {
    Some(rule.get("one_of")?.as_array()?.iter().filter_map(Value::as_str).collect())
}

/// What the rule demands, on one line.
fn described(rule: &Table) -> String {
    let bounds = |key: &str| {
        let bounds = rule.get(key)?;
        let text = |side| bounds.get(side).map_or_else(|| "open".to_owned(), ToString::to_string);
        Some(format!("{key} {}..{}", text("min"), text("max")))
    };
    let parts = [
        bounds("range"),
        bounds("length"),
        rule.get("format").map(|format| format!("format {format}")),
        words(rule).map(|words| format!("one of {}", words.join(" "))),
    ];
    let mut parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.push(format!("on {}", text(rule, "field")));
    parts.join(" ")
}
