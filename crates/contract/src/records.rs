//! Our records, each with its way to the wire and back.

pub(crate) mod event;
pub(crate) mod item;
pub(crate) mod decision;
pub(crate) mod artifact;

#[cfg(test)]
pub(crate) mod tests;
