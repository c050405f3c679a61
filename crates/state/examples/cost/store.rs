//! A redis-server of our own and the few words of its protocol that are needed to load blobs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// The server, configured as the one that `upnext up` starts, and a connection. Ended on drop.
pub(crate) struct Store {
    child: Child,
    port: u16,
    connection: BufReader<TcpStream>,
    _directory: TempDir,
}

impl Store {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "everysec"])
            .args(["--maxmemory-policy", "noeviction", "--logfile", "redis.log", "--dir"])
            .arg(PathBuf::from(directory.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start redis-server")?;
        loop {
            if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                stream.set_nodelay(true)?;
                let connection = BufReader::with_capacity(64 * 1024, stream);
                return Ok(Self { child, port, connection, _directory: directory });
            }
            if let Some(status) = child.try_wait()? {
                bail!("redis-server ended at once: {status}");
            }
            std::thread::yield_now();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Stores blobs under user keys.
    pub(crate) fn put(&mut self, blobs: &[(u64, Vec<u8>)]) -> anyhow::Result<()> {
        let mut request = Vec::new();
        for (user, blob) in blobs {
            write_command(&mut request, &[b"SET", key(*user).as_bytes(), blob])?;
        }
        self.connection.get_mut().write_all(&request)?;
        for _ in blobs {
            let reply = self.line()?;
            anyhow::ensure!(reply == "+OK", "redis-server says {reply}");
        }
        Ok(())
    }

    /// One figure of `INFO memory`, bytes.
    pub(crate) fn memory(&mut self, name: &str) -> anyhow::Result<u64> {
        let mut request = Vec::new();
        write_command(&mut request, &[b"INFO", b"memory"])?;
        self.connection.get_mut().write_all(&request)?;
        let mut text = Vec::new();
        self.bulk(&mut text)?;
        let text = String::from_utf8(text)?;
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(found.with_context(|| format!("no {name} in INFO"))?.parse()?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.connection.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn bulk(&mut self, into: &mut Vec<u8>) -> anyhow::Result<()> {
        let line = self.line()?;
        let length = line.strip_prefix('$').context("not a bulk reply")?.parse::<usize>()?;
        into.resize(length + 2, 0);
        self.connection.read_exact(into)?;
        into.truncate(length);
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// As the store names users under the default prefix.
fn key(user: u64) -> String {
    format!("upnext:u:user-{user}")
}

fn write_command(into: &mut Vec<u8>, words: &[&[u8]]) -> std::io::Result<()> {
    write!(into, "*{}\r\n", words.len())?;
    for word in words {
        write!(into, "${}\r\n", word.len())?;
        into.write_all(word)?;
        into.write_all(b"\r\n")?;
    }
    Ok(())
}
