//! One answer as a pure function of query, user state and snapshot.
//!
//! Reading order: what is asked (`query`), what it is asked of (`prepared`), the answer as a sentence (`answer`), and
//! its parts: who may be answered (`eligible`), the sources of candidates, the tiers, and `select`.

mod query;
mod prepared;
mod slate;
mod answer;
mod ask;
mod asked;
mod eligible;
mod full;
mod session;
mod select;
mod beforehand;
mod sources;

pub use answer::{RecommendError, answer};
pub use ask::{merged, rank_given, similar, trending};
pub use beforehand::keep;
pub use full::candidates;
pub use prepared::{Prepared, Snapshot};
pub use query::{Filters, Query, Seen};
pub use slate::{Cause, Dropped, Picked, PickedItem, Slate, Source};
pub use upnext_model::row::{Ask, Context};

#[cfg(test)]
mod tests;
