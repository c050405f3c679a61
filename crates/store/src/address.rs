//! Where the store is: one server, or the nodes of a cluster.

use redis::Client;

use crate::{Keys, StoreError};

const CLUSTER: &str = "redis-cluster://";

#[derive(Clone, Debug)]
pub(crate) enum Address {
    One(Client),
    Cluster(Nodes),
}

/// `redis-cluster://[user:password@]host:port[,host:port]`: any nodes of the cluster, which name the others.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    /// With the `@`; empty where there are none.
    credentials: String,
    /// `host:port` each.
    pub(crate) named: Vec<String>,
}

impl Address {
    pub(crate) fn parse(url: &str, keys: &Keys) -> Result<Self, StoreError> {
        let Some(rest) = url.strip_prefix(CLUSTER) else { return open(url).map(Self::One) };
        if keys.groups() < 2 {
            let cause = "a cluster holds keys by group: set redis.key_groups, for example to 16";
            return Err(StoreError::Settings { cause: cause.to_owned() });
        }
        let (credentials, hosts) = match rest.rsplit_once('@') {
            Some((credentials, hosts)) => (format!("{credentials}@"), hosts),
            None => (String::new(), rest),
        };
        let named = hosts.trim_end_matches('/').split(',').map(str::to_owned).collect();
        let nodes = Nodes { credentials, named };
        for node in &nodes.named {
            nodes.client(node).map_err(|_| StoreError::Url {
                url: hosts.to_owned(),
                cause: format!("`{node}` is not host:port"),
            })?;
        }
        Ok(Self::Cluster(nodes))
    }
}

impl Nodes {
    pub(crate) fn client(&self, node: &str) -> Result<Client, StoreError> {
        let port = node.rsplit_once(':').and_then(|(host, port)| {
            port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty())
        });
        if port.is_none() {
            let cause = "a port is missing".to_owned();
            return Err(StoreError::Url { url: node.to_owned(), cause });
        }
        open(&format!("redis://{}{node}", self.credentials))
    }
}

fn open(url: &str) -> Result<Client, StoreError> {
    Client::open(url)
        .map_err(|cause| StoreError::Url { url: without_secret(url), cause: cause.to_string() })
}

/// An address as it may be logged: user and password left out.
fn without_secret(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://…@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use upnext_common::config;

    use super::*;

    fn keys(groups: u32) -> Keys {
        Keys::of(&config::Redis { key_groups: groups, ..config::Redis::default() }).unwrap()
    }

    #[test]
    fn a_cluster_is_named_by_any_of_its_nodes() {
        let url = "redis-cluster://me:secret@10.0.0.1:7000,[::1]:7001,node.three:7002/";
        let Ok(Address::Cluster(nodes)) = Address::parse(url, &keys(16)) else {
            panic!("a cluster")
        };
        assert_eq!(nodes.named, ["10.0.0.1:7000", "[::1]:7001", "node.three:7002"]);
        assert_eq!(nodes.credentials, "me:secret@");
        let one = Address::parse("redis://127.0.0.1:7000", &keys(16));
        assert!(matches!(one, Ok(Address::One(_))));
    }

    #[test]
    fn an_address_that_is_refused_is_told_without_its_password() {
        let refused = Address::parse("redis://me:secret@host:port", &keys(1)).unwrap_err();
        let told = refused.to_string();
        assert!(told.contains("host:port") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn a_cluster_needs_groups_and_nodes() {
        let alone = Address::parse("redis-cluster://a:1", &keys(1)).unwrap_err();
        assert!(alone.to_string().contains("key_groups"), "{alone}");
        for hosts in ["", "a", "a:0", "a:x", "a:1,", ":1"] {
            let refused = Address::parse(&format!("redis-cluster://me:pass@{hosts}"), &keys(2));
            let refused = refused.unwrap_err();
            assert!(matches!(refused, StoreError::Url { .. }), "{hosts}: {refused}");
            assert!(!refused.to_string().contains("pass"), "{refused}");
        }
    }
}
