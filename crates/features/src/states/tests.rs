//! What is kept, what is told as dirty, what makes room.

use super::*;

fn budget(max: usize) -> Arc<Budget> {
    Arc::new(Budget::new(max))
}

fn blobs(keys: &[&str], bytes: usize) -> Vec<(String, Vec<u8>)> {
    keys.iter().map(|key| ((*key).to_owned(), vec![0; bytes])).collect()
}

fn kept<'a, T>(states: &States<T>, keys: &[&'a str]) -> Vec<&'a str> {
    keys.iter().copied().filter(|key| states.contains(key)).collect()
}

#[test]
fn what_is_dirty_is_told_until_it_is_stored() {
    let mut states = States::new(10, budget(usize::MAX));
    states.insert("a".to_owned(), 1, 0);
    states.insert("b".to_owned(), 2, 0);
    states.touch("a");
    states.touch("a");
    states.touch("nobody");
    assert_eq!(states.dirty().collect::<Vec<_>>(), [("a", &1)]);
    states.stored(&blobs(&["a"], 1));
    assert_eq!(states.dirty().count(), 0);
    assert!(states.contains("a") && states.contains("b"));
}

#[test]
fn the_longest_unused_make_room() {
    let mut states = States::new(4, budget(usize::MAX));
    for (round, keys) in [["a", "b"], ["c", "d"], ["e", "a"]].into_iter().enumerate() {
        for key in keys {
            if states.get(key).is_none() {
                states.insert(key.to_owned(), round, 10);
            }
            states.touch(key);
        }
        states.stored(&blobs(&keys, 10));
    }
    assert_eq!(kept(&states, &["a", "b", "c", "d", "e"]), ["a", "e"]);
}

#[test]
fn partitions_that_hold_too_much_together_each_give_half() {
    let shared = budget(6 * size(100));
    let mut first = States::new(100, Arc::clone(&shared));
    let mut second = States::new(100, Arc::clone(&shared));
    for key in ["a", "b", "c", "d"] {
        first.insert(key.to_owned(), (), 0);
        first.stored(&blobs(&[key], 100));
    }
    assert_eq!((first.bytes(), kept(&first, &["a", "b", "c", "d"]).len()), (4 * size(100), 4));
    for key in ["e", "f", "g"] {
        second.insert(key.to_owned(), (), 100);
    }
    second.touch("g");
    second.make_room();
    assert_eq!(kept(&second, &["e", "f", "g"]).len(), 3, "what is dirty stays");
    first.make_room();
    assert_eq!(kept(&first, &["a", "b", "c", "d"]), ["c", "d"]);
    // Now there is room for all.
    second.stored(&blobs(&["g"], 100));
    assert_eq!(kept(&second, &["e", "f", "g"]).len(), 3);
    drop((first, second));
    assert_eq!(shared.used.load(Ordering::Acquire), 0);
}
