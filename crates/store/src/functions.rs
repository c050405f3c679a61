//! The two functions that run inside the store, loaded by whoever connects to write.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, cmd};

use crate::StoreError;

/// Where in a blob its position stands (first byte, one past the last): what `put_newer` compares.
pub const POSITION_AT: (usize, usize) = (1, 17);

/// A change of the code needs a new version in all of its names: a library that is loaded is left as it is.
const LIBRARY: &str = include_str!("functions.lua");
pub(crate) const PUT_NEWER: &str = "upnext_put_newer_v2";
pub(crate) const ADVANCE: &str = "upnext_advance_v2";

/// Makes sure the library is there: after a start from nothing it is not.
pub(crate) async fn load(connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
    let loaded: Result<String, RedisError> =
        cmd("FUNCTION").arg("LOAD").arg(LIBRARY).query_async(connection).await;
    match loaded {
        Ok(_) => Ok(()),
        Err(error) if error.to_string().contains("already exists") => Ok(()),
        Err(error) => Err(error.into()),
    }
}
