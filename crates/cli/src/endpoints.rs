//! Where a running system is reached: the ready line of `up`, and the file by which other verbs find it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use upnext_common::config::Config;

use crate::failure::Failure;

const FILE: &str = "endpoints.json";

/// What `up --format json` prints when it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) ready: bool,
    pub(crate) http: String,
    pub(crate) ops: String,
    /// `host:port`
    pub(crate) kafka: String,
    pub(crate) registry: String,
    pub(crate) redis: String,
    pub(crate) pids: Pids,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pids {
    pub(crate) upnext: u32,
    /// Absent when Redis is not our child.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) redis: Option<u32>,
}

impl Endpoints {
    /// Written when ready, removed after the drain: one that is left behind tells where a killed `up` was.
    pub(crate) fn save(&self, data_dir: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string(self).context("cannot write the endpoints")?;
        let path = data_dir.join(FILE);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    pub(crate) fn forget(data_dir: &Path) {
        std::fs::remove_file(data_dir.join(FILE)).ok();
    }

    fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(data_dir.join(FILE)).ok()?).ok()
    }
}

/// A service given by the configuration: `None` when it is unset or its port is 0, which mean the embedded one.
pub(crate) fn outside(address: Option<&String>) -> Option<&str> {
    address.map(String::as_str).filter(|text| !text.trim_end_matches('/').ends_with(":0"))
}

/// The system that a verb talks to: what is configured, else the `up` on the same data directory.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    config: Config,
    found: Option<Endpoints>,
}

impl Target {
    pub(crate) fn find(config: &Config) -> Self {
        Self { config: config.clone(), found: Endpoints::read(&config.data_dir) }
    }

    pub(crate) fn of(config: &Config, endpoints: &Endpoints) -> Self {
        Self { config: config.clone(), found: Some(endpoints.clone()) }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// # Errors
    /// [`Failure::Unavailable`] when nothing says where it is; so do the others.
    pub(crate) fn brokers(&self) -> Result<String, Failure> {
        let configured = outside(self.config.kafka.brokers.as_ref());
        self.pick("kafka.brokers", configured, |found| &found.kafka)
    }

    pub(crate) fn registry(&self) -> Result<String, Failure> {
        let configured = outside(self.config.registry.url.as_ref());
        self.pick("registry.url", configured, |found| &found.registry)
    }

    pub(crate) fn redis(&self) -> Result<String, Failure> {
        let configured = outside(self.config.redis.url.as_ref());
        self.pick("redis.url", configured, |found| &found.redis)
    }

    /// The base URL of the public API: the running `up`'s, else what `serve.listen` says.
    pub(crate) fn http(&self) -> String {
        match &self.found {
            Some(found) => found.http.clone(),
            None => format!("http://{}", self.config.serve.listen),
        }
    }

    /// The base URL of probes and metrics, found as the public API's is.
    pub(crate) fn ops(&self) -> String {
        match &self.found {
            Some(found) => found.ops.clone(),
            None => format!("http://{}", self.config.ops.listen),
        }
    }

    fn pick(
        &self,
        key: &str,
        configured: Option<&str>,
        of: impl Fn(&Endpoints) -> &String,
    ) -> Result<String, Failure> {
        let found = || self.found.as_ref().map(|found| of(found).clone());
        configured.map(str::to_owned).or_else(found).ok_or_else(|| {
            let data_dir: PathBuf = self.config.data_dir.clone();
            Failure::unavailable(
                format!("{key} is not set, and no `upnext up` runs on {}", data_dir.display()),
                format!("start one (upnext up --data-dir {}), or set {key}", data_dir.display()),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints {
            ready: true,
            http: "http://127.0.0.1:1".to_owned(),
            ops: "http://127.0.0.1:2".to_owned(),
            kafka: "127.0.0.1:3".to_owned(),
            registry: "http://127.0.0.1:4".to_owned(),
            redis: "redis://127.0.0.1:5".to_owned(),
            pids: Pids { upnext: 6, redis: Some(7) },
        }
    }

    #[test]
    fn the_ready_line_is_one_line_of_the_promised_shape() {
        let text = serde_json::to_string(&endpoints()).unwrap();
        let expected = "{\"ready\":true,\"http\":\"http://127.0.0.1:1\",\"ops\":\"http://127.0.0.1:2\",\
            \"kafka\":\"127.0.0.1:3\",\"registry\":\"http://127.0.0.1:4\",\
            \"redis\":\"redis://127.0.0.1:5\",\"pids\":{\"upnext\":6,\"redis\":7}}";
        assert_eq!(text, expected);
    }

    #[test]
    fn unset_or_port_0_means_embedded() {
        for text in ["127.0.0.1:0", "redis://127.0.0.1:0", "http://127.0.0.1:0/"] {
            assert_eq!(outside(Some(&text.to_owned())), None, "{text}");
        }
        assert_eq!(outside(None), None);
        assert_eq!(outside(Some(&"a:9092".to_owned())), Some("a:9092"));
    }

    #[test]
    fn the_configuration_wins_over_the_running_system() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: directory.path().to_path_buf(), ..Config::default() };
        let failure = Target::find(&config).brokers().unwrap_err();
        assert!(failure.to_string().starts_with("kafka.brokers is not set"), "{failure}");
        endpoints().save(directory.path()).unwrap();
        assert_eq!(Target::find(&config).brokers().unwrap(), "127.0.0.1:3");
        assert_eq!(Target::find(&config).http(), "http://127.0.0.1:1");
        config.kafka.brokers = Some("elsewhere:9092".to_owned());
        assert_eq!(Target::find(&config).brokers().unwrap(), "elsewhere:9092");
        Endpoints::forget(directory.path());
        assert_eq!(Target::find(&config).http(), "http://127.0.0.1:8080");
    }
}
