//! The names under which state stands in the store.
//!
//! With one key group they are plain. With more, the group stands in braces behind the prefix: what Redis Cluster takes
//! for a hash tag, so that all keys of a group, its watermarks among them, are on one node.

use std::sync::Arc;

use upnext_common::config;
use upnext_common::event::Subject;
use upnext_common::item::{ItemHash, stable_hash};

use crate::StoreError;

/// Most key groups. Each flush moves one watermark per group on.
pub const KEY_GROUPS_MAX: u32 = 1_024;

/// Whose log partition a watermark speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Valid events to user blobs and signals.
    Users,
    /// Signals to item blobs.
    Items,
}

impl Stage {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Items => "items",
        }
    }
}

/// Keys under one prefix. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    prefix: Arc<str>,
    groups: u32,
}

impl Keys {
    /// Keys of one group.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), groups: 1 }
    }

    /// Keys as configured.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when there can be no such groups.
    pub fn of(redis: &config::Redis) -> Result<Self, StoreError> {
        let groups = redis.key_groups;
        let refused = |cause: String| Err(StoreError::Settings { cause });
        if !(1..=KEY_GROUPS_MAX).contains(&groups) {
            return refused(format!(
                "redis.key_groups is {groups}, but 1 to {KEY_GROUPS_MAX} can be had"
            ));
        }
        if groups > 1 && redis.key_prefix.contains(['{', '}']) {
            return refused(format!(
                "redis.key_prefix \"{}\" has braces, which redis.key_groups needs",
                redis.key_prefix
            ));
        }
        Ok(Self { prefix: redis.key_prefix.as_str().into(), groups })
    }

    /// How many groups the keys fall into.
    #[must_use]
    pub fn groups(&self) -> u32 {
        self.groups
    }

    #[must_use]
    pub fn user(&self, subject: Subject<'_>) -> String {
        let name = match subject {
            Subject::User(id) => format!("u:{id}"),
            Subject::Anonymous(id) => format!("a:{id}"),
        };
        self.in_group(self.share(stable_hash(name.as_bytes())), &name)
    }

    #[must_use]
    pub fn item(&self, item: ItemHash) -> String {
        // The lower half of the hash decides its partition of signals.
        self.in_group(self.share(item.0 >> 32), &format!("i:{:016x}", item.0))
    }

    /// The item whose key it is.
    #[must_use]
    pub fn item_of(&self, key: &str) -> Option<ItemHash> {
        let (_, name) = self.split(key)?;
        let hex = name.strip_prefix("i:")?;
        u64::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 16).map(ItemHash)
    }

    /// The group of a key that was named here.
    #[must_use]
    pub fn group_of(&self, key: &str) -> Option<u32> {
        self.split(key).map(|(group, _)| group)
    }

    /// Whose key it is.
    #[must_use]
    pub fn subject_of<'a>(&self, key: &'a str) -> Option<Subject<'a>> {
        let (_, name) = self.split(key)?;
        let user = name.strip_prefix("u:").map(Subject::User);
        user.or_else(|| name.strip_prefix("a:").map(Subject::Anonymous))
    }

    /// A pattern that every item key matches.
    pub(crate) fn items_pattern(&self) -> String {
        self.pattern("i:????????????????")
    }

    /// A pattern that every user's key matches, known or anonymous.
    pub(crate) fn users_pattern(&self) -> String {
        self.pattern("[ua]:*")
    }

    /// The prefix with its special characters escaped, any group, then `rest`.
    fn pattern(&self, rest: &str) -> String {
        let mut pattern = String::new();
        for letter in self.prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '^' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        let group = if self.groups > 1 { "{*}" } else { "" };
        pattern + group + rest
    }

    /// Where it stands how far a partition of a stage has been applied to the keys of a group.
    #[must_use]
    pub fn watermark(&self, stage: Stage, partition: i32, group: u32) -> String {
        self.in_group(group, &format!("w:{}:{partition}", stage.name()))
    }

    /// The capped stream of items of a group whose state changed.
    #[must_use]
    pub fn changed_items(&self, group: u32) -> String {
        self.in_group(group, "changed")
    }

    /// Where the layout is recorded; of no group, since groups are part of it.
    #[must_use]
    pub fn layout(&self) -> String {
        format!("{}layout", self.prefix)
    }

    fn share(&self, hash: u64) -> u32 {
        u32::try_from(hash % u64::from(self.groups)).unwrap_or(0)
    }

    fn in_group(&self, group: u32, name: &str) -> String {
        if self.groups > 1 {
            format!("{}{{{group}}}{name}", self.prefix)
        } else {
            format!("{}{name}", self.prefix)
        }
    }

    /// Group and name of a key.
    fn split<'a>(&self, key: &'a str) -> Option<(u32, &'a str)> {
        let rest = key.strip_prefix(&*self.prefix)?;
        if self.groups == 1 {
            return Some((0, rest));
        }
        let (group, name) = rest.strip_prefix('{')?.split_once('}')?;
        Some((group.parse().ok().filter(|group| *group < self.groups)?, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(groups: u32) -> Keys {
        let redis = config::Redis {
            key_prefix: "up:".to_owned(),
            key_groups: groups,
            ..config::Redis::default()
        };
        Keys::of(&redis).unwrap()
    }

    #[test]
    fn a_user_is_known_by_its_key() {
        for keys in [keys(1), keys(16)] {
            for subject in [Subject::User("1:2"), Subject::Anonymous("a:b")] {
                assert_eq!(keys.subject_of(&keys.user(subject)), Some(subject));
            }
            for foreign in ["up:i:0000000000000001", "x:u:1", "up:changed", "up:1:u:7"] {
                assert_eq!(keys.subject_of(foreign), None, "{foreign}");
            }
        }
    }

    #[test]
    fn names_do_not_meet() {
        let keys = Keys::new("up:");
        assert_eq!(keys, self::keys(1));
        let named = [
            keys.user(Subject::User("1")),
            keys.user(Subject::Anonymous("1")),
            keys.item(ItemHash(1)),
            keys.watermark(Stage::Users, 1, 0),
            keys.watermark(Stage::Items, 1, 0),
            keys.changed_items(0),
        ];
        let expected = [
            "up:u:1",
            "up:a:1",
            "up:i:0000000000000001",
            "up:w:users:1",
            "up:w:items:1",
            "up:changed",
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn an_item_is_known_by_its_key() {
        for keys in [keys(1), keys(16)] {
            let item = ItemHash(0xdead_beef_0000_0001);
            assert_eq!(keys.item_of(&keys.item(item)), Some(item));
            for foreign in ["up:u:1", "x:i:0000000000000001", "up:i:1", "up:i:000000000000000g"] {
                assert_eq!(keys.item_of(foreign), None, "{foreign}");
            }
        }
        assert_eq!(Keys::new("a*[b]:").items_pattern(), "a\\*\\[b\\]:i:????????????????");
        assert_eq!(keys(2).items_pattern(), "up:{*}i:????????????????");
    }

    #[test]
    fn everything_of_a_group_bears_its_tag() {
        let keys = keys(16);
        let mut met = std::collections::BTreeSet::new();
        for number in 0..400_u64 {
            let name = number.to_string();
            let user = keys.user(Subject::User(&name));
            let item = keys.item(ItemHash(stable_hash(name.as_bytes())));
            for key in [user, item] {
                let group = keys.group_of(&key).unwrap();
                assert!(key.starts_with(&format!("up:{{{group}}}")), "{key}");
                met.insert(group);
            }
        }
        assert_eq!(met.len(), 16);
        assert_eq!(keys.watermark(Stage::Items, 3, 7), "up:{7}w:items:3");
        assert_eq!(keys.changed_items(15), "up:{15}changed");
        for foreign in ["up:u:1", "up:{16}u:1", "up:{x}u:1", "other"] {
            assert_eq!(keys.group_of(foreign), None, "{foreign}");
        }
    }

    #[track_caller]
    fn check_refused(prefix: &str, groups: u32, said: &str) {
        let redis = config::Redis {
            key_prefix: prefix.to_owned(),
            key_groups: groups,
            ..config::Redis::default()
        };
        let refused = Keys::of(&redis).unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
        assert!(!refused.fault().may_retry());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        check_refused("up:", 0, "key_groups is 0");
        check_refused("up:", 1_025, "1 to 1024");
        check_refused("{up}:", 2, "has braces");
        let one = config::Redis { key_prefix: "{up}:".to_owned(), ..config::Redis::default() };
        assert!(Keys::of(&one).is_ok());
    }
}
