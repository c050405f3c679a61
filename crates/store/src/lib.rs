//! The online store: keys, conditional puts, watermarks, reads under a deadline.
//!
//! The only user of the redis client. The aggregator writes through a [`Session`]: one connection that is never
//! re-established behind its back, because a reconnect may hide lost writes. Serving reads through a [`Reader`],
//! which reconnects by itself and never keeps a request waiting for a store that is known to be away.

mod error;
mod keys;
mod watermark;
mod changed;
mod functions;
mod line;
mod session;
mod reader;

pub use changed::Changed;
pub use error::StoreError;
pub use functions::POSITION_AT;
pub use keys::{Keys, Stage};
pub use reader::Reader;
pub use session::{Flush, Flushed, Owned, Session};
pub use watermark::{MalformedWatermark, Watermark};
