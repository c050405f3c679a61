//! A TCP proxy of one address whose target may change and whose connections may break at any byte.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// No cut is wanted.
const NEVER: i64 = i64::MAX;

/// Listens for as long as it lives.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// Where new connections go; `None`: they are refused. Every change ends the connections there are.
    target: watch::Sender<Option<SocketAddr>>,
    /// Bytes that may still go to the target before a connection is cut.
    bytes_left: AtomicI64,
    cuts: AtomicU64,
}

impl Proxy {
    /// # Errors
    /// When loopback has no free port.
    pub(crate) async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: watch::Sender::new(Some(target)),
            bytes_left: AtomicI64::new(NEVER),
            cuts: AtomicU64::new(0),
        });
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listening })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and sends new ones elsewhere, or nowhere.
    pub(crate) fn switch(&self, target: Option<SocketAddr>) {
        self.shared.target.send_replace(target);
    }

    /// Cuts the connection that carries the `bytes`th byte from now on: what came before it has been passed on.
    pub(crate) fn cut_after(&self, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(NEVER);
        self.shared.bytes_left.store(bytes, Ordering::Release);
    }

    /// Connections cut in this way.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.shared.target.send_replace(None);
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, Arc::clone(&shared)));
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    // The client shall see a reset, not an orderly end.
    client.set_zero_linger().ok();
    client.set_nodelay(true).ok();
    let mut changed = shared.target.subscribe();
    let target = *changed.borrow_and_update();
    let Some(target) = target else { return };
    let Ok(server) = TcpStream::connect(target).await else { return };
    server.set_nodelay(true).ok();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = requests(from_client, to_server, &shared) => {}
        () = replies(from_server, to_client) => {}
        _ = changed.changed() => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let allowed = shared.allowed(count);
        if to.write_all(&chunk[..allowed]).await.is_err() || allowed < count {
            return;
        }
    }
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}

impl Shared {
    /// How many of `count` bytes may pass; fewer once, when a cut is due.
    fn allowed(&self, count: usize) -> usize {
        let wanted = i64::try_from(count).unwrap_or(NEVER);
        let before = self.bytes_left.load(Ordering::Acquire);
        if before == NEVER {
            return count;
        }
        if self.bytes_left.fetch_sub(wanted, Ordering::AcqRel) >= wanted {
            return count;
        }
        self.bytes_left.store(NEVER, Ordering::Release);
        self.cuts.fetch_add(1, Ordering::AcqRel);
        usize::try_from(before.max(0)).unwrap_or(0).min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every byte with itself plus `shift`.
    async fn server(shift: u8) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = client.read_u8().await {
                        client.write_u8(byte + shift).await.ok();
                    }
                });
            }
        });
        address
    }

    async fn ask(client: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        client.write_u8(byte).await?;
        client.read_u8().await
    }

    #[tokio::test]
    async fn the_target_changes_while_the_address_stays() {
        let proxy = Proxy::start(server(1).await).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client, 5).await.unwrap(), 6);
        proxy.switch(Some(server(2).await));
        assert!(ask(&mut client, 5).await.is_err(), "a switch ends what there is");
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client, 5).await.unwrap(), 7);
        proxy.switch(None);
        assert!(ask(&mut client, 5).await.is_err());
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(ask(&mut client, 5).await.is_err(), "there is no target");
    }

    #[tokio::test]
    async fn a_connection_is_cut_once_at_the_byte() {
        let proxy = Proxy::start(server(1).await).await.unwrap();
        proxy.cut_after(3);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        for byte in 0..3 {
            assert_eq!(ask(&mut client, byte).await.unwrap(), byte + 1);
        }
        assert_eq!(proxy.cuts(), 0);
        assert!(ask(&mut client, 3).await.is_err());
        assert_eq!(proxy.cuts(), 1);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        for byte in 0..9 {
            assert_eq!(ask(&mut client, byte).await.unwrap(), byte + 1);
        }
    }

    #[tokio::test]
    async fn what_stands_before_the_cut_arrives() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        proxy.cut_after(4);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(b"0123456789").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut arrived = Vec::new();
        server.read_to_end(&mut arrived).await.unwrap();
        assert_eq!(arrived, b"0123");
    }
}
