//! The names under which state stands in the store.

use upnext_common::event::Subject;
use upnext_common::item::ItemHash;

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
    prefix: std::sync::Arc<str>,
}

impl Keys {
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    #[must_use]
    pub fn user(&self, subject: Subject<'_>) -> String {
        match subject {
            Subject::User(id) => format!("{}u:{id}", self.prefix),
            Subject::Anonymous(id) => format!("{}a:{id}", self.prefix),
        }
    }

    #[must_use]
    pub fn item(&self, item: ItemHash) -> String {
        format!("{}i:{:016x}", self.prefix, item.0)
    }

    /// The item whose key it is.
    #[must_use]
    pub fn item_of(&self, key: &str) -> Option<ItemHash> {
        let hex = key.strip_prefix(&*self.prefix)?.strip_prefix("i:")?;
        u64::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 16).map(ItemHash)
    }

    /// A pattern that every item key matches, special characters of the prefix escaped.
    pub(crate) fn items_pattern(&self) -> String {
        let mut pattern = String::new();
        for letter in self.prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '^' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern + "i:????????????????"
    }

    #[must_use]
    pub fn watermark(&self, stage: Stage, partition: i32) -> String {
        format!("{}w:{}:{partition}", self.prefix, stage.name())
    }

    /// The capped stream of items whose state changed.
    #[must_use]
    pub fn changed_items(&self) -> String {
        format!("{}changed", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_meet() {
        let keys = Keys::new("up:");
        let named = [
            keys.user(Subject::User("1")),
            keys.user(Subject::Anonymous("1")),
            keys.item(ItemHash(1)),
            keys.watermark(Stage::Users, 1),
            keys.watermark(Stage::Items, 1),
            keys.changed_items(),
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
        let keys = Keys::new("up:");
        let item = ItemHash(0xdead_beef_0000_0001);
        assert_eq!(keys.item_of(&keys.item(item)), Some(item));
        for foreign in ["up:u:1", "x:i:0000000000000001", "up:i:1", "up:i:000000000000000g"] {
            assert_eq!(keys.item_of(foreign), None, "{foreign}");
        }
        assert_eq!(Keys::new("a*[b]:").items_pattern(), "a\\*\\[b\\]:i:????????????????");
    }
}
