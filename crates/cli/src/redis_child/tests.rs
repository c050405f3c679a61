//! The child's life: restarted when it dies, gone after a stop, found again after a crash of ours.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use upnext_testkit::eventually_async;

use super::*;

const BOUND: Duration = Duration::from_secs(20);

async fn pings(port: u16) -> bool {
    ask(port, "PING").await.is_some_and(|reply| reply.starts_with("+PONG"))
}

async fn signal(pid: u32, name: &str) {
    let command = format!("kill -{name} {pid}");
    assert!(Command::new("sh").args(["-c", &command]).status().await.unwrap().success());
}

fn is_running(pid: u32) -> bool {
    let state = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    state.is_ok_and(|text| !text.contains(") Z "))
}

#[tokio::test]
async fn a_child_that_dies_comes_back_on_its_port_with_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let child = RedisChild::start(directory.path()).await.unwrap();
    let (pid, port) = (child.pid(), child.port);
    assert!(ask(port, "SET kept 1").await.unwrap().starts_with("+OK"));
    signal(pid, "KILL").await;
    eventually_async(BOUND, async || child.pid() != pid && pings(port).await).await;
    assert!(ask(port, "GET kept").await.unwrap().contains("\r\n1\r\n"));
    child.stop().await;
    assert!(!pings(port).await);
}

#[tokio::test]
async fn a_frozen_child_is_ended_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let child = RedisChild::start(directory.path()).await.unwrap();
    let pid = child.pid();
    signal(pid, "STOP").await;
    child.stop().await;
    eventually_async(BOUND, async || !is_running(pid)).await;
}

#[tokio::test]
async fn an_orphan_is_ended_and_its_data_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let port = free_port().await.unwrap();
    let mut left = Recipe { program: PROGRAM, directory: path.clone(), port }.spawn().unwrap();
    assert!(is_up(&mut left, port).await);
    assert!(ask(port, "SET kept 1").await.unwrap().starts_with("+OK"));
    let child = RedisChild::start(&path).await.unwrap();
    assert!(left.wait().await.is_ok());
    assert!(ask(child.port, "GET kept").await.unwrap().contains("\r\n1\r\n"));
    child.stop().await;
}

#[tokio::test]
async fn a_foreign_process_with_the_same_pid_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    orphan::remember(&path, std::process::id()).unwrap();
    orphan::end(&path).await.unwrap();
    assert!(is_running(std::process::id()));
}

#[tokio::test]
async fn a_missing_program_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    let failure = RedisChild::start_program("no-such-redis", directory.path()).await.unwrap_err();
    let Failure::Unavailable { what, hint } = failure else { panic!("{failure}") };
    assert!(what.starts_with("cannot start no-such-redis"), "{what}");
    assert!(hint.contains("apt-get install redis-server"), "{hint}");
}
