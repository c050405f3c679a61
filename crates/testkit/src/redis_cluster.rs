//! Three masters and three replicas of real redis-servers, one cluster.

use std::time::Duration;

use crate::redis::Redis;
use crate::wait::{eventually, free_port};

const MASTERS: usize = 3;
const NODES: usize = 2 * MASTERS;
const SLOTS: usize = 16_384;
/// How long a node may be silent before the others take it for dead.
const NODE_TIMEOUT_MS: u32 = 1_000;
const BOUND: Duration = Duration::from_secs(60);

/// Six nodes on free loopback ports; all are ended on drop.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts the nodes, makes them a cluster and waits until it works. At first the nodes 0, 1 and 2 are masters, and
    /// node `n + 3` is the replica of node `n`.
    ///
    /// # Panics
    /// When redis-server is not on PATH or the nodes do not come together.
    #[must_use]
    pub fn start() -> Self {
        let nodes: Vec<Redis> = (0..NODES).map(|_| Redis::start_with(settings)).collect();
        let cluster = Self { nodes };
        for (at, node) in cluster.nodes.iter().enumerate().take(MASTERS) {
            let (first, last) = (SLOTS * at / MASTERS, SLOTS * (at + 1) / MASTERS - 1);
            ok(node, &format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            ok(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1));
        }
        let first = &cluster.nodes[0];
        for node in &cluster.nodes[1..] {
            let bus = node.settings().last().expect("the bus port stands last");
            ok(first, &format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port()));
        }
        let about = |node: &Redis, said: &str| node.command("CLUSTER INFO").contains(said);
        eventually(BOUND, || {
            let knows_all = format!("cluster_known_nodes:{NODES}");
            cluster.nodes.iter().all(|node| about(node, &knows_all))
        });
        for at in 0..MASTERS {
            let id = cluster.nodes[at].command("CLUSTER MYID");
            let id = id.lines().nth(1).expect("a node has an id").trim().to_owned();
            let replica = &cluster.nodes[at + MASTERS];
            // A node that has heard of the master, but not yet of what it is, refuses.
            eventually(BOUND, || {
                replica.command(&format!("CLUSTER REPLICATE {id}")).starts_with("+OK")
            });
        }
        cluster.healed();
        cluster
    }

    /// `redis-cluster://` with all six.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port()));
        format!("redis-cluster://{}", nodes.collect::<Vec<_>>().join(","))
    }

    #[must_use]
    pub fn node(&self, at: usize) -> &Redis {
        &self.nodes[at]
    }

    pub fn node_mut(&mut self, at: usize) -> &mut Redis {
        &mut self.nodes[at]
    }

    /// Which nodes say that they are masters with slots.
    #[must_use]
    pub fn masters(&self) -> Vec<usize> {
        (0..NODES).filter(|at| self.is_master(*at)).collect()
    }

    /// The node that is the replica of `master`, or becomes it.
    #[must_use]
    pub fn partner(&self, at: usize) -> usize {
        (at + MASTERS) % NODES
    }

    /// Cuts a replica off its master, while both go on: it falls behind, and takes over all the same.
    pub fn cut_off(&self, replica: usize) {
        ok(&self.nodes[replica], "CONFIG SET masterauth wrong");
        // The link breaks, and cannot be had again.
        assert!(self.nodes[replica].command("CLIENT KILL TYPE master").starts_with(':'));
        eventually(BOUND, || {
            self.nodes[replica].command("INFO replication").contains("master_link_status:down")
        });
    }

    /// Undoes [`RedisCluster::cut_off`].
    pub fn let_in(&self, replica: usize) {
        ok(&self.nodes[replica], "CONFIG SET masterauth \"\"");
    }

    /// Kills a master, as `kill -9` does, and waits until its replica has its slots.
    pub fn fail_over(&mut self, master: usize) {
        self.nodes[master].kill();
        let replica = self.partner(master);
        eventually(BOUND, || self.is_master(replica));
    }

    /// Starts a node that was killed: it finds out by itself whose replica it is by now.
    pub fn bring_back(&mut self, at: usize) {
        self.nodes[at].restart();
        ok(&self.nodes[at], "CONFIG SET masterauth \"\"");
    }

    /// Waits until all slots are served and every replica is in step.
    pub fn healed(&self) {
        let is_well = |node: &Redis| {
            let is_ok = node.command("CLUSTER INFO").contains("cluster_state:ok");
            let replication = node.command("INFO replication");
            let is_linked = replication.contains("role:master")
                || replication.contains("master_link_status:up");
            is_ok && is_linked
        };
        eventually(BOUND, || self.nodes.iter().all(is_well) && self.masters().len() == MASTERS);
    }

    fn is_master(&self, at: usize) -> bool {
        let known = self.nodes[at].command("CLUSTER NODES");
        let own = known.lines().find(|line| line.contains("myself"));
        // Eight words stand before the slots.
        own.is_some_and(|own| own.contains("myself,master") && own.split_whitespace().count() > 8)
    }
}

fn settings() -> Vec<String> {
    let settings = [
        ("--cluster-enabled", "yes".to_owned()),
        ("--cluster-config-file", "nodes.conf".to_owned()),
        ("--cluster-node-timeout", NODE_TIMEOUT_MS.to_string()),
        // The others answer on while one has nobody yet.
        ("--cluster-require-full-coverage", "no".to_owned()),
        // However far behind: whoever is left takes over.
        ("--cluster-replica-validity-factor", "0".to_owned()),
        ("--repl-diskless-sync-delay", "0".to_owned()),
        ("--cluster-port", free_port().to_string()),
    ];
    settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

#[track_caller]
fn ok(node: &Redis, line: &str) {
    let reply = node.command(line);
    assert!(reply.starts_with("+OK"), "{line}: {reply}");
}
