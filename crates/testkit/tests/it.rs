//! The kit itself: what it starts really runs, and really ends.

use std::time::Duration;

use upnext_testkit::{Redis, Stack, eventually, eventually_async, free_port, wait_for};

const BOUND: Duration = Duration::from_secs(10);

#[test]
fn redis_keeps_its_data_over_a_restart() {
    let mut redis = Redis::start();
    assert!(redis.command("SET here 1").starts_with("+OK"));
    assert!(redis.command("CONFIG GET maxmemory-policy").contains("noeviction"));
    // The append-only file is synced every second; a stop by the server itself writes all of it.
    drop(redis.command("SHUTDOWN"));
    redis.restart();
    assert!(redis.command("GET here").contains('1'));
}

#[test]
fn a_frozen_redis_answers_after_it_goes_on() {
    let redis = Redis::start();
    redis.stop_signal();
    assert_eq!(redis.command("PING"), "");
    redis.cont_signal();
    eventually(BOUND, || redis.command("PING").starts_with("+PONG"));
}

#[test]
fn redis_ends_with_its_value() {
    let redis = Redis::start();
    let port = redis.port();
    drop(redis);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn waiting_gives_what_came() {
    let mut rounds = 0;
    let value = wait_for(BOUND, async || {
        rounds += 1;
        (rounds == 3).then_some(rounds)
    });
    assert_eq!(value.await, 3);
    eventually_async(BOUND, async || free_port() > 0).await;
}

#[test]
fn waiting_ends_at_its_bound() {
    let waited = std::panic::catch_unwind(|| eventually(Duration::from_millis(20), || false));
    assert!(waited.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_runs_and_its_parts_come_back_where_they_were() {
    let mut stack = Stack::start().await;
    let registry_url = stack.registry_url().replace("http://", "");
    let registry_address = registry_url.split('/').next().unwrap().to_owned();
    for address in [stack.brokers(), registry_address] {
        assert!(std::net::TcpStream::connect(&address).is_ok(), "{address}");
    }
    let broker = stack.stop_broker().await;
    assert!(std::net::TcpStream::connect(broker).is_err());
    stack.resume_broker(broker).await;
    assert_eq!(stack.brokers(), broker.to_string());
    let registry = stack.stop_registry().await;
    stack.resume_registry(registry).await;
    assert!(std::net::TcpStream::connect(registry).is_ok());
}
