//! A message of the spool, read back.

use crate::body::{Body, Large};
use crate::index::{Live, Reader};
use crate::record::{Accepted, BodyPlace};
use crate::storage::{Folder, Storage};
use crate::{RecipientState, SpoolId};
use bytes::Bytes;
use std::io;
use std::time::SystemTime;
use wasmail_mail::Envelope;

/// A message as it was committed, with what has become of its recipients since.
///
/// It stays readable while it is held, even if it is finished meanwhile.
#[derive(Clone)]
pub struct Message {
    accepted: Accepted,
    header: Bytes,
    body: Body,
}

impl Message {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> SpoolId {
        self.accepted.id
    }

    /// When it was committed.
    #[must_use]
    pub fn accepted_at(&self) -> SystemTime {
        self.accepted.accepted_at
    }

    /// The envelope it was committed with.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.accepted.envelope
    }

    /// One state for each recipient of the envelope, in its order.
    #[must_use]
    pub fn recipients(&self) -> &[RecipientState] {
        &self.accepted.recipients
    }

    /// The header section, octet for octet.
    #[must_use]
    pub fn header(&self) -> &Bytes {
        &self.header
    }

    /// The body, octet for octet.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    pub(crate) fn read(storage: &dyn Storage, live: Live, reader: &Reader) -> io::Result<Self> {
        let frame = reader.read(live.place.offset)?;
        let (mut accepted, header, inline) = Accepted::decode(&frame.payload)?;
        accepted.take_over(&live);
        let body = match accepted.body {
            BodyPlace::Inline { .. } => Body::memory(inline),
            BodyPlace::File { len, crc } => {
                Body::file(storage.open(Folder::Bodies, &accepted.id.to_string())?, Large { len, crc })
            }
        };
        Ok(Self { accepted, header, body })
    }
}
