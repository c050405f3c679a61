//! What a check found, told to people, programs and GitHub.

use std::path::Path;

use serde_json::{Value, json};
use upnext_contract::evolution::{Change, Contracts, Harm};

use super::lineage::{Broken, Lineage};
use super::place;
use super::subjects::Subjects;
use crate::output;

/// Most names of features that a person is shown.
const NAMES_MAX: usize = 8;

pub(super) struct Telling<'a> {
    pub(super) subjects: Subjects,
    pub(super) lineage: Lineage,
    pub(super) contracts: &'a Contracts,
    pub(super) directory: &'a Path,
}

impl Telling<'_> {
    pub(super) fn text(&self, changes: &[Change]) {
        let mut file = "";
        for change in changes {
            if change.file != file {
                file = &change.file;
                output::line(self.directory.join(file).display().to_string());
            }
            output::line(format!("  {:<9} {change}", change.harm.word()));
            output::line(format!("            {}", change.why));
            if change.harm != Harm::Harmless {
                output::line(format!("            {}", said(&self.lineage.broken_by(change))));
                output::line(format!("            hint: {}", change.kind.hint()));
            }
        }
        let count = |harm| changes.iter().filter(|change| change.harm == harm).count();
        let counts = Harm::ALL.map(|harm| format!("{} {}", count(harm), harm.word()));
        output::line(format!("{} changes: {}", changes.len(), counts.join(", ")));
    }

    /// The shape that programs rely on.
    pub(super) fn json(&self, changes: &[Change]) -> Value {
        let one = |change: &Change| {
            let Broken { features, models } = self.lineage.broken_by(change);
            json!({
                "subject": self.subject(change),
                "change": change.to_string(),
                "verdict": change.harm.word(),
                "why": why(change),
                "features": features,
                "models": models,
            })
        };
        json!({ "changes": changes.iter().map(one).collect::<Vec<_>>() })
    }

    /// Workflow commands: errors for what breaks, warnings for what is risky.
    pub(super) fn github(&self, changes: &[Change]) {
        for change in changes {
            let command = match change.harm {
                Harm::Harmless => "notice",
                Harm::Risky => "warning",
                Harm::Breaking => "error",
            };
            let file = self.directory.join(&change.file).display().to_string();
            let line = self.line(change);
            let broken = said(&self.lineage.broken_by(change));
            let message = escaped(&format!("{change}: {}. {broken}", why(change)));
            let title = change.kind.code();
            output::line(format!("::{command} file={file},line={line},title={title}::{message}"));
        }
    }

    fn subject(&self, change: &Change) -> String {
        if change.schema.is_empty() {
            return change.file.clone();
        }
        self.subjects.name(&change.file, &change.schema)
    }

    fn line(&self, change: &Change) -> usize {
        let schema = self.contracts.schemas.iter().find(|schema| schema.path == change.file);
        match schema {
            Some(schema) => place::line_of(&schema.text, &change.place),
            None => {
                let path = self.directory.join(&change.file);
                let text = std::fs::read_to_string(path).unwrap_or_default();
                let id = change.what.strip_prefix("rule ").and_then(|rest| rest.split(':').next());
                place::line_of(&text, id.unwrap_or_default())
            }
        }
    }
}

fn why(change: &Change) -> String {
    match change.harm {
        Harm::Harmless => change.why.clone(),
        Harm::Risky | Harm::Breaking => format!("{}. Instead: {}", change.why, change.kind.hint()),
    }
}

/// `breaks 2 features (shown, click_odds) of model m1`
pub(super) fn said(broken: &Broken) -> String {
    let Broken { features, models } = broken;
    if features.is_empty() {
        return "breaks no feature".to_owned();
    }
    let mut names = features.iter().take(NAMES_MAX).copied().collect::<Vec<_>>().join(", ");
    if features.len() > NAMES_MAX {
        names.push_str(", …");
    }
    let plural = if features.len() == 1 { "feature" } else { "features" };
    let of = match models.as_slice() {
        [] => "of no model".to_owned(),
        [one] => format!("of model {one}"),
        many => format!("of models {}", many.join(", ")),
    };
    format!("breaks {} {plural} ({names}) {of}", features.len())
}

/// A message as workflow commands take it.
fn escaped(message: &str) -> String {
    message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_said_in_one_line() {
        let broken = Broken { features: vec!["shown"], models: vec!["m1".to_owned()] };
        assert_eq!(said(&broken), "breaks 1 feature (shown) of model m1");
        assert_eq!(said(&Broken::default()), "breaks no feature");
        let many = Broken { features: vec!["f"; 9], models: Vec::new() };
        assert!(said(&many).ends_with("f, …) of no model"));
        assert_eq!(escaped("50 %\nx"), "50 %25%0Ax");
    }
}
