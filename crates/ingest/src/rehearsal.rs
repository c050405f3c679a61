//! Judging in a child process what has killed this one: the child dies instead, and the record is known.
//!
//! The same binary under a hidden verb. Each record goes over with its schema, and comes back as one byte once its
//! verdict is had there. What the verdict was is not asked: it is had again here, by the usual way.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tracing::warn;
use upnext_common::clock::Clock;
use upnext_common::config;
use upnext_contract::framing::SchemaKey;
use upnext_contract::{Contract, Limits, Raw, RegistryClient, SchemaSource};

use crate::fuse;

/// The verb under which the binary is a child: `upnext ingest-decode`.
pub const VERB: &str = "ingest-decode";
/// Longest a child may take for one record.
const RECORD_WAIT_MAX: Duration = Duration::from_secs(10);
/// The child decodes with less stack than any thread here has, so that what survives there survives here.
const STACK_BYTES: usize = 1 << 20;
const FRAME_BYTES_MAX: u32 = 256 << 20;
const SURVIVED: u8 = 1;

/// One record and what it takes to judge it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) schema_header: Option<Vec<u8>>,
    pub(crate) timestamp_ms: i64,
    /// Its schema's text and those it refers to; `None` where it names none.
    pub(crate) schema: Option<(String, Vec<String>)>,
}

/// What became of the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Survived,
    /// The child died, or did not end, over this record.
    Died(String),
    /// No child could be had, which says nothing about the record.
    NoChild(String),
}

/// A child at work, started when it is needed.
pub(crate) struct Rehearsal {
    program: PathBuf,
    child: Option<Child>,
}

impl Rehearsal {
    pub(crate) fn new(program: &Path) -> Self {
        Self { program: program.to_owned(), child: None }
    }

    /// Lets a child judge one record. A child may end for another reason, so that only a second one proves it.
    pub(crate) async fn attempt(&mut self, trial: &Trial) -> Outcome {
        match self.attempt_once(trial).await {
            Outcome::Died(how) => {
                warn!(how, "a record may have killed the child, another one tries it");
                self.attempt_once(trial).await
            }
            outcome @ (Outcome::Survived | Outcome::NoChild(_)) => outcome,
        }
    }

    async fn attempt_once(&mut self, trial: &Trial) -> Outcome {
        let mut child = match self.child.take().map_or_else(|| self.start(), Ok) {
            Ok(child) => child,
            Err(cause) => return Outcome::NoChild(cause),
        };
        match tokio::time::timeout(RECORD_WAIT_MAX, exchange(&mut child, trial)).await {
            Ok(Ok(())) => {
                self.child = Some(child);
                Outcome::Survived
            }
            Ok(Err(_)) => match child.wait().await {
                Ok(status) => Outcome::Died(format!("the process that decoded it ended: {status}")),
                Err(error) => Outcome::NoChild(error.to_string()),
            },
            Err(_) => {
                // Killed when it is dropped.
                Outcome::Died(format!("decoding it took longer than {RECORD_WAIT_MAX:?}"))
            }
        }
    }

    fn start(&self) -> Result<Child, String> {
        Command::new(&self.program)
            .arg(VERB)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // A terminal's Ctrl-C is for the daemon.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))
    }
}

async fn exchange(child: &mut Child, trial: &Trial) -> std::io::Result<()> {
    let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let body = serde_json::to_vec(trial)?;
    let length = u32::try_from(body.len()).map_err(|_| broken())?;
    let input = child.stdin.as_mut().ok_or_else(broken)?;
    input.write_all(&length.to_be_bytes()).await?;
    input.write_all(&body).await?;
    input.flush().await?;
    let mut answer = [0];
    child.stdout.as_mut().ok_or_else(broken)?.read_exact(&mut answer).await?;
    if answer == [SURVIVED] { Ok(()) } else { Err(broken()) }
}

/// The child: judges what comes in until nothing more does.
///
/// # Errors
/// When what comes in is not what a parent writes, or no thread can be had.
pub fn run(input: impl Read + Send, mut output: impl Write + Send) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let work = move || answer_all(input, &mut output);
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let done = thread.spawn_scoped(scope, work)?.join();
        done.map_err(|_| std::io::Error::other("decoding panicked"))?
    })
}

fn answer_all(mut input: impl Read, output: &mut impl Write) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut length = [0; 4];
    loop {
        match input.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let length = u32::from_be_bytes(length);
        if length > FRAME_BYTES_MAX {
            return Err(std::io::Error::other("a frame that is too long"));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(0)];
        input.read_exact(&mut body)?;
        let trial: Trial = serde_json::from_slice(&body)?;
        runtime.block_on(judge(&trial)).map_err(std::io::Error::other)?;
        output.write_all(&[SURVIVED])?;
        output.flush()?;
    }
}

/// By the same way as in the daemon, with the one schema for all that is known.
async fn judge(trial: &Trial) -> Result<(), upnext_contract::RegistryError> {
    fuse::burn(trial.value.as_deref());
    let nowhere = "http://127.0.0.1:9";
    let client = RegistryClient::new(nowhere, &config::Registry::default(), Clock::system())?;
    if let (Some(key), Some((text, references))) = (schema_key(trial), &trial.schema) {
        let source = SchemaSource { text: text.clone(), references: references.clone() };
        if client.learn(key, &source).is_err() {
            // A flaw is a verdict, and it was had.
            return Ok(());
        }
    }
    let contract = Contract::new(Arc::new(client), Limits::default(), "");
    let raw = Raw {
        key: trial.key.as_deref(),
        value: trial.value.as_deref(),
        schema_header: trial.schema_header.as_deref(),
        timestamp_ms: trial.timestamp_ms,
    };
    if trial.schema.is_some() || schema_key(trial).is_none() {
        // Trouble cannot be: what is asked for is known.
        contract.judge(raw).await.ok();
    }
    Ok(())
}

fn schema_key(trial: &Trial) -> Option<SchemaKey> {
    let value = trial.value.as_deref().unwrap_or_default();
    let unframed = upnext_contract::framing::unframe_with(value, trial.schema_header.as_deref());
    unframed.ok().map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(value: &[u8], schema: Option<&str>) -> Trial {
        Trial {
            key: None,
            value: Some(value.to_vec()),
            schema_header: None,
            timestamp_ms: 0,
            schema: schema.map(|text| (text.to_owned(), Vec::new())),
        }
    }

    fn frames(trials: &[Trial]) -> Vec<u8> {
        let mut all = Vec::new();
        for trial in trials {
            let body = serde_json::to_vec(trial).unwrap();
            all.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
            all.extend_from_slice(&body);
        }
        all
    }

    #[test]
    fn the_child_answers_each_record_it_survives() {
        let input = frames(&[
            trial(b"garbage", None),
            trial(&[0, 0, 0, 0, 7, 2], Some("\"int\"")),
            trial(&[0, 0, 0, 0, 7, 2], Some("no schema")),
            trial(&[0, 0, 0, 0, 7, 2], None),
        ]);
        let mut output = Vec::new();
        run(&input[..], &mut output).unwrap();
        assert_eq!(output, [SURVIVED; 4]);
    }

    #[test]
    fn the_child_refuses_what_no_parent_writes() {
        let mut output = Vec::new();
        for input in [&b"\0\0\0\x02{}"[..], &b"\xff\xff\xff\xff"[..], &b"\0\0\0\x09{"[..]] {
            assert!(run(input, &mut output).is_err());
        }
        assert!(output.is_empty());
    }

    #[tokio::test]
    async fn a_program_that_ends_is_a_death_and_one_that_is_none_is_not() {
        let record = trial(b"x", None);
        let mut gone = Rehearsal::new(Path::new("/nonexistent/program"));
        assert!(matches!(gone.attempt(&record).await, Outcome::NoChild(_)));
        let mut ends = Rehearsal::new(Path::new("/bin/false"));
        assert!(matches!(ends.attempt(&record).await, Outcome::Died(_)));
    }
}
