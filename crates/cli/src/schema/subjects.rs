//! Which subject a schema file stands under: the topic of its folder, and its record's name.

use upnext_common::config::Config;
use upnext_common::topic::Topic;
use upnext_contract::evolution::ContractSchema;
use upnext_contract::subject_of;

/// The folders of a directory of schemas, and the topic whose values they describe.
const FOLDERS: [(&str, Topic); 5] = [
    ("events", Topic::Events),
    ("items", Topic::Items),
    ("decisions", Topic::Decisions),
    ("models", Topic::Models),
    ("signals", Topic::Signals),
];

/// Subjects under one prefix of topics.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    prefix: String,
}

impl Subjects {
    pub(super) fn of(config: &Config) -> Self {
        Self { prefix: config.kafka.topic_prefix.clone() }
    }

    /// The subject that writers of the record register under; one outside of our folders stands under its own name.
    pub(super) fn name(&self, path: &str, full_name: &str) -> String {
        match Self::topic(path) {
            Some(topic) => subject_of(&topic.name(&self.prefix), full_name),
            None => full_name.to_owned(),
        }
    }

    /// Every subject of a schema: those of events stand on the topic of valid events too.
    pub(super) fn all(&self, schema: &ContractSchema) -> Vec<String> {
        let mut subjects = vec![self.name(&schema.path, &schema.full_name)];
        if Self::topic(&schema.path) == Some(Topic::Events) {
            subjects.push(subject_of(&Topic::Valid.name(&self.prefix), &schema.full_name));
        }
        subjects
    }

    /// The file that a subject of the registry would stand in.
    pub(super) fn path_of(&self, subject: &str) -> Option<String> {
        FOLDERS.into_iter().find_map(|(folder, topic)| {
            let name = subject.strip_prefix(&format!("{}-", topic.name(&self.prefix)))?;
            Some(format!("{folder}/{}.avsc", name.rsplit('.').next().unwrap_or(name)))
        })
    }

    fn topic(path: &str) -> Option<Topic> {
        let (folder, _) = path.split_once('/')?;
        FOLDERS.into_iter().find(|(name, _)| *name == folder).map(|(_, topic)| topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_leads_back_to_its_file() {
        let subjects = Subjects::of(&Config::default());
        let subject = subjects.name("events/ItemViewed.avsc", "upnext.events.v1.ItemViewed");
        assert_eq!(subject, "upnext.events.v1-upnext.events.v1.ItemViewed");
        assert_eq!(subjects.path_of(&subject).as_deref(), Some("events/ItemViewed.avsc"));
        assert_eq!(subjects.path_of("upnext.events.valid.v1-upnext.events.v1.ItemViewed"), None);
        assert_eq!(subjects.name("other/A.avsc", "n.A"), "n.A");
    }
}
