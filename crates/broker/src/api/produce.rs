//! Appending what producers send.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::code;
use crate::batch::BatchHeader;
use crate::node::Node;
use crate::partition::Appended;
use crate::transactions::Identity;
use crate::wire::{Answer, Request};

/// With acks 0 the client wants no answer.
pub(super) fn produce(node: &Node, request: &Request) -> Answer {
    let body: ProduceRequest = request.body()?;
    let acks = body.acks;
    let transactional_id = body.transactional_id.map(|id| id.to_string());
    let mut responses = Vec::with_capacity(body.topic_data.len());
    for topic in body.topic_data {
        let place =
            Place { node, topic: &topic.name, transactional_id: transactional_id.as_deref() };
        let appended = topic.partition_data.into_iter().map(|data| match acks {
            -1..=1 => place.append(data),
            _ => refused(data.index, ResponseError::InvalidRequiredAcks),
        });
        let appended = appended.collect();
        responses.push(
            TopicProduceResponse::default()
                .with_partition_responses(appended)
                .with_name(topic.name),
        );
    }
    if acks == 0 {
        return Ok(None);
    }
    request.answer(&ProduceResponse::default().with_responses(responses))
}

struct Place<'a> {
    node: &'a Node,
    topic: &'a str,
    transactional_id: Option<&'a str>,
}

impl Place<'_> {
    fn append(&self, data: PartitionProduceData) -> PartitionProduceResponse {
        let records = data.records.unwrap_or_default();
        match self.append_records(data.index, &records) {
            Ok((appended, append_time_ms)) => PartitionProduceResponse::default()
                .with_index(data.index)
                .with_base_offset(appended.base_offset)
                .with_log_append_time_ms(append_time_ms.unwrap_or(-1))
                .with_log_start_offset(appended.start_offset),
            Err(error) => refused(data.index, error),
        }
    }

    /// Where the records came to stand, and at what time if the topic keeps that.
    fn append_records(
        &self,
        index: i32,
        records: &Bytes,
    ) -> Result<(Appended, Option<i64>), ResponseError> {
        let topic = self.node.catalog.topic(self.topic)?;
        let partition = topic.partition(index)?;
        let (rules, now_ms) = (topic.append_rules(), self.node.config.clock.now_ms());
        let header = BatchHeader::read(records).ok_or(ResponseError::CorruptMessage)?;
        let append = || partition.append(records, rules, now_ms);
        let appended = match (self.transactional_id, header.is_transactional()) {
            (Some(id), true) => {
                let who =
                    Identity { producer_id: header.producer_id, epoch: header.producer_epoch };
                self.node.transactions.while_open(id, who, (self.topic, index), append)?
            }
            (None, true) => return Err(ResponseError::InvalidTxnState),
            (_, false) => append()?,
        };
        Ok((appended, rules.is_append_time.then_some(now_ms)))
    }
}

fn refused(index: i32, error: ResponseError) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(code::<()>(&Err(error)))
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
}
