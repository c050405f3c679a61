//! An `upnext up` of a test's own, and what talks to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use upnext_testkit::eventually;

pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// The binary under test, away from any configuration of the machine.
pub(crate) fn upnext(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
    command.args(arguments).stdin(Stdio::null());
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in variables.filter(|name| name.starts_with("UPNEXT_")) {
        command.env_remove(name);
    }
    command
}

/// A running `up`; killed on drop.
pub(crate) struct Up {
    child: Child,
    pub(crate) ready: Value,
}

impl Up {
    pub(crate) fn start(data_dir: &Path, more: &[&str]) -> Self {
        let mut command = upnext(&["up", "--format", "json"]);
        command.arg("--data-dir").arg(data_dir).current_dir(data_dir);
        command.args(["--set", "serve.listen=127.0.0.1:0", "--set", "ops.listen=127.0.0.1:0"]);
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        u32::try_from(self.ready["pids"][name].as_u64().unwrap()).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        call(self.text("http"), "GET", path, None)
    }

    /// What an endpoint says that is not JSON.
    pub(crate) fn text_of(&self, name: &str, path: &str) -> (u16, String) {
        exchange(self.text(name), "GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        call(self.text("http"), "POST", path, Some(body))
    }

    /// A stop as a terminal or an init system asks for it.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap()
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it without a chance to tidy up; its Redis is left behind.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        self.child.kill().ok();
        self.child.wait().ok();
        // The child of a killed `up` lives on by design; a test leaves nothing behind.
        if let Some(redis) = self.ready["pids"]["redis"].as_u64() {
            signal(u32::try_from(redis).unwrap(), "KILL");
        }
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
}

pub(crate) fn is_running(pid: u32) -> bool {
    let state = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    state.is_ok_and(|text| !text.contains(") Z "))
}

pub(crate) fn gone(pid: u32) {
    eventually(BOUND, || !is_running(pid));
}

/// One HTTP/1.1 exchange on a connection of its own: status and JSON body.
pub(crate) fn call(base: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let (status, body) = exchange(base, method, path, body);
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

fn exchange(base: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
