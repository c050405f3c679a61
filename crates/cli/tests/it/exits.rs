//! How wrong usage, wrong configuration and missing dependencies end: one clear line and the promised code.

use std::net::TcpListener;
use std::process::{Command, Output};

use upnext_testkit::free_port;

use crate::running::{Up, upnext};

#[track_caller]
fn check(mut command: Command, code: i32, expected: &[&str]) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in expected {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    output
}

#[test]
fn an_unknown_key_exits_78_with_its_place_and_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("upnext.toml"), "[serve]\ndeadlin_ms = 3\n").unwrap();
    for verb in [&["up"][..], &["config", "validate"], &["serve"]] {
        let mut command = upnext(verb);
        command.current_dir(directory.path());
        check(
            command,
            78,
            &["upnext.toml:2:1: unknown field `deadlin_ms`", "did you mean `deadline_ms`?"],
        );
    }
}

#[test]
fn the_environment_is_read_and_named() {
    let mut command = upnext(&["config", "show"]);
    command.env("UPNEXT_SERVE__DEADLINE_MS", "77");
    let output = check(command, 0, &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("deadline_ms = 77"));
    let mut command = upnext(&["config", "show"]);
    command.env("UPNEXT_SERVE__DEADLINE_MS", "soon");
    check(command, 78, &["UPNEXT_SERVE__DEADLINE_MS: invalid type"]);
}

#[test]
fn wrong_usage_exits_64_and_help_exits_0() {
    check(upnext(&["nope"]), 64, &["unrecognized subcommand"]);
    check(upnext(&["up", "--for", "soon"]), 64, &["write 60s, 5m or 1h"]);
    for verb in
        ["up", "ingest", "features", "serve", "import", "train", "evaluate", "simulate", "config"]
    {
        let output = check(upnext(&[verb, "--help"]), 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{verb}");
    }
    for verb in [["events", "send"], ["events", "validate"], ["dlq", "ls"], ["dlq", "show"]] {
        let output = check(upnext(&[verb[0], verb[1], "--help"]), 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{verb:?}");
    }
}

#[test]
fn an_open_listener_exits_78_and_names_insecure() {
    let command = upnext(&["config", "validate", "--set", "serve.listen=0.0.0.0:0"]);
    check(command, 78, &["serve.listen", "--insecure"]);
}

#[test]
fn a_taken_port_exits_69_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let listen = format!("serve.listen={}", busy.local_addr().unwrap());
    let mut command = upnext(&["up", "--set", &listen, "--data-dir"]);
    command.arg(directory.path());
    check(
        command,
        69,
        &["error: serve.listen: cannot listen on 127.0.0.1:", "hint: stop what listens there"],
    );
    assert!(!directory.path().join("redis").exists());
}

#[test]
fn a_missing_redis_server_exits_69_and_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = upnext(&["up", "--set", "serve.listen=127.0.0.1:0"]);
    command.args(["--set", "ops.listen=127.0.0.1:0", "--data-dir"]).arg(directory.path());
    command.env("PATH", directory.path());
    check(command, 69, &["cannot start redis-server", "apt-get install redis-server"]);
}

#[test]
fn an_unreachable_broker_exits_69() {
    let brokers = format!("kafka.brokers=127.0.0.1:{}", free_port());
    let mut command = upnext(&["ingest", "--set", &brokers]);
    command.args(["--set", "registry.url=http://127.0.0.1:1", "--set", "ops.listen=127.0.0.1:0"]);
    check(command, 69, &["no kafka broker answers at 127.0.0.1:", "check kafka.brokers"]);
}

#[test]
fn a_verb_without_a_system_exits_69_and_says_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = upnext(&["dlq", "ls", "--data-dir"]);
    command.arg(directory.path());
    check(command, 69, &["kafka.brokers is not set", "upnext up --data-dir"]);
}

#[test]
fn a_second_up_on_the_same_directory_exits_69() {
    let directory = tempfile::tempdir().unwrap();
    let first = Up::start(directory.path(), &[]);
    let mut command = upnext(&["up", "--set", "serve.listen=127.0.0.1:0", "--data-dir"]);
    command.arg(directory.path()).args(["--set", "ops.listen=127.0.0.1:0"]);
    check(command, 69, &["is in use by another upnext"]);
    assert!(first.terminate().success());
}

#[test]
fn events_are_validated_without_a_system() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.jsonl");
    let good = "{\"type\":\"ItemClicked\",\"user_id\":\"u\",\"item_id\":\"a\"}\n";
    std::fs::write(&path, good).unwrap();
    let validate = || {
        let mut command = upnext(&["events", "validate"]);
        command.arg(&path);
        command
    };
    check(validate(), 0, &[]);
    let bad = "{\"type\":\"ItemClicked\",\"item_id\":\"a\"}\n";
    std::fs::write(&path, format!("{good}{bad}")).unwrap();
    let output = check(validate(), 1, &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("line 2: ") && said.contains("1 accepted, 1 rejected"), "{said}");
    let output = check(
        {
            let mut command = validate();
            command.args(["--format", "json", "--allow", "missing=1"]);
            command
        },
        0,
        &[],
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["ok"], &said["counts"]["missing"]), (&true.into(), &1.into()), "{said}");
    assert_eq!((&said["failures"][0]["line"], &said["accepted"]), (&2.into(), &1.into()), "{said}");
    std::fs::write(&path, "{\"type\":").unwrap();
    let output = check(validate(), 1, &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("line 1: format : not JSON"), "{said}");
    std::fs::write(&path, "no header of ours\n").unwrap();
    check(validate(), 64, &["the first line must name the columns"]);
    let rows = "ts_ms,user_id,session_id,item_id,event_type\n1700000000000,u,s,a,view\n\
        1700000000000,u,s,a,bookmark\n1700000000000,,,a,view\n";
    std::fs::write(&path, rows).unwrap();
    let output = check(validate(), 1, &[]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("line 3: enum /type") && said.contains("1 accepted, 2 rejected"),
        "{said}"
    );
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = check(upnext(&["completions", shell]), 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("simulate"), "{shell}");
    }
}
