//! The online store: keys, conditional puts, watermarks, reads under a deadline.
//!
//! The only user of the redis client. The aggregator writes through a [`Session`]: connections that are never
//! re-established behind its back, because a reconnect may hide lost writes. Serving reads through a [`Reader`],
//! which reconnects by itself and never keeps a request waiting for a store that is known to be away.

mod error;
mod keys;
mod watermark;
mod owned;
mod layout;
mod changed;
mod functions;
mod address;
mod chart;
mod bundle;
mod line;
mod lines;
mod session;
mod reader;
mod generations;

pub use changed::{Changed, Place};
pub use error::StoreError;
pub use functions::POSITION_AT;
pub use generations::{Generations, REPORT_TTL};
pub use keys::{KEY_GROUPS_MAX, Keys, Stage};
pub use layout::{Layout, MalformedLayout};
pub use owned::Owned;
pub use reader::{Cursor, Reader};
pub use session::{Flush, Flushed, Session};
pub use watermark::{MalformedWatermark, Marks, SourcePosition, Watermark};
