//! A system that runs, and what a test does to it from outside.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use upnext_testkit::eventually;

pub(crate) const BOUND: Duration = Duration::from_secs(90);
/// Answers wait for features and models however busy the machine is.
const SETTINGS: [&str; 6] = [
    "serve.listen=127.0.0.1:0",
    "ops.listen=127.0.0.1:0",
    "serve.allow_as_of=true",
    "serve.deadline_ms=20000",
    "redis.read_timeout_ms=10000",
    "log.filter=warn",
];

/// `upnext up` on a directory of its own; ended when dropped.
pub(crate) struct Up {
    child: Child,
    ready: Value,
    directory: tempfile::TempDir,
}

impl Up {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = upnext(&["up", "--format", "json"], &directory);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, ready, directory }
    }

    /// Another verb against this system.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        upnext(arguments, &self.directory).output().unwrap()
    }

    /// The same, which must succeed; what it said.
    #[track_caller]
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {:?} {text} {errors}", output.status);
        text
    }

    pub(crate) fn http(&self) -> String {
        self.ready["http"].as_str().unwrap().to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = call(&self.http(), ("GET", path), None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sends events and waits until answers see them.
    pub(crate) fn send(&self, events: &[Value]) {
        let body = json!({ "events": events });
        // The wait is bounded to seconds; the events are written once, whatever it says.
        let (status, told) = call(&self.http(), ("POST", "/v1/events"), Some(&body));
        assert_eq!((status, &told["accepted"]), (202, &json!(events.len())), "{told}");
    }

    /// One line of the inline form of Redis' protocol; the whole reply to a `PING` after it ends the answer.
    pub(crate) fn redis(&self, line: &str) -> String {
        let address = self.ready["redis"].as_str().unwrap().trim_start_matches("redis://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// The bytes under a key.
    pub(crate) fn stored(&self, key: &str) -> Option<Vec<u8>> {
        let address = self.ready["redis"].as_str().unwrap().trim_start_matches("redis://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(format!("GET {key}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        let end = reply.iter().position(|byte| *byte == b'\n')?;
        let length: usize = std::str::from_utf8(&reply[1..end]).ok()?.trim().parse().ok()?;
        Some(reply[end + 1..end + 1 + length].to_vec())
    }

    pub(crate) fn put(&self, key: &str, blob: &[u8]) {
        assert!(self.redis(&format!("SET {key} {}", quoted(blob))).starts_with("+OK"));
        assert_eq!(self.stored(key).as_deref(), Some(blob));
    }

    /// Waits until what was sent is in the state of its user.
    pub(crate) fn counted(&self, user_id: &str, events: u64) {
        eventually(BOUND, || {
            events_of(&self.get(&format!("/v1/users/{user_id}/export"))) == events
        });
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = self.child.id();
        Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().ok();
        self.child.wait().ok();
    }
}

fn upnext(arguments: &[&str], directory: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upnext"));
    command.args(arguments).stdin(Stdio::null()).current_dir(directory.path());
    command.arg("--data-dir").arg(directory.path().join("data"));
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in variables.filter(|name| name.starts_with("UPNEXT_")) {
        command.env_remove(name);
    }
    command
}

/// Bytes as Redis reads them in a quoted word.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        write!(text, "\\x{byte:02x}").unwrap();
    }
    text + "\""
}

/// Events counted in all states of an export.
pub(crate) fn events_of(export: &Value) -> u64 {
    let states = export["states"].as_array().unwrap().iter();
    let counts = states.flat_map(|state| state["counts"].as_object().unwrap().values());
    counts.map(|count| count.as_u64().unwrap()).sum()
}

/// One HTTP/1.1 exchange on a connection of its own: status and JSON body.
pub(crate) fn call(base: &str, (method, path): (&str, &str), body: Option<&Value>) -> (u16, Value) {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nx-upnext-deadline-ms: 20000\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
