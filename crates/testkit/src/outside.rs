//! Apache Kafka and a real registry for one test, started and ended by the scripts of a directory that the
//! environment names: the suites that pass on the embedded parts are run on them for a second opinion.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::wait::free_port;

/// Names the directory of `kafka.sh` and `registry.sh`, each with `start PORT DIR` and `stop DIR`.
const SERVICES: &str = "TEST_SERVICES";
/// Seconds a service may take to answer.
const START_TIMEOUT: &str = "180";
const START_ATTEMPTS: usize = 5;

/// The scripts' directory, where the tests are to run on real services.
pub(crate) fn services() -> Option<PathBuf> {
    std::env::var_os(SERVICES).map(PathBuf::from)
}

/// One service that a script started. Ended on drop.
#[derive(Debug)]
pub(crate) struct Outside {
    script: PathBuf,
    files: PathBuf,
    address: SocketAddr,
}

impl Outside {
    /// Starts it on the port it had before, else on some free one, with its files in `files`.
    pub(crate) fn start(
        services: &Path,
        name: &str,
        files: PathBuf,
        again: Option<SocketAddr>,
    ) -> Self {
        let script = services.join(format!("{name}.sh"));
        let mut service = Self { script, files, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        for _ in 0..START_ATTEMPTS {
            // A free port, or the one after it, may be taken in between.
            service.address = again.unwrap_or_else(|| ([127, 0, 0, 1], free_port()).into());
            if service.run(&["start", &service.address.port().to_string()]) {
                return service;
            }
        }
        panic!("{} did not start in {START_ATTEMPTS} attempts", service.script.display());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn run(&self, words: &[&str]) -> bool {
        let mut command = Command::new(&self.script);
        command.args(words).arg(&self.files).env("START_TIMEOUT", START_TIMEOUT);
        command.status().expect("the script can be run").success()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let is_stopped = self.run(&["stop"]);
        assert!(is_stopped || std::thread::panicking(), "{} goes on", self.files.display());
    }
}
