//! Starting and stopping: what is wrong is said before the port opens, what is open is finished.

use std::net::SocketAddr;

use serde_json::json;
use upnext_serve::ServeError;
use upnext_testkit::free_port;

use crate::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_for_everybody_needs_the_callers_word() {
    let stack = Stack::start().await;
    let mut config = stack.config();
    config.serve.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = stack.serve_with(config.clone()).start().await.unwrap_err();
    assert!(matches!(error, ServeError::OpenToEverybody { .. }), "{error}");
    assert!(error.to_string().contains("--insecure"), "{error}");
    assert!(!error.fault().may_retry());
    let mut serve = stack.serve_with(config);
    serve.insecure = true;
    let drain = serve.drain.clone();
    let running = serve.start().await.unwrap();
    drain.start();
    running.finished().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_at_the_start_is_said() {
    let stack = Stack::start().await;
    let served = stack.serve(stack.config()).await;
    let mut config = stack.config();
    config.serve.listen = served.running.address();
    let taken = stack.serve_with(config).start().await.unwrap_err();
    assert!(matches!(taken, ServeError::Bind(_)), "{taken}");
    let mut serve = stack.serve_with(stack.config());
    serve.redis_url = "not a url".to_owned();
    let error = serve.start().await.unwrap_err();
    assert!(matches!(error, ServeError::Store(_)), "{error}");
    let mut serve = stack.serve_with(stack.config());
    serve.registry_url = format!("http://127.0.0.1:{}", free_port());
    let error = serve.start().await.unwrap_err();
    assert!(matches!(error, ServeError::Registry(_)), "{error}");
    assert!(error.fault().may_retry());
    let mut serve = stack.serve_with(stack.config());
    serve.brokers = format!("127.0.0.1:{}", free_port());
    let error = serve.start().await.unwrap_err();
    assert!(matches!(error, ServeError::Log(_)), "{error}");
    served.stop().await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_and_counts_what_was_written() {
    let stack = Stack::start().await;
    let served = stack.serve(stack.config()).await;
    for _ in 0..5 {
        assert_eq!(served.client.ask(&json!({}), &[]).await.status, 200);
    }
    let drained = served.stop().await;
    assert_eq!((drained.decisions, drained.cut), (5, 0));
    stack.stop().await;
}
