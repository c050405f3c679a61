//! Dead letters: looked at, explained, counted, and sent back once what was wrong is mended.
//!
//! Everything reads the dead-letter topic as a stream, from where a question begins to where it is answered, and keeps
//! no more than the answer. The command line and the admin calls are two faces of what stands here.
//!
//! Sending back (`redrive`) is idempotent end to end, however often it is interrupted: see there.

mod letter;
mod filter;
mod browse;
mod explain;
mod ledger;
mod standing;
mod redrive;

pub use browse::{By, Counted, Place, count, newest, oldest, one};
pub use explain::explain;
pub use filter::{BadFilter, Filter};
pub use letter::Letter;
pub use redrive::{Outlook, Progress, Redrive, RedriveError, Report, Skipped};

/// Attempts after which a record is parked: sent back only when that is asked for.
pub const ATTEMPTS_MAX: u32 = 5;

/// Where the dead letters are.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    /// `host:port[,host:port]`.
    pub brokers: String,
    pub topic_prefix: String,
}

impl DeadLetters {
    pub(crate) fn topic(&self) -> String {
        upnext_common::topic::Topic::DeadLetters.name(&self.topic_prefix)
    }
}
