//! Calls for several nodes, sent at once; replies come back in the order in which the calls were added.

use std::future::Future;

use futures::future::try_join_all;
use redis::{Pipeline, Value, pipe};

use crate::StoreError;

#[derive(Default)]
pub(crate) struct Bundle {
    /// By node; each keeps its own order.
    pipelines: Vec<Pipeline>,
    /// The node of each call.
    order: Vec<usize>,
}

impl Bundle {
    /// Where the next call, exactly one, for this node goes.
    pub(crate) fn to(&mut self, node: usize) -> &mut Pipeline {
        if self.pipelines.len() <= node {
            self.pipelines.resize_with(node + 1, pipe);
        }
        self.order.push(node);
        &mut self.pipelines[node]
    }

    /// Sends every node its calls by `call`; nothing where there are none.
    pub(crate) async fn send<F>(
        self,
        call: impl Fn(usize, Pipeline) -> F,
    ) -> Result<Vec<Value>, StoreError>
    where
        F: Future<Output = Result<Vec<Value>, StoreError>>,
    {
        let Self { pipelines, order } = self;
        let count = pipelines.len();
        let mut asked: Vec<(usize, Pipeline)> =
            pipelines.into_iter().enumerate().filter(|(_, calls)| !calls.is_empty()).collect();
        match asked.pop() {
            None => Ok(Vec::new()),
            Some((node, calls)) if asked.is_empty() => call(node, calls).await,
            Some(last) => {
                asked.push(last);
                let nodes: Vec<usize> = asked.iter().map(|(node, _)| *node).collect();
                let sent = asked.into_iter().map(|(node, calls)| call(node, calls));
                let replies = nodes.into_iter().zip(try_join_all(sent).await?);
                in_order(count, &order, replies)
            }
        }
    }
}

fn in_order(
    count: usize,
    order: &[usize],
    replies: impl Iterator<Item = (usize, Vec<Value>)>,
) -> Result<Vec<Value>, StoreError> {
    let mut by_node: Vec<_> = (0..count).map(|_| Vec::new().into_iter()).collect();
    for (node, values) in replies {
        by_node[node] = values.into_iter();
    }
    let all: Option<Vec<Value>> = order.iter().map(|node| by_node[*node].next()).collect();
    all.ok_or_else(|| StoreError::Malformed { cause: "fewer replies than calls".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(nodes: &[usize]) -> Bundle {
        let mut bundle = Bundle::default();
        for (node, at) in nodes.iter().zip(0..) {
            bundle.to(*node).cmd("ECHO").arg(at);
        }
        bundle
    }

    /// Answers each node's calls by the node's number and the place among its calls.
    async fn answers(node: usize, calls: Pipeline) -> Result<Vec<Value>, StoreError> {
        let node = i64::try_from(node).unwrap_or(-1);
        Ok((0..).map(|at| Value::Int(node * 10 + at)).take(calls.len()).collect())
    }

    #[tokio::test]
    async fn replies_come_in_the_order_of_calls() {
        let replies = bundle(&[2, 0, 2, 4, 0]).send(answers).await.unwrap();
        assert_eq!(replies, [20, 0, 21, 40, 1].map(Value::Int));
        assert_eq!(bundle(&[3]).send(answers).await.unwrap(), [Value::Int(30)]);
        assert!(bundle(&[]).send(answers).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_error_is_the_error_of_all() {
        let failing = async |node, calls| {
            if node == 1 { Err(StoreError::Timeout) } else { answers(node, calls).await }
        };
        assert_eq!(bundle(&[0, 1]).send(failing).await, Err(StoreError::Timeout));
        let short = async |node, _| answers(node, Pipeline::new()).await;
        let short = bundle(&[0, 1]).send(short).await;
        assert!(matches!(short, Err(StoreError::Malformed { .. })));
    }
}
