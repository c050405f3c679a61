//! The accept loop over real sockets: slow clients, too many clients, and the drain.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use upnext_common::drain::Drain;
use upnext_http::axum::Router;
use upnext_http::axum::routing::get;
use upnext_http::{Limits, Listener, Served};

/// Longest wait for anything; reached only by a failure.
const BOUND: Duration = Duration::from_secs(20);
const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
const HELLO_ONCE: &str = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const SLOW: &str = "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// A listener at work.
struct Open {
    address: SocketAddr,
    drain: Drain,
    served: JoinHandle<Served>,
    /// Told when a slow request has begun; a slow request waits for `finish`.
    begun: Arc<Notify>,
    finish: Arc<Notify>,
}

impl Open {
    fn with(limits: Limits) -> Self {
        let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (begun, finish) = (Arc::clone(&begun), Arc::clone(&finish));
            move || async move {
                begun.notify_one();
                finish.notified().await;
                "slow"
            }
        };
        let routes =
            Router::new().route("/hello", get(|| async { "hello" })).route("/slow", get(slow));
        let listener = Listener::bind(loopback(0)).unwrap();
        let (address, drain) = (listener.address(), Drain::new());
        let served = tokio::spawn(listener.serve(routes, limits, drain.clone()));
        Self { address, drain, served, begun, finish }
    }

    async fn connect(&self) -> TcpStream {
        within(TcpStream::connect(self.address)).await.unwrap()
    }

    /// Sends and gives the connection back.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        within(stream.write_all(text.as_bytes())).await.unwrap();
        stream
    }

    async fn end(self) -> Served {
        self.drain.start();
        within(self.served).await.unwrap()
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(BOUND, future).await.expect("an outcome within the bound")
}

/// Everything until the server closes. A reset is a close, too.
async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match within(stream.read_to_end(&mut bytes)).await {
        Ok(_) | Err(_) => String::from_utf8(bytes).unwrap(),
    }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(char::from(within(stream.read_u8()).await.unwrap()));
    }
    text
}

fn limits() -> Limits {
    Limits { drain: BOUND, ..Limits::default() }
}

#[tokio::test]
async fn a_request_is_answered_and_the_connection_kept() {
    let open = Open::with(limits());
    let mut stream = open.send(HELLO).await;
    assert!(read_until(&mut stream, "hello").await.starts_with("HTTP/1.1 200"));
    stream.write_all(HELLO_ONCE.as_bytes()).await.unwrap();
    assert!(read_to_close(&mut stream).await.ends_with("hello"));
    assert_eq!(open.end().await, Served::default());
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_closed() {
    let brief = Limits { header_read_timeout: Duration::from_millis(50), ..limits() };
    let open = Open::with(brief);
    for half in ["", "GET /hello HT", "GET /hello HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = open.send(half).await;
        let said = read_to_close(&mut stream).await;
        assert!(!said.contains("hello"), "{said}");
    }
    // And the next is served as ever.
    let mut stream = open.send(HELLO_ONCE).await;
    assert!(read_to_close(&mut stream).await.ends_with("hello"));
}

#[tokio::test]
async fn what_is_not_http_is_closed() {
    let open = Open::with(limits());
    let mut stream = open.send("\u{16}\u{3}\u{1} garbage\r\n\r\n").await;
    assert!(!read_to_close(&mut stream).await.contains("200 OK"));
}

#[tokio::test]
async fn a_head_without_end_is_cut() {
    let open = Open::with(limits());
    let mut stream = open.connect().await;
    let endless = format!("GET /hello HTTP/1.1\r\nx: {}", "y".repeat(2 << 20));
    // The server may close before it has read all of it.
    stream.write_all(endless.as_bytes()).await.ok();
    assert!(!read_to_close(&mut stream).await.contains("200 OK"));
}

#[tokio::test]
async fn above_the_limit_a_connection_waits_for_another_to_close() {
    let open = Open::with(Limits { connections_max: 1, ..limits() });
    let first = open.send(SLOW).await;
    within(open.begun.notified()).await;
    let mut second = open.send(HELLO_ONCE).await;
    let early = tokio::time::timeout(Duration::from_millis(100), second.read_u8()).await;
    assert!(early.is_err(), "the second was served beside the first");
    drop(first);
    open.finish.notify_one();
    assert!(read_to_close(&mut second).await.ends_with("hello"));
}

#[tokio::test]
async fn an_open_request_is_finished_on_drain() {
    let open = Open::with(limits());
    let mut idle = open.send(HELLO).await;
    read_until(&mut idle, "hello").await;
    let mut slow = open.send(SLOW).await;
    within(open.begun.notified()).await;

    open.drain.start();
    assert_eq!(read_to_close(&mut idle).await, "", "an idle connection is closed at once");
    open.finish.notify_one();
    assert!(read_to_close(&mut slow).await.ends_with("slow"));
    let address = open.address;
    assert_eq!(open.end().await, Served { drained: 1, cut: 0 });
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut() {
    let open = Open::with(Limits { drain: Duration::from_millis(50), ..limits() });
    let mut slow = open.send(SLOW).await;
    within(open.begun.notified()).await;
    assert_eq!(open.end().await, Served { drained: 0, cut: 1 });
    assert_eq!(read_to_close(&mut slow).await, "");
}

#[tokio::test]
async fn a_taken_port_is_said_in_one_line() {
    let taken = Listener::bind(loopback(0)).unwrap();
    let error = Listener::bind(taken.address()).unwrap_err();
    assert_eq!(error.address, taken.address());
    let said = error.to_string();
    let expected = format!("cannot listen on {}: ", taken.address());
    assert!(said.starts_with(&expected) && said.contains("in use"), "{said}");
}

#[tokio::test]
async fn a_port_is_free_again_after_the_drain() {
    let open = Open::with(limits());
    let mut stream = open.send(HELLO).await;
    read_until(&mut stream, "hello").await;
    let address = open.address;
    open.end().await;
    assert_eq!(Listener::bind(address).unwrap().address(), address);
}
