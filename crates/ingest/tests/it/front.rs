//! Something that stands before the registry and fails as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// An answer of this status.
    Status(u16),
    /// Taken, and never answered.
    Hanging,
    /// The connection is closed at once.
    Gone,
}

pub(crate) struct Front {
    pub(crate) url: String,
    fault: watch::Sender<Fault>,
    /// Connections that asked for something while there was a fault.
    pub(crate) failed: Arc<AtomicU64>,
}

impl Front {
    pub(crate) async fn before(registry_url: &str) -> Self {
        let (address, path) = parts(registry_url);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}{path}", listener.local_addr().unwrap());
        let (fault, mut told) = watch::channel(Fault::None);
        let failed = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&failed);
        tokio::spawn(async move {
            let mut open = JoinSet::new();
            loop {
                tokio::select! {
                    changed = told.changed() => {
                        // What is open ends with the fault it began under.
                        open.abort_all();
                        if changed.is_err() {
                            return;
                        }
                    }
                    taken = listener.accept() => {
                        let (stream, _) = taken.unwrap();
                        let fault = *told.borrow();
                        if fault != Fault::None {
                            counted.fetch_add(1, Ordering::AcqRel);
                        }
                        open.spawn(serve(stream, address, fault));
                    }
                }
            }
        });
        Self { url, fault, failed }
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.fault.send(fault).unwrap();
    }
}

/// Where a registry listens, and the path under which it answers.
fn parts(registry_url: &str) -> (SocketAddr, &str) {
    let rest = registry_url.strip_prefix("http://").unwrap();
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (address.parse().unwrap(), path)
}

async fn serve(mut stream: TcpStream, target: SocketAddr, fault: Fault) {
    match fault {
        Fault::None => {
            if let Ok(mut registry) = TcpStream::connect(target).await {
                copy_bidirectional(&mut stream, &mut registry).await.ok();
            }
        }
        Fault::Status(status) => {
            let mut request = [0; 4_096];
            let read = stream.read(&mut request).await;
            if read.is_ok_and(|bytes| bytes == 0) {
                return;
            }
            let body = r#"{"error_code":40403,"message":"Schema not found"}"#;
            let head = format!(
                "HTTP/1.1 {status} Trouble\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.ok();
        }
        Fault::Hanging => std::future::pending().await,
        Fault::Gone => {}
    }
}
