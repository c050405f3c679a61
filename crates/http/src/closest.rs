//! The known name that a misspelt one is likely to mean.

/// The nearest of `known`, if it is near enough to be meant: at most a third of its letters off.
pub(crate) fn closest<'a>(misspelt: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (distance(misspelt, name), *name))
        .filter(|(off, name)| *off <= (name.chars().count() / 3).max(1))
        .min_by_key(|(off, _)| *off)
        .map(|(_, name)| name)
}

/// Letters to insert, delete or replace to turn one into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to = to.chars().collect::<Vec<_>>();
    let mut row = (0..=to.len()).collect::<Vec<_>>();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(misspelt: &str, expected: Option<&str>) {
        assert_eq!(closest(misspelt, &["user_id", "surface", "k"]), expected);
    }

    #[test]
    fn only_a_near_name_is_meant() {
        check("user", None);
        check("userid", Some("user_id"));
        check("usr_id", Some("user_id"));
        check("surfaces", Some("surface"));
        check("kk", Some("k"));
        check("limit", None);
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
