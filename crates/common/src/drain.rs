//! How a daemon is asked to stop: a signal that everything may await.

use tokio_util::sync::CancellationToken;

/// Cloned into every task; once started, each finishes what it holds and returns.
#[derive(Clone, Debug, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to stop. Idempotent.
    pub fn start(&self) {
        self.0.cancel();
    }

    #[must_use]
    pub fn has_started(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once the drain has started. Cancel safe.
    pub async fn started(&self) {
        self.0.cancelled().await;
    }

    /// A drain that starts with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}
