//! One client: a request, its answer, the next request.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api;
use crate::node::Node;
use crate::wire::{Frames, Request, WireError};

/// Answers requests in the order they come until the client hangs up or the broker drains.
pub(crate) async fn converse(mut stream: TcpStream, node: Arc<Node>) -> Result<(), WireError> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let config = &node.config;
    let mut frames = Frames::new(reader, config.request_bytes_max, config.transfer_timeout);
    loop {
        let frame = tokio::select! {
            biased;
            () = node.drain.started() => return Ok(()),
            frame = frames.next() => frame?,
        };
        let Some(frame) = frame else { return Ok(()) };
        let request = Request::read(frame)?;
        let answer = tokio::select! {
            biased;
            answer = api::answer(&node, &request) => answer?,
            () = drained_for_long(&node) => return Ok(()),
        };
        if let Some(answer) = answer {
            timeout(config.transfer_timeout, writer.write_all(&answer))
                .await
                .map_err(|_| WireError::Blocked)??;
        }
    }
}

/// What waits for others (a round of a group) is given up when the broker drains.
async fn drained_for_long(node: &Node) {
    node.drain.started().await;
    tokio::task::yield_now().await;
}
