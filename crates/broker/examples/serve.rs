//! Runs an embedded broker by itself, for trying it with other Kafka clients: `serve PORT DATA_DIR`.
//!
//! Prints its address as one line and runs until interrupted.
#![expect(clippy::print_stdout, reason = "the address is what whoever starts it waits for")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use upnext_broker::{Broker, BrokerConfig};
use upnext_common::config::Log;
use upnext_common::telemetry;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(port), Some(data_dir)) = (arguments.next(), arguments.next()) else {
        return Err("usage: serve PORT DATA_DIR".into());
    };
    telemetry::install(&Log::default())?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let broker = Broker::start(BrokerConfig::new(listen, data_dir)).await?;
    println!("{}", broker.address());
    tokio::signal::ctrl_c().await?;
    broker.stop().await;
    Ok(())
}
