//! Frames, requests and answers: what stands between a socket and the code that answers.

mod call;
mod frame;
mod sound;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use thiserror::Error;

pub(crate) use call::Call;
pub(crate) use frame::{Frames, LENGTH_BYTES};
use sound::Sounding;

/// Why a connection is given up.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error("request of {bytes} bytes, {limit} are allowed")]
    TooLarge { bytes: i32, limit: usize },
    #[error("request of {bytes} bytes is too short for a header")]
    TooShort { bytes: usize },
    #[error("request stopped in the middle")]
    Stalled,
    #[error("client does not take its answer")]
    Blocked,
    #[error("unknown call {key} of version {version}")]
    UnknownCall { key: i16, version: i16 },
    #[error("{call:?} of version {version} is malformed: {reason}")]
    Malformed { call: Call, version: i16, reason: String },
    #[error("answer to {call:?} of version {version} does not encode: {reason}")]
    Answer { call: Call, version: i16, reason: String },
    #[error("connection lost")]
    Lost(#[from] std::io::Error),
}

/// Of an answer before its body, with its length.
const HEADER_BYTES_MAX: usize = 16;

/// A request, its body still encoded.
#[derive(Debug)]
pub(crate) struct Request {
    pub call: Call,
    pub version: i16,
    pub client_id: String,
    correlation_id: i32,
    body: Bytes,
}

/// An answer ready to be sent, or `None` where the client wants none.
pub(crate) type Answer = Result<Option<BytesMut>, WireError>;

impl Request {
    /// Reads the header of a frame. `Err` also for calls and versions that are not offered.
    pub(crate) fn read(mut frame: Bytes) -> Result<Self, WireError> {
        let short = WireError::TooShort { bytes: frame.len() };
        let (Some(key), Some(version), Some(correlation_id)) =
            (i16_at(&frame, 0), i16_at(&frame, 2), i32_at(&frame, 4))
        else {
            return Err(short);
        };
        let call = Call::from_key(key).ok_or(WireError::UnknownCall { key, version })?;
        if !call.offers(version) {
            if call == Call::ApiVersions {
                // Answered in the oldest form, so that the client learns what is offered.
                let (client_id, body) = (String::new(), Bytes::new());
                return Ok(Self { call, version, client_id, correlation_id, body });
            }
            return Err(WireError::UnknownCall { key, version });
        }
        let header = RequestHeader::decode(&mut frame, call.key().request_header_version(version))
            .map_err(|error| malformed(call, version, &error))?;
        let client_id = header.client_id.map(|id| id.to_string()).unwrap_or_default();
        Ok(Self { call, version, client_id, correlation_id, body: frame })
    }

    pub(crate) fn body<T: Decodable>(&self) -> Result<T, WireError> {
        let (mut sounding, mut body) = (Sounding::new(self.body.clone()), self.body.clone());
        T::decode(&mut sounding, self.version)
            .and_then(|_| T::decode(&mut body, self.version))
            .map_err(|error| malformed(self.call, self.version, &error))
    }

    pub(crate) fn answer<T: Encodable>(&self, answer: &T) -> Answer {
        self.answer_as(answer, self.version)
    }

    /// Answers in another version than was asked in; for the call by which versions are learnt.
    pub(crate) fn answer_as<T: Encodable>(&self, answer: &T, version: i16) -> Answer {
        let failed = |reason: String| WireError::Answer { call: self.call, version, reason };
        let size = answer.compute_size(version).map_err(|error| failed(error.to_string()))?;
        let mut bytes = BytesMut::with_capacity(size + HEADER_BYTES_MAX);
        bytes.put_i32(0);
        ResponseHeader::default()
            .with_correlation_id(self.correlation_id)
            .encode(&mut bytes, self.call.key().response_header_version(version))
            .and_then(|()| answer.encode(&mut bytes, version))
            .map_err(|error| failed(error.to_string()))?;
        let length = i32::try_from(bytes.len() - LENGTH_BYTES)
            .map_err(|_| failed("longer than 2 GiB".to_owned()))?;
        bytes[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        Ok(Some(bytes))
    }
}

fn malformed(call: Call, version: i16, reason: &impl ToString) -> WireError {
    WireError::Malformed { call, version, reason: reason.to_string() }
}

fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    bytes.get(at..)?.first_chunk().copied().map(i16::from_be_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().copied().map(i32::from_be_bytes)
}
