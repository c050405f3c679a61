//! Requests cut out of the stream of bytes, within limits.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::WireError;

/// Bytes of the length that goes before every frame.
pub(crate) const LENGTH_BYTES: usize = 4;
/// Memory is taken as bytes come in, not as a length promises them; but for so much at once that a common request is
/// not moved while it grows.
const GROWTH_BYTES: usize = 64 << 10;
const GROWTH_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Frames<R> {
    reader: R,
    buffer: BytesMut,
    frame_bytes_max: usize,
    transfer_timeout: Duration,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(reader: R, frame_bytes_max: usize, transfer_timeout: Duration) -> Self {
        Self { reader, buffer: BytesMut::new(), frame_bytes_max, transfer_timeout }
    }

    /// The next frame without its length; `None` once the client has hung up between two. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, WireError> {
        if self.buffer.is_empty() && !self.read_more().await? {
            return Ok(None);
        }
        match timeout(self.transfer_timeout, self.rest()).await {
            Ok(Err(WireError::Lost(error)))
                if error.kind() == std::io::ErrorKind::UnexpectedEof =>
            {
                Ok(None)
            }
            Ok(frame) => frame.map(Some),
            Err(_) => Err(WireError::Stalled),
        }
    }

    async fn rest(&mut self) -> Result<Bytes, WireError> {
        while self.buffer.len() < LENGTH_BYTES {
            self.must_read_more().await?;
        }
        let bytes = (&self.buffer[..LENGTH_BYTES]).get_i32();
        let limit = self.frame_bytes_max;
        let length = usize::try_from(bytes)
            .ok()
            .filter(|length| *length <= limit)
            .ok_or(WireError::TooLarge { bytes, limit })?;
        while self.buffer.len() < LENGTH_BYTES + length {
            let missing = LENGTH_BYTES + length - self.buffer.len();
            self.buffer.reserve(missing.min(GROWTH_BYTES_MAX));
            self.must_read_more().await?;
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn must_read_more(&mut self) -> Result<(), WireError> {
        if self.read_more().await? {
            Ok(())
        } else {
            Err(WireError::Lost(std::io::ErrorKind::UnexpectedEof.into()))
        }
    }

    async fn read_more(&mut self) -> Result<bool, WireError> {
        self.buffer.reserve(GROWTH_BYTES);
        Ok(self.reader.read_buf(&mut self.buffer).await? > 0)
    }
}
