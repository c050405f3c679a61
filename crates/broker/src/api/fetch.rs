//! Reading: at once if there is enough, else when something is appended or the client has waited long enough.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::node::Node;
use crate::partition::{Ask, Fetched};

const READ_COMMITTED: i8 = 1;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What has been gathered for one answer.
struct Gathered {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    has_errors: bool,
}

pub(super) async fn fetch(node: &Node, request: FetchRequest) -> FetchResponse {
    let bytes_max = size(request.max_bytes).min(node.config.fetch_bytes_max);
    let bytes_min = size(request.min_bytes).min(bytes_max);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX);
    let end = Instant::now() + wait;
    let woken = Arc::new(Notify::new());
    loop {
        // Enrolled before reading, so that nothing appended in between is missed.
        enrol(node, &request.topics, &woken);
        let gathered = gather(node, &request, bytes_max);
        let is_enough = gathered.has_errors || gathered.bytes >= bytes_min || wait.is_zero();
        if is_enough || timeout_at(end, woken.notified()).await.is_err() {
            return FetchResponse::default().with_responses(gathered.topics);
        }
    }
}

fn enrol(node: &Node, topics: &[FetchTopic], woken: &Arc<Notify>) {
    for topic in topics {
        let Ok(known) = node.catalog.topic(&topic.topic) else { continue };
        for asked in &topic.partitions {
            if let Ok(partition) = known.partition(asked.partition) {
                partition.wake_on_append(woken);
            }
        }
    }
}

fn gather(node: &Node, request: &FetchRequest, bytes_max: usize) -> Gathered {
    let mut gathered = Gathered { topics: Vec::new(), bytes: 0, has_errors: false };
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let room = bytes_max.saturating_sub(gathered.bytes);
            // The first partition with records gives at least a batch; the others what fits.
            let ask = Ask {
                from: asked.fetch_offset,
                bytes_max: room.min(size(asked.partition_max_bytes)),
                committed_only: request.isolation_level == READ_COMMITTED,
            };
            let fetched = node
                .catalog
                .partition(&topic.topic, asked.partition)
                .and_then(|partition| partition.fetch(ask));
            partitions.push(gathered.take(asked, ask, fetched));
        }
        let answer = FetchableTopicResponse::default().with_topic(topic.topic.clone());
        gathered.topics.push(answer.with_partitions(partitions));
    }
    gathered
}

impl Gathered {
    fn take(
        &mut self,
        asked: &FetchPartition,
        ask: Ask,
        fetched: Result<Fetched, ResponseError>,
    ) -> PartitionData {
        let answer = PartitionData::default()
            .with_partition_index(asked.partition)
            .with_preferred_read_replica(BrokerId(-1))
            .with_records(Some(bytes::Bytes::new()));
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                self.has_errors = true;
                return answer.with_error_code(error.code()).with_high_watermark(-1);
            }
        };
        let answer = answer
            .with_high_watermark(fetched.bounds.next_offset)
            .with_last_stable_offset(fetched.bounds.stable_offset)
            .with_log_start_offset(fetched.bounds.start_offset);
        let is_oversized = fetched.records.len() > ask.bytes_max;
        if is_oversized && self.bytes > 0 {
            return answer;
        }
        self.bytes += fetched.records.len();
        let aborted = ask.committed_only.then(|| fetched.aborted.iter().map(aborted).collect());
        answer.with_aborted_transactions(aborted).with_records(Some(fetched.records))
    }
}

fn aborted(aborted: &crate::partition::AbortedTransaction) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(ProducerId(aborted.producer_id))
        .with_first_offset(aborted.first_offset)
}

/// A size as the wire has it; a negative one is none.
fn size(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}
