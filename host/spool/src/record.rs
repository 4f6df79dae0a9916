//! What the records of the journal say, as octets and as values.
//!
//! Numbers and texts travel as JSON, which `jq` reads too; a message's header section and inline body follow as they
//! are, so that nothing is escaped or copied.

mod envelope;

use crate::frame::Payload;
use crate::index::Live;
use crate::{Deferral, RecipientState, SpoolId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wasmail_mail::Envelope;

/// The first record of every segment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SegmentRecord {
    /// Format of what follows; [`VERSION`].
    pub(crate) version: u32,
    /// Ids given later are greater than this.
    pub(crate) last_id: u64,
    /// Number and trusted length of every older segment: what lies behind was never acknowledged.
    pub(crate) seals: Vec<(u64, u64)>,
}

/// The one format there is so far.
pub(crate) const VERSION: u32 = 1;

/// Everything about a message but its octets.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) id: SpoolId,
    pub(crate) accepted_at: SystemTime,
    pub(crate) envelope: Envelope,
    pub(crate) recipients: Vec<RecipientState>,
    pub(crate) header_len: usize,
    pub(crate) body: BodyPlace,
    /// What this message tells of another's recipients: both are known, or neither.
    pub(crate) settles: Option<Outcomes>,
}

/// Where a body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BodyPlace {
    /// After the header section, in the same record.
    Inline {
        /// In octets.
        len: u64,
    },
    /// In a file named after the id.
    File {
        /// In octets.
        len: u64,
        /// CRC-32 of the whole.
        crc: u32,
    },
}

/// New states of some recipients, by their position in the envelope.
#[derive(Debug, Clone)]
pub(crate) struct Outcomes {
    pub(crate) id: SpoolId,
    pub(crate) states: Vec<(usize, RecipientState)>,
    /// The route from now on, where that changes; the inner none is the usual way.
    pub(crate) route: Option<Option<String>>,
}

#[derive(Serialize, Deserialize)]
struct AcceptedDto {
    id: u64,
    accepted_at_ms: u64,
    envelope: envelope::EnvelopeDto,
    /// Left out while nobody has been tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recipients: Vec<StateDto>,
    header_len: usize,
    body: BodyPlace,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settles: Option<OutcomesDto>,
}

#[derive(Serialize, Deserialize)]
struct OutcomesDto {
    id: u64,
    states: Vec<(usize, StateDto)>,
    /// Empty for the usual way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateDto {
    Pending,
    Deferred {
        attempts: u32,
        next_attempt_ms: u64,
        reply: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        warned: bool,
    },
    Delivered,
    Failed {
        reply: String,
    },
    Bounced {
        reply: String,
    },
    Held {
        reason: String,
    },
}

impl SegmentRecord {
    pub(crate) fn encode(&self) -> io::Result<Payload> {
        Payload::new(vec![serde_json::to_vec(self)?.into()])
    }

    pub(crate) fn decode(payload: &[u8]) -> io::Result<Self> {
        let record: Self = serde_json::from_slice(payload)?;
        if record.version != VERSION {
            let problem = format!("journal format {} is not {VERSION}", record.version);
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        Ok(record)
    }
}

impl Accepted {
    /// The payload of the record: length of the JSON, the JSON, the header section, the inline body.
    pub(crate) fn encode(&self, header: Bytes, inline_body: Bytes) -> io::Result<Payload> {
        let untried = self.recipients.iter().all(|state| *state == RecipientState::Pending);
        let recipients = if untried { Vec::new() } else { self.recipients.iter().map(StateDto::from).collect() };
        let dto = AcceptedDto {
            id: self.id.as_u64(),
            accepted_at_ms: to_ms(self.accepted_at),
            envelope: (&self.envelope).into(),
            recipients,
            header_len: self.header_len,
            body: self.body,
            settles: self.settles.as_ref().map(OutcomesDto::from),
        };
        let mut meta = vec![0; 4];
        serde_json::to_writer(&mut meta, &dto)?;
        let length = (meta.len() - 4) as u32;
        meta[..4].copy_from_slice(&length.to_le_bytes());
        Payload::new(vec![meta.into(), header, inline_body])
    }

    /// Reads the payload back: the record, the header section, the inline body.
    pub(crate) fn decode(payload: &Bytes) -> io::Result<(Self, Bytes, Bytes)> {
        let length = payload.first_chunk().map(|octets| u32::from_le_bytes(*octets) as usize);
        let start = length.and_then(|length| length.checked_add(4)).ok_or_else(too_short)?;
        let dto: AcceptedDto = serde_json::from_slice(payload.get(4..start).ok_or_else(too_short)?)?;
        let accepted = Self::from_dto(dto)?;
        let octets = payload.slice(start..);
        if accepted.header_len.checked_add(accepted.inline_len()) != Some(octets.len()) {
            return Err(too_short());
        }
        let (header, body) = (octets.slice(..accepted.header_len), octets.slice(accepted.header_len..));
        Ok((accepted, header, body))
    }

    /// What became of it since it was written.
    pub(crate) fn take_over(&mut self, live: &Live) {
        self.recipients.clone_from(&live.recipients);
        self.envelope.handling.route = live.route.as_deref().map(str::to_owned);
    }

    fn from_dto(dto: AcceptedDto) -> io::Result<Self> {
        let envelope: Envelope = dto.envelope.try_into()?;
        let mut recipients: Vec<RecipientState> = dto.recipients.into_iter().map(RecipientState::from).collect();
        if recipients.is_empty() {
            recipients.resize(envelope.recipients.len(), RecipientState::Pending);
        }
        if recipients.len() != envelope.recipients.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not one state for each recipient"));
        }
        Ok(Self {
            id: SpoolId::from_u64(dto.id),
            accepted_at: from_ms(dto.accepted_at_ms),
            envelope,
            recipients,
            header_len: dto.header_len,
            body: dto.body,
            settles: dto.settles.map(Outcomes::from),
        })
    }

    fn inline_len(&self) -> usize {
        match self.body {
            BodyPlace::Inline { len } => len as usize,
            BodyPlace::File { .. } => 0,
        }
    }
}

impl Outcomes {
    pub(crate) fn encode(&self) -> io::Result<Payload> {
        Payload::new(vec![serde_json::to_vec(&OutcomesDto::from(self))?.into()])
    }

    pub(crate) fn decode(payload: &[u8]) -> io::Result<Self> {
        Ok(serde_json::from_slice::<OutcomesDto>(payload)?.into())
    }
}

impl From<&Outcomes> for OutcomesDto {
    fn from(outcomes: &Outcomes) -> Self {
        let states = outcomes.states.iter().map(|(position, state)| (*position, state.into())).collect();
        Self { id: outcomes.id.as_u64(), states, route: outcomes.route.clone().map(Option::unwrap_or_default) }
    }
}

impl From<OutcomesDto> for Outcomes {
    fn from(dto: OutcomesDto) -> Self {
        let states = dto.states.into_iter().map(|(position, state)| (position, state.into())).collect();
        let route = dto.route.map(|name| Some(name).filter(|name| !name.is_empty()));
        Self { id: SpoolId::from_u64(dto.id), states, route }
    }
}

/// The payload of a `Done` record.
pub(crate) fn encode_done(id: SpoolId) -> io::Result<Payload> {
    Payload::new(vec![Bytes::copy_from_slice(&id.as_u64().to_le_bytes())])
}

pub(crate) fn decode_done(payload: &[u8]) -> io::Result<SpoolId> {
    let octets = payload.try_into().map_err(|_| too_short())?;
    Ok(SpoolId::from_u64(u64::from_le_bytes(octets)))
}

fn too_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the record's lengths do not add up")
}

impl From<&RecipientState> for StateDto {
    fn from(state: &RecipientState) -> Self {
        match state {
            RecipientState::Pending => Self::Pending,
            RecipientState::Delivered => Self::Delivered,
            RecipientState::Failed { reply } => Self::Failed { reply: reply.clone() },
            RecipientState::Bounced { reply } => Self::Bounced { reply: reply.clone() },
            RecipientState::Held { reason } => Self::Held { reason: reason.clone() },
            RecipientState::Deferred(deferral) => Self::Deferred {
                attempts: deferral.attempts,
                next_attempt_ms: to_ms(deferral.next_attempt),
                reply: deferral.reply.clone(),
                warned: deferral.warned,
            },
        }
    }
}

impl From<StateDto> for RecipientState {
    fn from(dto: StateDto) -> Self {
        match dto {
            StateDto::Pending => Self::Pending,
            StateDto::Delivered => Self::Delivered,
            StateDto::Failed { reply } => Self::Failed { reply },
            StateDto::Bounced { reply } => Self::Bounced { reply },
            StateDto::Held { reason } => Self::Held { reason },
            StateDto::Deferred { attempts, next_attempt_ms, reply, warned } => {
                Self::Deferred(Deferral { attempts, next_attempt: from_ms(next_attempt_ms), reply, warned })
            }
        }
    }
}

fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn from_ms(ms: u64) -> SystemTime {
    // A time that the clock cannot hold is as good as never; the far future serves for it.
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or_else(|| UNIX_EPOCH + Duration::from_secs(1 << 40))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_reads_back_octet_for_octet() {
        let envelope = envelope::sample();
        let deferral = Deferral {
            attempts: 3,
            next_attempt: from_ms(1_700_000_000_123),
            reply: "451 4.3.0 später".to_owned(),
            warned: true,
        };
        let accepted = Accepted {
            id: SpoolId::from_u64(77),
            accepted_at: from_ms(5),
            recipients: vec![RecipientState::Deferred(deferral), RecipientState::Held { reason: "odd".to_owned() }],
            envelope,
            header_len: 9,
            body: BodyPlace::Inline { len: 4 },
            settles: Some(Outcomes {
                id: SpoolId::from_u64(3),
                states: vec![(1, RecipientState::Bounced { reply: "550 no".to_owned() })],
                route: None,
            }),
        };
        let payload = accepted.encode("A: \0\u{ff}\r\n\r".into(), "body".into()).unwrap();
        let (read, header, body) = Accepted::decode(&payload.parts.concat().into()).unwrap();
        assert_eq!(read.envelope, accepted.envelope);
        assert_eq!(read.recipients, accepted.recipients);
        assert_eq!((read.id, read.accepted_at, read.body), (accepted.id, accepted.accepted_at, accepted.body));
        assert_eq!((&header[..], &body[..]), ("A: \0\u{ff}\r\n\r".as_bytes(), &b"body"[..]));
    }

    #[test]
    fn outcomes_and_done_read_back() {
        let states = vec![(0, RecipientState::Delivered), (7, RecipientState::Pending)];
        for route in [None, Some(None), Some(Some("archive".to_owned()))] {
            let outcomes = Outcomes { id: SpoolId::from_u64(9), states: states.clone(), route };
            let read = Outcomes::decode(&outcomes.encode().unwrap().parts.concat()).unwrap();
            assert_eq!((read.id, read.states, read.route), (outcomes.id, outcomes.states, outcomes.route));
        }
        let done = encode_done(SpoolId::from_u64(9)).unwrap();
        assert_eq!(decode_done(&done.parts.concat()).unwrap(), SpoolId::from_u64(9));
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let newer = br#"{"version":2,"last_id":0,"seals":[]}"#;
        assert_eq!(SegmentRecord::decode(newer).unwrap_err().to_string(), "journal format 2 is not 1");
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Accepted::decode(&octets.clone().into());
            let _ = Outcomes::decode(&octets);
            let _ = decode_done(&octets);
            let _ = SegmentRecord::decode(&octets);
        }
    }
}
