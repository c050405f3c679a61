//! Everything that runs: broker, registry, two ingests, the features workers, two Redis and the proxies between.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_common::generation::Generation;
use upnext_contract::{Encoder, RegistryClient};
use upnext_kafka::admin;
use upnext_store::{Generations, Reader};

use crate::lack::Lack;
use crate::process::{Process, Recipe};
use crate::proxy::Proxy;
use crate::rebuilding::Rebuilding;
use crate::redis::Node;

pub(crate) const PREFIX: &str = "upnext.";
const START_BOUND: Duration = Duration::from_secs(30);
const LINK_BOUND: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// Longest wait for one answer of Redis where it is only looked at.
const READ_MS: u64 = 5_000;
const INGESTS: usize = 2;
/// Features workers that run; one more comes and goes.
pub(crate) const WORKERS: usize = 2;

/// What differs from run to run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The `upnext` binary.
    pub(crate) binary: PathBuf,
    /// Run the daemons in this program, one of them without that guard; `None`: `upnext`.
    pub(crate) weakened: Option<Lack>,
    /// Longest time between two commits of ingest, and so how much it repeats after a crash.
    pub(crate) commit_ms: u64,
    /// Groups that keys in Redis fall into.
    pub(crate) key_groups: u32,
}

pub(crate) struct Scene {
    pub(crate) directory: PathBuf,
    pub(crate) brokers: String,
    registry_url: String,
    pub(crate) broker: Process,
    pub(crate) registry: Process,
    pub(crate) ingests: Vec<Process>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) rebuild: Rebuilding,
    redis: config::Redis,
    pub(crate) nodes: [Node; 2],
    /// Which of the nodes is the master.
    pub(crate) master: usize,
    /// From the replica to its master.
    pub(crate) link: Proxy,
}

/// A features daemon, and its way to Redis.
pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) proxy: Proxy,
}

impl Scene {
    /// Starts everything and waits until topics and schemas are there.
    ///
    /// # Errors
    /// When something does not start.
    pub(crate) async fn start(directory: &Path, settings: &Settings) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory.join("logs"))?;
        let ports = Ports::free()?;
        let brokers = format!("127.0.0.1:{}", ports.broker);
        let registry_url = format!("http://127.0.0.1:{}", ports.registry);
        let config = directory.join("upnext.toml");
        std::fs::write(&config, text(&brokers, &registry_url, settings))?;
        let broker = Process::start("broker", server("broker", directory, ports.broker)?)?;
        let registry = Process::start("registry", server("registry", directory, ports.registry)?)?;
        let [first, second] = ports.redis;
        let nodes = [
            Node::start("redis-a", directory.join("redis-a"), first).await?,
            Node::start("redis-b", directory.join("redis-b"), second).await?,
        ];
        let link = Proxy::start(nodes[0].address).await?;
        nodes[1].follow(Some(link.address())).await?;
        let (ingests, workers) = (Vec::new(), Vec::new());
        let proxy = Proxy::start(nodes[0].address).await?;
        let rebuild = rebuild(directory, &config, settings, &proxy);
        let rebuild = Rebuilding::idle(Process::idle("rebuild", rebuild), proxy);
        let redis = config::Redis {
            key_groups: settings.key_groups,
            read_timeout_ms: READ_MS,
            ..config::Redis::default()
        };
        let directory = directory.to_owned();
        let mut scene = Self {
            directory,
            brokers,
            registry_url,
            broker,
            registry,
            ingests,
            workers,
            rebuild,
            redis,
            nodes,
            master: 0,
            link,
        };
        scene.ensure_topics().await?;
        if !scene.nodes[1].is_linked(LINK_BOUND).await {
            bail!("the replica does not follow");
        }
        scene.start_daemons(&config, settings).await?;
        Ok(scene)
    }

    async fn start_daemons(&mut self, config: &Path, settings: &Settings) -> anyhow::Result<()> {
        for number in 0..INGESTS {
            let name = format!("ingest-{number}");
            let recipe = self.ingest(&name, config, settings);
            self.ingests.push(Process::start(&name, recipe)?);
        }
        for number in 0..=WORKERS {
            let name = format!("features-{number}");
            let proxy = Proxy::start(self.nodes[0].address).await?;
            let url = format!("redis://{}", proxy.address());
            let recipe = self.features(&name, config, settings, url);
            let mut process = Process::idle(&name, recipe);
            if number < WORKERS {
                process.spawn()?;
            }
            self.workers.push(Worker { process, proxy });
        }
        Ok(())
    }

    /// Makes the topics, once the broker is up.
    async fn ensure_topics(&self) -> anyhow::Result<()> {
        let up = async {
            while admin::check(&self.brokers, Duration::from_secs(1)).await.is_err() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START_BOUND, up).await.context("the broker does not come up")?;
        admin::ensure_topics(&self.brokers, &config::Kafka::default()).await?;
        Ok(())
    }

    /// A client of the registry.
    ///
    /// # Errors
    /// When its settings are refused.
    pub(crate) fn registry_client(&self) -> anyhow::Result<Arc<RegistryClient>> {
        let settings = config::Registry::default();
        let client = RegistryClient::new(&self.registry_url, &settings, Clock::system())?;
        Ok(Arc::new(client))
    }

    /// Our schemas, registered once the registry is up.
    ///
    /// # Errors
    /// When the registry refuses them or does not come up.
    pub(crate) async fn encoder(&self) -> anyhow::Result<Encoder> {
        let client = self.registry_client()?;
        let registered = async {
            loop {
                match Encoder::register_all(&client, PREFIX).await {
                    Err(error) if error.fault().may_retry() => tokio::time::sleep(POLL).await,
                    registered => return registered,
                }
            }
        };
        let registered = tokio::time::timeout(START_BOUND, registered).await;
        Ok(registered.context("the registry does not come up")??)
    }

    /// What stands in the master above all generations.
    ///
    /// # Errors
    /// When it has no address.
    pub(crate) fn generations(&self) -> anyhow::Result<Generations> {
        Ok(Generations::connect(&self.master_url(), &self.redis)?)
    }

    /// A way to the state of a generation in the master.
    ///
    /// # Errors
    /// When it has no address.
    pub(crate) fn reader(&self, generation: Generation) -> anyhow::Result<Reader> {
        let key_prefix = generation.key_prefix(&self.redis.key_prefix);
        let redis = config::Redis { key_prefix, ..self.redis.clone() };
        Ok(Reader::connect(&self.master_url(), &redis, Clock::system())?)
    }

    /// The generation that serves, and a way to its state that is up.
    ///
    /// # Errors
    /// When the master does not answer.
    pub(crate) async fn serving(&self) -> anyhow::Result<(Generation, Reader)> {
        let generations = self.generations()?;
        let answered = async {
            loop {
                if let Ok(serving) = generations.serving().await {
                    return serving;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let serving = tokio::time::timeout(START_BOUND, answered).await;
        let serving = serving.context("the master does not say which generation serves")?;
        let reader = self.reader(serving)?;
        let up = async {
            while !reader.is_up() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START_BOUND, up).await.context("the master does not answer")?;
        Ok((serving, reader))
    }

    fn master_url(&self) -> String {
        format!("redis://{}", self.master().address)
    }

    pub(crate) fn master(&self) -> &Node {
        &self.nodes[self.master]
    }

    /// Sends every worker to the master that there is now.
    pub(crate) fn join_master(&self) {
        for worker in &self.workers {
            worker.proxy.switch(Some(self.master().address));
        }
        self.rebuild.proxy.switch(Some(self.master().address));
    }

    /// All processes that are to run: those that ended by themselves are started again. Gives how often each has.
    ///
    /// # Errors
    /// When one cannot be started.
    pub(crate) fn revive(&mut self) -> anyhow::Result<Vec<(String, u32)>> {
        let nodes = self.nodes.iter_mut().map(|node| &mut node.process);
        let workers = self.workers.iter_mut().map(|worker| &mut worker.process);
        let all = [&mut self.broker, &mut self.registry].into_iter().chain(&mut self.ingests);
        let all = all.chain(workers).chain(nodes);
        let revived = all.map(|process| Ok((process.name.clone(), process.revive()?)));
        revived.filter(|ended| ended.as_ref().map_or(true, |(_, deaths)| *deaths > 0)).collect()
    }

    fn ingest(&self, name: &str, config: &Path, settings: &Settings) -> Recipe {
        let (settings, config) = (settings.clone(), config.to_owned());
        let (log, data) = (self.log(name), self.directory.join(name));
        Box::new(move || {
            let mut command = match settings.weakened {
                None => Command::new(&settings.binary),
                Some(_) => Command::new(own_binary()),
            };
            command.arg("ingest").arg("--config").arg(&config).arg("--data-dir").arg(&data);
            command.args(settings.weakened.iter().flat_map(|lack| ["--weaken", lack.name()]));
            command.stdin(Stdio::null()).stderr(appended(&log));
            command
        })
    }

    fn features(&self, name: &str, config: &Path, settings: &Settings, url: String) -> Recipe {
        let (settings, config) = (settings.clone(), config.to_owned());
        let (log, data) = (self.log(name), self.directory.join(name));
        Box::new(move || {
            let mut command = match settings.weakened {
                None => {
                    let mut command = Command::new(&settings.binary);
                    command.args(["features", "--set", &format!("redis.url={url}")]);
                    command.arg("--data-dir").arg(&data);
                    command
                }
                Some(lack) => {
                    let mut command = Command::new(own_binary());
                    command.args(["features", "--redis", &url, "--weaken", lack.name()]);
                    command
                }
            };
            command.arg("--config").arg(&config);
            command.stdin(Stdio::null()).stderr(appended(&log));
            command
        })
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join("logs").join(name)
    }
}

/// Ports that were free a moment ago, each another.
struct Ports {
    broker: u16,
    registry: u16,
    redis: [u16; 2],
}

impl Ports {
    fn free() -> anyhow::Result<Self> {
        let held: Vec<TcpListener> = (0..4)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()?;
        let port = |at: usize| held[at].local_addr().map(|address| address.port());
        Ok(Self { broker: port(0)?, registry: port(1)?, redis: [port(2)?, port(3)?] })
    }
}

/// This program as a broker or as a registry.
fn server(role: &'static str, directory: &Path, port: u16) -> anyhow::Result<Recipe> {
    let files = directory.join(role);
    std::fs::create_dir_all(&files)?;
    let log = directory.join("logs").join(role);
    let port = port.to_string();
    Ok(Box::new(move || {
        let mut command = Command::new(own_binary());
        command.args([role, "--port", &port]);
        command.arg("--files").arg(&files).stdin(Stdio::piped()).stderr(appended(&log));
        command
    }))
}

fn rebuild(directory: &Path, config: &Path, settings: &Settings, proxy: &Proxy) -> Recipe {
    let (binary, config) = (settings.binary.clone(), config.to_owned());
    let url = format!("redis.url=redis://{}", proxy.address());
    let (log, data) = (directory.join("logs").join("rebuild"), directory.join("rebuild"));
    Box::new(move || {
        let mut command = Command::new(&binary);
        command.args(["features", "rebuild", "--set", &url, "--config"]).arg(&config);
        command.arg("--data-dir").arg(&data).stdin(Stdio::null()).stderr(appended(&log));
        command
    })
}

/// This program, for its other roles.
fn own_binary() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("upnext-chaos"))
}

fn appended(path: &Path) -> Stdio {
    let file = File::options().create(true).append(true).open(path);
    file.map_or_else(|_| Stdio::null(), Stdio::from)
}

/// Few states stay in memory, so that they are read again all the time. What is late is late for the windows, not for
/// the contract.
fn text(brokers: &str, registry: &str, settings: &Settings) -> String {
    format!(
        "[kafka]\nbrokers = \"{brokers}\"\n\
         [registry]\nurl = \"{registry}\"\nunknown_grace_ms = 1000\nnegative_ttl_ms = 60000\n\
         [ops]\nlisten = \"127.0.0.1:0\"\n\
         [log]\nfilter = \"info\"\n\
         [ingest]\nevent_age_max_ms = 864000000\nbatch_wait_ms = {}\nbatch_records_max = 20000\n\
         [redis]\nkey_groups = {}\n\
         [features]\ncached_states_max = 400\n",
        settings.commit_ms, settings.key_groups
    )
}
