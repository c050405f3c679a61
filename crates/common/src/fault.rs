//! Whose fault an error is, and whether trying again can help.

/// The decision a caller takes from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub domain: Domain,
    pub retry: Retry,
}

/// Where the cause lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// What we were given is wrong.
    Caller,
    /// Something we depend on (Kafka, the registry, Redis) is in trouble.
    Upstream,
    /// We are wrong.
    Internal,
}

/// Whether the same call can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    Never,
    Backoff,
}

impl Fault {
    pub const CALLER: Self = Self { domain: Domain::Caller, retry: Retry::Never };
    pub const UPSTREAM: Self = Self { domain: Domain::Upstream, retry: Retry::Backoff };
    pub const INTERNAL: Self = Self { domain: Domain::Internal, retry: Retry::Never };

    #[must_use]
    pub fn may_retry(self) -> bool {
        self.retry == Retry::Backoff
    }
}
