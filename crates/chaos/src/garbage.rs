//! Records that have to end as dead letters, of many sorts, each with the reason that has to stand there.

use bytes::{Bytes, BytesMut};
use upnext_common::event::Event;
use upnext_contract::framing::frame;
use upnext_contract::{EncodeError, Encoder, Reason};

const DAY_MS: i64 = 86_400_000;
/// Ids that the registry does not know. Few, since each is asked for until its absence is believed.
const UNKNOWN_IDS: u64 = 4;
const UNKNOWN_FROM: u32 = 1_000_000;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Garbage {
    NoFrame,
    NoValue,
    Short,
    UnknownSchema,
    Torn,
    Overlong,
    OtherKey,
    Future,
    Ancient,
}

impl Garbage {
    pub(crate) const ALL: [Self; 9] = [
        Self::NoFrame,
        Self::NoValue,
        Self::Short,
        Self::UnknownSchema,
        Self::Torn,
        Self::Overlong,
        Self::OtherKey,
        Self::Future,
        Self::Ancient,
    ];

    /// Why it has to be rejected.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::NoFrame => Reason::BadMagic,
            Self::NoValue => Reason::Empty,
            Self::Short => Reason::ShortFrame,
            Self::UnknownSchema => Reason::UnknownSchemaId,
            Self::Torn => Reason::AvroTruncated,
            Self::Overlong => Reason::TrailingBytes,
            Self::OtherKey => Reason::KeyMismatch,
            Self::Future => Reason::TsFuture,
            Self::Ancient => Reason::TsTooOld,
        }
    }

    /// Key and value of the `number`th record, made of a sound event at `now_ms`.
    ///
    /// # Errors
    /// When the event does not fit.
    pub(crate) fn of(
        self,
        (event, now_ms): (&Event, i64),
        encoder: &Encoder,
        number: u64,
    ) -> Result<(Option<Bytes>, Option<Bytes>), EncodeError> {
        let key = event.key().map(|key| Bytes::copy_from_slice(key.as_bytes()));
        let sound = encoder.event(event)?;
        let at = |event_time_ms| encoder.event(&Event { event_time_ms, ..event.clone() });
        let value = match self {
            Self::NoFrame => Some(Bytes::from_static(b"garbage")),
            Self::NoValue => None,
            Self::Short => Some(Bytes::from_static(b"\0\0\0")),
            Self::UnknownSchema => {
                let id = u32::try_from(number % UNKNOWN_IDS).unwrap_or(0);
                Some(frame(UNKNOWN_FROM + id, b"whatever"))
            }
            Self::Torn => Some(sound.slice(..sound.len() - 1)),
            Self::Overlong => {
                let mut longer = BytesMut::from(&sound[..]);
                longer.extend_from_slice(b"\0");
                Some(longer.freeze())
            }
            Self::OtherKey => return Ok((Some(Bytes::from_static(b"nobody")), Some(sound))),
            Self::Future => Some(at(now_ms + DAY_MS)?),
            Self::Ancient => Some(at(now_ms - 20 * DAY_MS)?),
        };
        Ok((key, value))
    }
}
