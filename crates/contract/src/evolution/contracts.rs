//! The contracts of one moment: every schema and rule file of a directory, a commit or a registry.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::compat::Types;
use crate::compat::tree::Body;
use crate::lint::full_name;

/// A file by its path within the directory of schemas, with `/` between its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

/// A file that cannot be taken for what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {detail}")]
pub struct ContractsError {
    pub path: String,
    pub detail: String,
}

/// One schema with its names resolved.
#[derive(Clone, Debug)]
pub struct ContractSchema {
    pub path: String,
    pub text: String,
    /// Full name of its record.
    pub full_name: String,
    /// Paths of the schemas it refers to, each before its users.
    pub references: Vec<String>,
    pub(crate) types: Types,
}

impl ContractSchema {
    /// The last part of its name.
    #[must_use]
    pub fn simple_name(&self) -> &str {
        self.full_name.rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn has_field(&self, name: &str) -> bool {
        let named = self.types.named.get(&self.full_name);
        let Some(Body::Record(fields)) = named.map(|named| &named.body) else { return false };
        fields.iter().any(|field| field.name == name)
    }

    /// Whether it stands among the events, which share one head.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.path.starts_with("events/")
    }
}

/// Whether a newer schema is what became of an older one.
type Alike = fn(&ContractSchema, &ContractSchema) -> bool;

/// Schemas in an order in which each is defined before it is used, and rules by file.
#[derive(Clone, Debug, Default)]
pub struct Contracts {
    pub schemas: Vec<ContractSchema>,
    pub(crate) rules: Vec<RuleFile>,
    /// Whether the place they come from holds rules at all; a registry does not.
    pub has_rules: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct RuleFile {
    pub(crate) path: String,
    pub(crate) rules: Vec<toml::Table>,
}

impl Contracts {
    /// `*.avsc` are schemas, `rules/*.toml` are rules, anything else is left alone.
    ///
    /// # Errors
    /// The first file that is not what its name says.
    pub fn read(files: &[SourceFile]) -> Result<Self, ContractsError> {
        let is_rules =
            |file: &&SourceFile| file.path.starts_with("rules/") && file.path.ends_with(".toml");
        let rules: Vec<RuleFile> =
            files.iter().filter(is_rules).map(rule_file).collect::<Result<_, _>>()?;
        let schemas = files.iter().filter(|file| file.path.ends_with(".avsc"));
        let drafts: Vec<Draft<'_>> = schemas.map(Draft::of).collect::<Result<_, _>>()?;
        let has_rules = !rules.is_empty();
        Ok(Self { schemas: resolved(drafts)?, rules, has_rules })
    }

    /// Each schema with what it became: by its full name, else by its file, else by the last part of its name.
    pub(crate) fn paired_with<'a>(
        &'a self,
        new: &'a Self,
    ) -> Vec<(Option<&'a ContractSchema>, Option<&'a ContractSchema>)> {
        let mut old: Vec<&ContractSchema> = self.schemas.iter().collect();
        let mut fresh: Vec<&ContractSchema> = new.schemas.iter().collect();
        let mut pairs = Vec::new();
        let ways: [Alike; 3] = [
            |old, new| old.full_name == new.full_name,
            |old, new| old.path == new.path,
            |old, new| old.simple_name() == new.simple_name(),
        ];
        for is_alike in ways {
            fresh.retain(|after| {
                let Some(at) = old.iter().position(|before| is_alike(before, after)) else {
                    return true;
                };
                pairs.push((Some(old.remove(at)), Some(*after)));
                false
            });
        }
        pairs.extend(old.into_iter().map(|before| (Some(before), None)));
        pairs.extend(fresh.into_iter().map(|after| (None, Some(after))));
        pairs.sort_by_key(|(before, after)| after.or(*before).map(|schema| schema.path.clone()));
        pairs
    }

    /// What one schema of a newer state was here.
    pub(crate) fn former(&self, schema: &ContractSchema) -> Option<&ContractSchema> {
        let one = Self { schemas: vec![schema.clone()], ..Self::default() };
        let pairs = self.paired_with(&one);
        let path = pairs.iter().find_map(|(before, after)| {
            Some((*before)?.path.clone()).filter(|_| after.is_some())
        })?;
        self.schemas.iter().find(|known| known.path == path)
    }
}

fn rule_file(file: &SourceFile) -> Result<RuleFile, ContractsError> {
    let fail = |detail: String| ContractsError { path: file.path.clone(), detail };
    let table: toml::Table =
        toml::from_str(&file.text).map_err(|error| fail(error.message().to_owned()))?;
    let rules = table.get("rule").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    let rule = |rule: &toml::Value| {
        let rule = rule.as_table().filter(|rule| rule.get("id").is_some_and(toml::Value::is_str));
        rule.cloned().ok_or_else(|| fail("a rule has no id".to_owned()))
    };
    let rules = rules.iter().map(rule).collect::<Result<_, _>>()?;
    Ok(RuleFile { path: file.path.clone(), rules })
}

/// A schema before its references are known.
struct Draft<'a> {
    file: &'a SourceFile,
    json: Value,
    full_name: String,
}

impl<'a> Draft<'a> {
    fn of(file: &'a SourceFile) -> Result<Self, ContractsError> {
        let fail = |detail: String| ContractsError { path: file.path.clone(), detail };
        let json: Value =
            serde_json::from_str(&file.text).map_err(|error| fail(error.to_string()))?;
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("name").is_empty() {
            return Err(fail("it is not a named type".to_owned()));
        }
        let full_name = full_name(text("name"), text("namespace"));
        Ok(Self { file, json, full_name })
    }
}

/// Takes the drafts as soon as everything they refer to is taken.
fn resolved(mut drafts: Vec<Draft<'_>>) -> Result<Vec<ContractSchema>, ContractsError> {
    let mut taken: Vec<ContractSchema> = Vec::new();
    let names: BTreeSet<String> = drafts.iter().map(|draft| draft.full_name.clone()).collect();
    while !drafts.is_empty() {
        let before = drafts.len();
        let mut failed = None;
        let mut left = Vec::new();
        for draft in drafts {
            match take(&draft, &names, &taken) {
                Ok(schema) => taken.push(schema),
                Err(error) => {
                    failed = failed.or(Some(error));
                    left.push(draft);
                }
            }
        }
        match failed {
            Some(error) if left.len() == before => return Err(error),
            Some(_) | None => drafts = left,
        }
    }
    Ok(taken)
}

fn take(
    draft: &Draft<'_>,
    names: &BTreeSet<String>,
    taken: &[ContractSchema],
) -> Result<ContractSchema, ContractsError> {
    let mut used = BTreeSet::new();
    used_names(&draft.json, "", names, &mut used);
    used.remove(&draft.full_name);
    let mut references: Vec<&ContractSchema> = Vec::new();
    for schema in taken.iter().filter(|schema| used.contains(&schema.full_name)) {
        let deeper = taken.iter().filter(|other| schema.references.contains(&other.path));
        for one in deeper.chain([schema]) {
            if !references.iter().any(|known| known.path == one.path) {
                references.push(one);
            }
        }
    }
    let texts: Vec<String> = references.iter().map(|schema| schema.text.clone()).collect();
    let types = Types::parse(&draft.file.text, &texts)
        .map_err(|error| ContractsError { path: draft.file.path.clone(), detail: error.detail })?;
    Ok(ContractSchema {
        path: draft.file.path.clone(),
        text: draft.file.text.clone(),
        full_name: draft.full_name.clone(),
        references: references.into_iter().map(|schema| schema.path.clone()).collect(),
        types,
    })
}

/// Names of other files' types that stand where a type may stand.
fn used_names(
    json: &Value,
    namespace: &str,
    names: &BTreeSet<String>,
    used: &mut BTreeSet<String>,
) {
    match json {
        Value::String(name) => {
            let candidates = [full_name(name, namespace), name.clone()];
            used.extend(candidates.into_iter().find(|candidate| names.contains(candidate)));
        }
        Value::Array(branches) => {
            branches.iter().for_each(|branch| used_names(branch, namespace, names, used));
        }
        Value::Object(object) => {
            let own = object.get("namespace").and_then(Value::as_str);
            let qualified = object.get("name").and_then(Value::as_str);
            let of_name = qualified.and_then(|name| Some(name.rsplit_once('.')?.0));
            let namespace = of_name.or(own).unwrap_or(namespace);
            for key in ["type", "items", "values"] {
                if let Some(inner) = object.get(key) {
                    used_names(inner, namespace, names, used);
                }
            }
            for field in object.get("fields").and_then(Value::as_array).into_iter().flatten() {
                if let Some(inner) = field.get("type") {
                    used_names(inner, namespace, names, used);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
