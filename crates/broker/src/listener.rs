//! The accept loop: so many connections, no more.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::connection::converse;
use crate::node::Node;
use crate::wire::WireError;

/// Wait after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes connections until the broker drains; each runs as a task of `tasks`.
pub(crate) async fn listen(listener: TcpListener, node: Arc<Node>, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(node.config.connections_max));
    loop {
        let accepted = tokio::select! {
            () = node.drain.started() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let node = Arc::clone(&node);
                    tasks.spawn(async move {
                        serve(stream, node).await;
                        drop(place);
                    });
                }
                Err(_) => {
                    let connections_max = node.config.connections_max;
                    tracing::warn!(connections_max, "too many connections, closing the newest");
                }
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection, will retry");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, node: Arc<Node>) {
    match converse(stream, node).await {
        Ok(()) => {}
        Err(WireError::Lost(error)) => tracing::debug!(%error, "connection lost"),
        Err(error) => tracing::warn!(%error, "closing a connection"),
    }
}
