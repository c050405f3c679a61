//! The lines to all nodes: one server's, or those of a cluster whose keys move about.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::{Client, Value};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::address::{Address, Nodes};
use crate::bundle::Bundle;
use crate::chart::Chart;
use crate::line::Line;
use crate::{Keys, StoreError};

/// Longest wait for a node to say who has which keys.
const CHART_LIMIT: Duration = Duration::from_millis(500);
/// Pause between two looks at the chart while nothing fails, and while something does.
const CHART_INTERVAL: Duration = Duration::from_secs(1);
const CHART_RETRY: Duration = Duration::from_millis(100);

/// What waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A request.
    Reads,
    /// Nobody.
    Bulk,
}

/// How long a call may take, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) of: Use,
    pub(crate) limit: Duration,
    /// Running into the limit says something about the store.
    pub(crate) is_whole: bool,
}

/// Kept up, and kept to the nodes that have the keys, until dropped.
pub(crate) struct Lines {
    board: Arc<Board>,
    keeper: Option<AbortHandle>,
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

struct Board {
    net: RwLock<Option<Arc<Net>>>,
    /// A call failed: the keeper should look.
    trouble: Notify,
}

/// All nodes at one moment.
pub(crate) struct Net {
    /// Every chart of a cluster has its own, from 1.
    number: u64,
    nodes: Vec<Arc<Node>>,
    /// The node of each key group.
    seats: Vec<usize>,
    /// The node of each slot, where there are several.
    chart: Option<Chart>,
}

struct Node {
    /// `host:port`; empty for the only one.
    name: String,
    reads: Line,
    bulk: Line,
}

impl Lines {
    /// Starts to connect in the background.
    pub(crate) fn open(address: Address, keys: Keys) -> Self {
        let board = Arc::new(Board { net: RwLock::new(None), trouble: Notify::new() });
        let keeper = match address {
            Address::One(client) => {
                let nodes = vec![Arc::new(Node::open(String::new(), client))];
                let seats = vec![0; keys.groups() as usize];
                board.put(Net { number: 1, nodes, seats, chart: None });
                None
            }
            Address::Cluster(nodes) => {
                Some(tokio::spawn(keep(nodes, keys, Arc::clone(&board))).abort_handle())
            }
        };
        Self { board, keeper }
    }

    /// The nodes as they are known now.
    pub(crate) fn net(&self) -> Result<Arc<Net>, StoreError> {
        let connecting = || StoreError::Unavailable { cause: "connecting".to_owned() };
        self.board.net().ok_or_else(connecting)
    }

    /// Sends the calls, to each node its own, and waits at most so long. As [`Line::call`].
    pub(crate) async fn call(
        &self,
        net: &Net,
        calls: Bundle,
        wait: Wait,
    ) -> Result<Vec<Value>, StoreError> {
        let call = |node: usize, calls: redis::Pipeline| async move {
            let node = &net.nodes[node];
            let line = if wait.of == Use::Reads { &node.reads } else { &node.bulk };
            line.call(&calls, wait.limit, wait.is_whole).await
        };
        let replies = calls.send(call).await;
        if replies.is_err() {
            self.board.trouble.notify_one();
        }
        replies
    }
}

impl Net {
    pub(crate) fn seat(&self, group: u32) -> usize {
        self.seats.get(group as usize).copied().unwrap_or(0)
    }

    /// The node of a key of no group.
    pub(crate) fn seat_of(&self, key: &str) -> Result<usize, StoreError> {
        self.chart.as_ref().map_or(Ok(0), |chart| chart.of(key))
    }

    /// Which of the charts that were seen it is of.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.nodes.iter().all(|node| node.reads.is_up())
    }
}

impl Node {
    fn open(name: String, client: Client) -> Self {
        Self { name, reads: Line::open(client.clone()), bulk: Line::open(client) }
    }
}

impl Board {
    fn net(&self) -> Option<Arc<Net>> {
        self.net.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, net: Net) {
        *self.net.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(net));
    }
}

/// Asks who has which keys: at once when a call has failed, now and then otherwise.
async fn keep(named: Nodes, keys: Keys, board: Arc<Board>) {
    let mut has_complained = false;
    loop {
        match look(&named, &keys, &board).await {
            Ok(()) => has_complained = false,
            Err(error) => {
                if !std::mem::replace(&mut has_complained, true) {
                    warn!(%error, "the cluster does not say who has which keys, will retry");
                }
            }
        }
        sleep(CHART_RETRY).await;
        if !has_complained {
            // Whether woken or not: look.
            timeout(CHART_INTERVAL, board.trouble.notified()).await.ok();
        }
    }
}

async fn look(named: &Nodes, keys: &Keys, board: &Board) -> Result<(), StoreError> {
    let present = board.net();
    let known = present.as_ref().and_then(|net| net.chart.clone()).unwrap_or_default();
    let chart = Chart::read(named, &known.masters, CHART_LIMIT).await?;
    if chart == known {
        return Ok(());
    }
    let seats = chart.groups(keys)?;
    let mut nodes = Vec::with_capacity(chart.masters.len());
    for master in &chart.masters {
        let open = present.iter().flat_map(|net| &net.nodes).find(|node| node.name == *master);
        nodes.push(match open {
            Some(node) => Arc::clone(node),
            None => Arc::new(Node::open(master.clone(), named.client(master)?)),
        });
    }
    info!(masters = ?chart.masters, "the cluster's keys are with");
    let number = present.as_ref().map_or(0, |net| net.number) + 1;
    board.put(Net { number, nodes, seats, chart: Some(chart) });
    Ok(())
}
