//! A state taken apart by feature: what a comparison of two states tells.

use std::fmt::Debug;

/// One feature of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: &'static str,
    /// Its value to the last bit; `None` where the log has said nothing for it yet.
    pub value: Option<String>,
}

/// `value` is told unless it is that of a state nobody has written to.
pub(crate) fn part<T: Debug + PartialEq + Default>(name: &'static str, value: &T) -> Part {
    let is_known = *value != T::default();
    Part { name, value: is_known.then(|| format!("{value:?}")) }
}
