//! Runs an embedded registry by itself, for trying it with other clients: `registry PORT DATA_DIR`.
//!
//! Prints its address as one line and runs until interrupted.
#![expect(clippy::print_stdout, reason = "the address is what whoever starts it waits for")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use upnext_common::config::Log;
use upnext_common::telemetry;
use upnext_registry::{Registry, RegistryConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(data_dir)) = (arguments.next(), arguments.next()) else {
        return Err("usage: registry PORT DATA_DIR".into());
    };
    telemetry::install(&Log::default())?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let registry = Registry::start(RegistryConfig { listen, data_dir: data_dir.into() }).await?;
    println!("{}", registry.url());
    tokio::signal::ctrl_c().await?;
    registry.stop().await;
    Ok(())
}
