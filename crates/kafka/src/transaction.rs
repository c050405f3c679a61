//! Several records, on several topics, written all or none, by one writer at a time.
//!
//! A transactional id is a place that one writer holds. Whoever takes it over shuts out the one before, and what that
//! one had left open is undone before the new one may begin: so a writer that was killed leaves nothing half done, and
//! of two that run at once the earlier one ends with [`KafkaError::Fenced`].
//!
//! Readers with `read_committed` (all of ours) stop before an open transaction. It is therefore kept open for one
//! [`Transactions::write`] only, never while anything else is waited for.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use rdkafka::error::{KafkaError as Cause, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use tracing::warn;

use crate::{Delivery, KafkaError, Outgoing, Producer, ProducerSettings, client};

/// How long a transaction stays open after its writer has died, unless somebody takes over before.
const OPEN_MAX_MS: u64 = 15_000;
/// Longest wait for the coordinator to answer one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Calls that may be made again when the coordinator asks for it.
const CALL_ATTEMPTS: usize = 5;
/// Transactions that one write may take, each undone before the next.
const WRITE_ATTEMPTS: usize = 3;

/// The holder of a transactional id. Clones share it.
#[derive(Clone)]
pub struct Transactions {
    id: String,
    producer: Producer,
}

impl Transactions {
    /// Takes the id over. Once this has resolved, whoever held it can write no more, and what it wrote is either
    /// committed and visible, or undone.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`] when no coordinator answers in time.
    pub async fn take_over(
        brokers: &str,
        id: &str,
        settings: ProducerSettings,
    ) -> Result<Self, KafkaError> {
        let mut config = client::settings(brokers);
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", OPEN_MAX_MS.to_string())
            .set("message.timeout.ms", OPEN_MAX_MS.to_string());
        let producer = Producer::with(&mut config, &settings)?;
        let transactions = Self { id: id.to_owned(), producer };
        let taken = transactions.call(|writer| writer.client().init_transactions(CALL_TIMEOUT));
        match taken.await {
            Err(KafkaError::NotDelivered { cause, .. }) => {
                Err(KafkaError::Unreachable { brokers: brokers.to_owned(), cause })
            }
            taken => taken.map(|()| transactions),
        }
    }

    /// Writes all of `records`, or none: once this has resolved well, all are visible. Must not be dropped before.
    ///
    /// # Errors
    /// None is visible after [`KafkaError::Refused`], which names one that can never be written, and after
    /// [`KafkaError::Fenced`]. After any other error nobody knows: take over again and look.
    pub async fn write(&self, records: &[Outgoing]) -> Result<(), KafkaError> {
        let mut attempts = 1;
        loop {
            self.producer.client().begin_transaction().map_err(|cause| self.told(&cause))?;
            let Err(error) = self.send(records).await else {
                return self.call(|writer| writer.client().commit_transaction(CALL_TIMEOUT)).await;
            };
            match self.call(|writer| writer.client().abort_transaction(CALL_TIMEOUT)).await {
                Err(fenced @ KafkaError::Fenced { .. }) => return Err(fenced),
                Err(cause) => {
                    warn!(%cause, "a transaction could not be undone, its timeout will");
                    return Err(error);
                }
                // What the client has given up leaves a gap in its numbers, at which the broker takes offence once.
                Ok(()) if may_pass_again(&error) && attempts < WRITE_ATTEMPTS => attempts += 1,
                Ok(()) => return Err(error),
            }
        }
    }

    async fn send(&self, records: &[Outgoing]) -> Result<(), KafkaError> {
        let mut deliveries = Vec::with_capacity(records.len());
        for record in records {
            deliveries.push(self.producer.send_when_room(record).await?);
        }
        all(deliveries).await
    }

    /// A blocking call on a thread of its own, again while the client says that again may help.
    async fn call(
        &self,
        question: impl Fn(&Producer) -> Result<(), Cause> + Send + 'static,
    ) -> Result<(), KafkaError> {
        let this = self.clone();
        client::ask(move || {
            let mut attempts = 1;
            loop {
                match question(&this.producer) {
                    Ok(()) => return Ok(()),
                    Err(Cause::Transaction(cause))
                        if cause.is_retriable() && attempts < CALL_ATTEMPTS =>
                    {
                        attempts += 1;
                    }
                    Err(cause) => return Err(this.told(&cause)),
                }
            }
        })
        .await
    }

    /// A fenced client says so in its fatal error, whatever the call that noticed says.
    fn told(&self, cause: &Cause) -> KafkaError {
        let fatal = self.producer.client().client().fatal_error();
        let code = fatal.map(|(code, _)| code).or_else(|| cause.rdkafka_error_code());
        match code {
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                KafkaError::Fenced { id: self.id.clone() }
            }
            Some(Code::Fatal) => KafkaError::Fatal { cause: cause.to_string() },
            Some(_) | None => {
                KafkaError::NotDelivered { cause: cause.to_string(), perhaps_in: None }
            }
        }
    }
}

/// Whether the same records may be written by the next transaction, once this one is undone.
fn may_pass_again(error: &KafkaError) -> bool {
    matches!(error, KafkaError::NotDelivered { .. })
}

/// Waits until all are written or have failed. What waits in a transaction that has failed is given up by the client,
/// which may be told before why it has failed: of several reasons the one counts that names a record. The client gives
/// up in the background; what it still has to give up must not be met by the next transaction.
async fn all(mut deliveries: Vec<Delivery>) -> Result<(), KafkaError> {
    let mut failed = Ok(());
    poll_fn(|context| {
        deliveries.retain_mut(|delivery| match Pin::new(delivery).poll(context) {
            Poll::Pending => true,
            Poll::Ready(Ok(_)) => false,
            Poll::Ready(Err(error)) => {
                if failed.is_ok() || matches!(error, KafkaError::Refused { .. }) {
                    failed = Err(error);
                }
                false
            }
        });
        if deliveries.is_empty() {
            return Poll::Ready(std::mem::replace(&mut failed, Ok(())));
        }
        Poll::Pending
    })
    .await
}
